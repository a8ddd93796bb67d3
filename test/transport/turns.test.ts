/** Costly requests: after each, everybody else has a turn, and none is lost or out of order. */
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { test } from 'node:test';
import type { LockObserver } from '../../src/session/session-host.ts';
import { LeanWebSocket } from '../support/lean-websocket.ts';
import { LineClient, lock, write } from '../support/line-client.ts';
import { startServer } from '../support/running-server.ts';

const INSPECT = { action: 'inspect', max: 1 };

/** Locks in the order in which the server heard of them. */
function orderOf(): { readonly heard: string[]; readonly lockObserver: LockObserver } {
  const heard: string[] = [];
  const lockObserver = {
    enqueued: () => {},
    acquired: (acquired: Parameters<LockObserver['acquired']>[0]) =>
      void heard.push(acquired.resources[0]?.path[0] ?? ''),
    released: () => {},
  };
  return { heard, lockObserver };
}

test('a packet of many inspects and a lock is answered in order, the lock of another before it', async (t) => {
  const { heard, lockObserver } = orderOf();
  const server = await startServer(t, { lockObserver });
  const [busy, other] = [
    await LineClient.connect(t, server.address.port),
    await LineClient.connect(t, server.address.port),
  ];
  await other.ask({ action: 'ping' });
  await busy.ask({ action: 'ping' });
  busy.send(...Array(100).fill(INSPECT), lock(write('busy')), { action: 'bye' });
  other.send(lock(write('other')));
  assert.equal((await other.next()).state, 'acquired');
  // All at once, half-closed: what came before the end is still done.
  busy.socket.end();
  const replies = await busy.ended();
  assert.deepEqual(heard, ['other', 'busy']);
  const actions = replies.map(({ action, end }) => (end === true ? 'end' : action));
  assert.equal(actions.filter((action) => action === 'end').length, 100);
  assert.deepEqual(actions.slice(-2), ['lock', 'bye']);
});

test('the same on a WebSocket', async (t) => {
  const { heard, lockObserver } = orderOf();
  const server = await startServer(t, { lockObserver });
  const busy = await LeanWebSocket.connect(t, server.address.port, '/v2');
  const other = await LineClient.connect(t, server.address.port);
  await other.ask({ action: 'ping' });
  busy.send({ action: 'ping' });
  await busy.next();
  busy.send(...Array(100).fill(INSPECT), lock(write('busy')));
  other.send(lock(write('other')));
  assert.equal((await other.next()).state, 'acquired');
  for (let ends = 0; ends < 100; ) if ((await busy.next()).end === true) ends++;
  assert.equal((await busy.next()).state, 'acquired');
  assert.deepEqual(heard, ['other', 'busy']);
});

test('a costly request at the head of more than one read is followed by what came behind it', async (t) => {
  const server = await startServer(t);
  // All of it is there before the server has read anything.
  const client = LineClient.on(t, connect(server.address.port, '127.0.0.1'));
  const pings = Array.from({ length: 15_000 }, (_, ref) => ({ action: 'ping', ref }));
  client.send(INSPECT, ...pings);
  assert.equal((await client.next()).end, true);
  for (const ping of pings) assert.deepEqual(await client.next(), ping);
});
