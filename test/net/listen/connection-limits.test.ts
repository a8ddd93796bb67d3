/** Coming in: how many may, and how long they may take to say something valid. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { type TestContext, test } from 'node:test';
import type { ServerOptions } from '../../../src/server-options.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { ask, bodyOf, exchange, statuses } from '../../support/http-client.ts';
import { LineClient, lock, write } from '../../support/line-client.ts';
import { RawClient } from '../../support/raw-client.ts';
import { startServer, until } from '../../support/running-server.ts';
import { handshake, WebSocketClient } from '../../support/websocket-client.ts';

const GET = 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n';

async function setUp(t: TestContext, options: ServerOptions = {}) {
  const clock = new FakeClock();
  const server = await startServer(t, { clock, ...options });
  const { port } = server.address;
  return { clock, server, port, connect: () => LineClient.connect(t, port) };
}

/** The codes of the errors that a client was told until the end. */
async function codes(client: LineClient): Promise<unknown[]> {
  const replies = await client.ended();
  return replies.map(({ error }) => (error as { code?: unknown } | undefined)?.code);
}

test('as many connections as allowed are served, one more is told so in its own language', async (t) => {
  let timesFull = 0;
  const { server, port, connect } = await setUp(t, {
    limits: { maxConnections: 2 },
    fullObserver: () => timesFull++,
  });
  const clients = [await connect(), await connect()];
  for (const client of clients) assert.equal((await client.ask({ action: 'ping' })).action, 'ping');
  const third = await connect();
  third.send({ action: 'ping' });
  assert.deepEqual(await codes(third), ['too_many_connections']);
  const page = await exchange(port, GET);
  assert.deepEqual(statuses(page), [503]);
  assert.match(bodyOf(page), /^Connection limit reached \(2\); try again later/);
  assert.equal(bodyOf(await exchange(port, GET.replace('GET', 'HEAD'))), '');
  assert.deepEqual(statuses(await exchange(port, handshake('/v1?namespace=a'))), [503]);
  await until(() => server.counts.connections === 2);
  assert.equal(timesFull, 4);
  for (const client of clients) assert.equal((await client.ask({ action: 'ping' })).action, 'ping');

  clients[0]?.socket.destroy();
  await until(() => server.counts.connections === 1);
  assert.equal((await (await connect()).ask({ action: 'ping' })).action, 'ping');

  clients[1]?.socket.destroy();
  await until(() => server.counts.connections === 1);
  const { body } = await ask(port, '/metrics');
  assert.match(body, /^locktopus_errors_total\{code="too_many_connections"\} 4$/m);
});

test('of those beyond the limit a hundred may say something, and not for long', async (t) => {
  const { clock, port, connect } = await setUp(t, { limits: { maxConnections: 1 } });
  await (await connect()).ask({ action: 'ping' });
  const timersBefore = clock.timersSet;
  const silent = Array.from({ length: 100 }, () => connect1(t, port));
  await until(() => clock.timersSet === timersBefore + 100);
  clock.advance(5000);
  await Promise.all(silent.map(({ closed }) => closed));
  const late = await connect();
  late.send({ action: 'ping' });
  assert.deepEqual(await codes(late), ['too_many_connections']);
});

test('probes are answered, however many say nothing, and however many were told and stay', async (t) => {
  const { clock, port, connect } = await setUp(t, { limits: { maxConnections: 1 } });
  const only = await connect();
  await only.ask({ action: 'ping' });
  const begun = clock.timersSet;
  const silent = Array.from({ length: 150 }, () => connect1(t, port));
  await until(() => clock.timersSet === begun + 150);
  assert.equal((await ask(port, '/livez')).status, 200);
  // The oldest of them gave way.
  await Promise.all(silent.slice(0, 50).map(({ closed }) => closed));
  for (let i = 0; i < 150; i++) {
    const told = new RawClient(port);
    t.after(() => told.socket.destroy());
    told.socket.write('{"action":"ping"}\n');
    await told.until(() => told.finished);
    assert.match(told.received.toString(), /too_many_connections/);
  }
  assert.equal((await ask(port, '/livez')).status, 200);
  assert.equal((await only.ask({ action: 'ping' })).action, 'ping');
});

