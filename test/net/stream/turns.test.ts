/** Costly requests: after each, everybody else has a turn, and none is lost or out of order. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { text as textOf } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import { COSTLY_LENGTH } from '../../../src/protocol/fields.ts';
import type { LockObserver } from '../../../src/session/session-host.ts';
import { LineClient, lock, write } from '../../support/line-client.ts';
import { startServer } from '../../support/running-server.ts';
import { WebSocketClient } from '../../support/websocket-client.ts';
import { text } from '../../support/websocket-frames.ts';

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
  const busy = await WebSocketClient.connect(t, server.address.port, '/v2');
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

test('a listing waits for its turn, also as the first request of its connection', async (t) => {
  const server = await startServer(t);
  const { port } = server.address;
  const listing = connect(port, '127.0.0.1');
  await once(listing, 'connect');
  const other = await LineClient.connect(t, port);
  await other.ask({ action: 'ping' });
  listing.end('GET /locks?namespace=default HTTP/1.0\r\n\r\n');
  other.send(lock(write('late')));
  assert.equal((await other.next()).state, 'acquired');
  assert.match(await textOf(listing), /"path":\["late"\]/);
});

/** Records in which turn of the event loop each lock is acquired. */
function turnsOf(t: TestContext): {
  readonly turns: number[];
  readonly lockObserver: LockObserver;
} {
  const turns: number[] = [];
  let turn = 0;
  let next: NodeJS.Immediate;
  const tick = (): void => {
    turn++;
    next = setImmediate(tick);
  };
  tick();
  t.after(() => clearImmediate(next));
  const acquired = (): void => void turns.push(turn);
  return { turns, lockObserver: { enqueued: () => {}, acquired, released: () => {} } };
}

/** A lock in a message that is long enough to be costly, whatever is in it. */
function longLock(path: string): string {
  return JSON.stringify(lock(write(path))).padEnd(COSTLY_LENGTH);
}

test('of long messages in one packet each has a turn of its own: on lines', async (t) => {
  const { turns, lockObserver } = turnsOf(t);
  const server = await startServer(t, { lockObserver });
  const client = await LineClient.connect(t, server.address.port);
  await client.ask({ action: 'ping' });
  client.sendRaw(`${['a', 'b', 'c'].map(longLock).join('\n')}\n`);
  for (let i = 0; i < 3; i++) assert.equal((await client.next()).state, 'acquired');
  assert.equal(new Set(turns).size, 3, turns.join());
});

for (const [target, other] of [
  ['/v2', '{"action":"ping"}'],
  ['/v1?namespace=a', '{"action":"release"}'],
] as const) {
  test(`of long messages in one packet each has a turn of its own: ${target}`, async (t) => {
    const { turns, lockObserver } = turnsOf(t);
    const server = await startServer(t, { lockObserver });
    const client = await WebSocketClient.connect(t, server.address.port, target);
    client.sendBytes(...['a', 'b', 'c'].flatMap((path) => [text(longLock(path)), text(other)]));
    for (let i = 0; i < 6; i++) assert.equal((await client.next()).error, undefined);
    assert.equal(new Set(turns).size, 3, turns.join());
  });
}