/** A connection that says nothing. */
function connect1(t: TestContext, port: number) {
  const socket = connect({ port, host: '127.0.0.1' });
  socket.on('error', () => {});
  t.after(() => socket.destroy());
  socket.resume();
  return { socket, closed: once(socket, 'close') };
}

test('as many sessions as allowed begin, one more waits for room; a lost one can be resumed', async (t) => {
  const limits = { maxSessions: 2 };
  const { server, port, connect } = await setUp(t, { limits });
  const first = await connect();
  const { session } = await first.ask({ action: 'hello' });
  await first.ask(lock(write('first')));
  first.socket.destroy();
  await until(() => server.counts.connections === 0);
  const second = await connect();
  assert.equal((await second.ask(lock(write('a')))).state, 'acquired');

  const third = await connect();
  const hello = await third.ask({ action: 'hello', ref: 1 });
  assert.deepEqual([hello.action, hello.ref], ['hello', 1]);
  assert.match(JSON.stringify(hello.error), /"too_many_sessions".*session limit reached \(2\)/);
  const refused = await third.ask({ ...lock(write('b')), ref: 2 });
  assert.deepEqual([refused.action, refused.ref], ['lock', 2]);
  assert.match(JSON.stringify(refused.error), /hello_refused/);
  assert.deepEqual(statuses(await exchange(port, handshake('/v1?namespace=a'))), [503]);

  const web = await WebSocketClient.connect(t, port, '/v2');
  web.send({ action: 'hello' });
  assert.match(JSON.stringify(await web.next()), /too_many_sessions/);
  web.send({ action: 'hello', session });
  assert.equal((await web.next()).resumed, true, 'also on a WebSocket');
  web.socket.destroy();
  await until(() => server.counts.connections === 2);

  assert.equal((await third.ask({ action: 'hello', session })).resumed, true);
  await third.ask({ action: 'bye' });
  assert.equal((await (await connect()).ask({ action: 'ping' })).action, 'ping');
});

test('a lost session that holds nothing gives way to a new one, the longest lost first', async (t) => {
  const { server, connect } = await setUp(t, { limits: { maxSessions: 3 } });
  const names: unknown[] = [];
  for (const path of ['held', undefined, undefined]) {
    const client = await connect();
    names.push((await client.ask({ action: 'hello', abandonTimeoutMs: 2 ** 53 - 1 })).session);
    if (path !== undefined) await client.ask(lock(write(path)));
    client.socket.destroy();
    await until(() => server.counts.connections === 0);
  }
  const fourth = await connect();
  assert.equal((await fourth.ask({ action: 'hello' })).action, 'hello');
  const resumed: unknown[] = [];
  for (const session of names) {
    const client = await connect();
    resumed.push((await client.ask({ action: 'hello', session })).resumed ?? false);
  }
  assert.deepEqual(resumed, [true, false, true]);
  const full = await connect();
  assert.match(JSON.stringify((await full.ask({ action: 'ping' })).error), /too_many_sessions/);
});

test('a lost session whose last lock is gone gives way, too', async (t) => {
  const { clock, server, connect } = await setUp(t, { limits: { maxSessions: 1 } });
  const client = await connect();
  await client.ask({ action: 'hello' });
  await client.ask({ ...lock(write('a')), holdMs: 5 });
  client.socket.destroy();
  await until(() => server.counts.connections === 0);
  const next = await connect();
  assert.match(JSON.stringify((await next.ask({ action: 'ping' })).error), /too_many_sessions/);
  clock.advance(5);
  assert.equal((await next.ask({ action: 'ping' })).error, undefined);
});

for (const [what, firstMs, options] of [
  ['a person who types', 60_000, {}],
  ['where a token is wanted', 10_000, { tokens: ['client-token-0001'] }],
  ['as long as is chosen', 5000, { limits: { firstMessageMs: 5000 } }],
] as const) {
  test(`who has said nothing valid in time is told so, and may then try again: ${what}`, async (t) => {
    const { clock, server, connect } = await setUp(t, options);
    for (const bytes of ['', 'G', '\n\n', '{"action":"ping"}']) {
      const client = await connect();
      await until(() => server.counts.connections === 1);
      client.sendRaw(bytes);
      clock.advance(firstMs - 1);
      assert.equal(server.counts.connections, 1);
      clock.advance(1);
      assert.deepEqual(await codes(client), ['too_slow'], JSON.stringify(bytes));
      client.socket.end();
      await until(() => server.counts.connections === 0);
      assert.equal(clock.pendingTimers, 0);
    }
  });
}

test('tokens that are set later count for who connects then', async (t) => {
  const { clock, server, connect } = await setUp(t);
  server.setTokens({ client: ['client-token-0001'], admin: [] });
  const client = await connect();
  await until(() => clock.isDueIn(10_000));
  clock.advance(10_000);
  assert.deepEqual(await codes(client), ['too_slow']);
});

test('a first line without a line feed is told what is missing when its time is over', async (t) => {
  const { clock, server, connect } = await setUp(t);
  const client = await connect();
  client.sendRaw('{"action":"ping"}');
  // Known as a client of lines once its first bytes are read.
  await until(() => server.counts.connections === 1);
  await (await connect()).ask({ action: 'ping' });
  clock.advance(60_000);
  const [reply] = await client.ended();
  assert.match(
    JSON.stringify(reply),
    /too_slow.*within 60000 ms: the line has no line feed \(LF\)/,
  );
});

test('any JSON object in time is enough, be it a good request or not', async (t) => {
  const { clock, connect } = await setUp(t, { limits: { firstMessageMs: 10 } });
  for (const message of [{ action: 'ping' }, { action: 'what' }, {}]) {
    const client = await connect();
    await client.ask(message);
    assert.equal(clock.pendingTimers, 0);
    clock.advance(1000);
    assert.equal((await client.ask({ action: 'ping' })).action, 'ping');
  }
});

test('a WebSocket whose handshake came in time has said something valid', async (t) => {
  const { clock, port } = await setUp(t);
  const client = await WebSocketClient.connect(t, port);
  await until(() => clock.pendingTimers === 1);
  clock.advance(14_000);
  client.send(lock(write('a')));
  assert.equal((await client.next()).state, 'acquired');
});

test('an HTTP head that is not complete in time is answered with 408', async (t) => {
  const { clock, port } = await setUp(t);
  const answer = exchange(port, 'GET / HTTP/1.1\r\nHost: localh');
  await until(() => clock.timersSet === 2);
  clock.advance(10_000);
  assert.deepEqual(statuses(await answer), [408]);
  assert.match(bodyOf(await answer), /^No complete request within 10000 ms\.\n$/);
});

test('a head that never ends has no more time for coming byte by byte', async (t) => {
  const { clock, port } = await setUp(t);
  const client = connect1(t, port);
  let received = '';
  client.socket.on('data', (chunk) => {
    received += chunk;
  });
  client.socket.write('GET / HTTP/1.1\r\nX: ');
  await until(() => clock.timersSet === 2);
  for (let i = 0; i < 9; i++) {
    client.socket.write('x');
    clock.advance(1000);
  }
  clock.advance(1000);
  await client.closed;
  assert.deepEqual(statuses(received), [408]);
});

test('a kept HTTP connection has the same time for the next request, and ends without a word', async (t) => {
  const { clock, port } = await setUp(t);
  const client = connect1(t, port);
  let received = '';
  const answered = async (count: number): Promise<void> => {
    while (statuses(received).length < count) await once(client.socket, 'data');
  };
  client.socket.on('data', (chunk) => {
    received += chunk;
  });
  client.socket.write(GET);
  await answered(1);
  assert.doesNotMatch(received, /^Keep-Alive/m, 'node:http has a shorter time, on a real clock');
  clock.advance(9999);
  client.socket.write(GET);
  await answered(2);
  clock.advance(9999);
  client.socket.write(`${GET}GET / HT`);
  await answered(3);
  clock.advance(10_000);
  await client.closed;
  assert.deepEqual(statuses(received), [200, 200, 200]);
});

test('a body without end does not keep a connection', async (t) => {
  const { clock, port } = await setUp(t);
  const client = connect1(t, port);
  client.socket.write('POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\nabc');
  await once(client.socket, 'data');
  clock.advance(9999);
  client.socket.write('more');
  clock.advance(1);
  await client.closed;
});
