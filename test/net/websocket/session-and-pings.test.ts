/** The session protocol on WebSocket, and pings that notice a peer that vanished. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import type { WebSocket } from 'ws';
import { FakeClock } from '../../support/fake-clock.ts';
import { bodyOf, exchange, statuses } from '../../support/http-client.ts';
import { lock, read, write } from '../../support/line-client.ts';
import { startServer, until } from '../../support/running-server.ts';
import { Watch } from '../../support/watch.ts';
import { handshake } from '../../support/websocket-client.ts';
import { WsClient } from '../../support/ws-client.ts';

const TOKEN = 'client-token-0001';

/** A client whose messages are parsed. */
async function open(t: TestContext, port: number, target: string) {
  const client = await WsClient.open(t, port, target);
  return {
    socket: client.socket,
    next: async () => JSON.parse(await client.next()),
    ask: async (message: object) => JSON.parse(await client.ask(message)),
    closed: async () => (await client.closed()).code,
  };
}

test('/v2 speaks the session protocol, one message per frame', async (t) => {
  const { address } = await startServer(t);
  const client = await open(t, address.port, '/v2');
  const first = await client.ask({ ...lock(write('a')), ref: 1 });
  assert.deepEqual(first, { action: 'lock', ref: 1, id: first.id, state: 'acquired' });
  const second = await client.ask({ ...lock(read('a')), ref: 2 });
  assert.equal(second.state, 'enqueued');
  await client.ask({ action: 'release', id: first.id });
  assert.deepEqual(await client.next(), { ...second, state: 'acquired' });
  assert.equal((await client.ask({ action: 'lock' })).error !== undefined, true);
  assert.deepEqual(await client.ask({ action: 'bye' }), { action: 'bye' });
  assert.equal(await client.closed(), 1000);
});

test('a close 1000 at /v2 is a bye of a session without a name, and nothing else is', async (t) => {
  const watch = new Watch();
  const server = await startServer(t, { lockObserver: watch });
  const { port } = server.address;
  let ended = 0;
  const leave = async (target: string, hello: boolean, close: (socket: WebSocket) => void) => {
    const client = await WsClient.open(t, port, target);
    if (hello) await client.ask({ action: 'hello' });
    await client.ask(lock(write(`${target} ${ended}`)));
    const { connections } = server.counts;
    close(client.socket);
    await until(() => server.counts.connections < connections);
    const before = ended;
    ended = watch.count('ended');
    return ended > before ? 'bye' : 'kept';
  };
  assert.equal(await leave('/v2', false, (socket) => socket.close(1000)), 'bye');
  assert.equal(await leave('/v2', true, (socket) => socket.close(1000)), 'kept', 'it has a name');
  assert.equal(await leave('/v1?namespace=a', false, (socket) => socket.close(1000)), 'kept');
  assert.equal(await leave('/v2?namespace=b', false, (socket) => socket.close(1001)), 'kept');
  assert.equal(await leave('/v2?namespace=c', false, (socket) => socket.close()), 'kept');
  assert.equal(await leave('/v2?namespace=d', false, (socket) => socket.close(4000)), 'kept');
  assert.equal(await leave('/v2?namespace=e', false, (socket) => socket.terminate()), 'kept');
  assert.equal(server.counts.acquired, 6);
});

test('what a client has sent before its close 1000 is carried out first', async (t) => {
  const server = await startServer(t);
  const { port } = server.address;
  const [client, other] = [await open(t, port, '/v2'), await open(t, port, '/v2')];
  await client.ask({ action: 'watch' });
  for (let i = 0; i < 100; i++) client.socket.send(JSON.stringify(lock(write('a'))));
  client.socket.send(JSON.stringify({ action: 'help' }));
  client.socket.close(1000);
  await until(() => server.counts.connections === 1);
  assert.equal(server.counts.sessions, 0);
  assert.equal((await other.ask({ ...lock(write('a')), waitMs: 0 })).state, 'acquired');
  assert.equal((await other.ask({ action: 'stats' })).sessions, 1);
});

test('the query of /v2 chooses the defaults, and hello may choose again', async (t) => {
  const { address } = await startServer(t);
  const plain = await open(t, address.port, '/v2?namespace=shop&abandon-timeout-ms=7');
  assert.equal((await plain.ask({ action: 'stats' })).namespace, 'shop');
  const polite = await open(t, address.port, '/v2?namespace=shop&abandon-timeout-ms=7');
  const hello = await polite.ask({ action: 'hello' });
  assert.deepEqual([hello.namespace, hello.abandonTimeoutMs], ['shop', 7]);
  const other = await open(t, address.port, '/v2?namespace=shop');
  assert.equal((await other.ask({ action: 'hello', namespace: 'farm' })).namespace, 'farm');
});

test('a query that repeats a parameter of /v2 is refused with 400, and others are ignored', async (t) => {
  const { address } = await startServer(t);
  const timeout = 'abandon-timeout-ms';
  for (const [query, name] of [
    ['namespace=a&namespace=a', 'namespace'],
    ['namespace=&%6Eamespace=a', 'namespace'],
    [`${timeout}=1&${timeout}=2`, timeout],
    ['token=1&token=1', 'token'],
  ] as const) {
    const answer = await exchange(address.port, handshake(`/v2?${query}`));
    assert.deepEqual(statuses(answer), [400], query);
    assert.equal(bodyOf(answer), `The parameter ${name} is repeated: send it once.\n`);
  }
  await open(t, address.port, '/v2?other=1&other=2');
});

test('a session that began on WebSocket is resumed on another, and the first is closed with 4000', async (t) => {
  const { address } = await startServer(t);
  const first = await open(t, address.port, '/v2');
  const { session } = await first.ask({ action: 'hello' });
  const held = await first.ask({ ...lock(write('a')), ref: 'x' });
  const second = await open(t, address.port, '/v2');
  const hello = await second.ask({ action: 'hello', session });
  assert.deepEqual([hello.resumed, hello.locks], [true, 1]);
  assert.deepEqual(await second.next(), held);
  assert.match(JSON.stringify(await first.next()), /taken_over/);
  assert.equal(await first.closed(), 4000);
  assert.equal((await second.ask({ action: 'release' })).state, 'released');
});

test('a client that breaks its heartbeat is closed with 4001', async (t) => {
  const clock = new FakeClock();
  const { address } = await startServer(t, { clock });
  const client = await open(t, address.port, '/v2');
  await client.ask({ action: 'hello', heartbeatMs: 50 });
  clock.advance(50);
  assert.match(JSON.stringify(await client.next()), /silent/);
  assert.equal(await client.closed(), 4001);
});

for (const path of ['/v1?namespace=shop', '/v2?namespace=shop']) {
  test(`a peer on ${path} that answers pings stays, one that doesn't is cut`, async (t) => {
    const clock = new FakeClock();
    const server = await startServer(t, { clock, defaultAbandonTimeoutMs: 0 });
    const alive = await open(t, server.address.port, path);
    const pinged = once(alive.socket, 'ping');
    await alive.ask(lock(write('a')));
    clock.advance(15_000);
    await pinged;
    clock.advance(15_000);
    assert.equal(server.counts.connections, 1);

    const dead = await open(t, server.address.port, path);
    await dead.ask(lock(write('b')));
    dead.socket.pause();
    const disconnected = dead.closed();
    for (let i = 0; i < 3; i++) {
      await alive.ask(path.startsWith('/v1') ? { action: 'release' } : { action: 'ping' });
      if (path.startsWith('/v1')) await alive.ask(lock(write('a')));
      clock.advance(15_000);
    }
    dead.socket.resume();
    assert.equal(await disconnected, 1006);
    await until(() => server.counts.connections === 1);
    assert.equal(server.counts.acquired, 1);
  });
}

test('neither direction is silent for 20 seconds, whether the client is busy or idle', async (t) => {
  const clock = new FakeClock();
  const server = await startServer(t, { clock, defaultAbandonTimeoutMs: 0 });
  const client = await open(t, server.address.port, '/v2');
  await client.ask({ action: 'ping' });
  let pings = 0;
  client.socket.on('ping', () => pings++);
  for (let seconds = 0; seconds < 120; seconds += 20) {
    const before = pings;
    const pinged = once(client.socket, 'ping');
    clock.advance(19_999);
    await pinged;
    // Its pong is on the way before this is: an idle client that answers pings stays.
    await client.ask({ action: 'ping' });
    assert.ok(pings > before);
    clock.advance(1);
  }
  assert.equal(server.counts.connections, 1);
});

test('the interval of the pings can be chosen', async (t) => {
  const clock = new FakeClock();
  const { address } = await startServer(t, { clock, pingIntervalMs: 1000 });
  const client = await open(t, address.port, '/v2');
  await client.ask({ action: 'ping' });
  for (let i = 0; i < 5; i++) {
    const pinged = once(client.socket, 'ping');
    clock.advance(1000);
    await pinged;
    await client.ask({ action: 'ping' });
  }
});

for (const [pingIntervalMs, deadAfterMs] of [
  [100, 30_000],
  [15_000, 30_000],
  [40_000, 80_000],
] as const) {
  test(`pinged every ${pingIntervalMs} ms, a peer may be silent for ${deadAfterMs} ms`, async (t) => {
    const clock = new FakeClock();
    const server = await startServer(t, { clock, pingIntervalMs });
    const client = await open(t, server.address.port, '/v2');
    await client.ask({ action: 'ping' });
    // Its answers to pings never come; that it has spoken is seen at the first ping.
    client.socket.pause();
    clock.advance(pingIntervalMs + deadAfterMs - 1);
    for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
    assert.equal(server.counts.connections, 1);
    clock.advance(1);
    await until(() => server.counts.connections === 0);
  });
}

for (const [firstMs, what, options] of [
  [60_000, 'no token is wanted', {}],
  [10_000, 'a token is wanted', { tokens: [TOKEN] }],
] as const) {
  test(`a client on /v2 has ${firstMs} ms for its first message where ${what}`, async (t) => {
    const clock = new FakeClock();
    const { address } = await startServer(t, { clock, pingIntervalMs: 100_000, ...options });
    const silent = await open(t, address.port, `/v2?token=${TOKEN}`);
    const other = await open(t, address.port, `/v2?token=${TOKEN}`);
    const waiting = clock.pendingTimers;
    await other.ask({ action: 'ping' });
    assert.equal(clock.pendingTimers, waiting - 1, 'the message has come');
    clock.advance(firstMs - 1);
    assert.equal(clock.pendingTimers, waiting - 1);
    clock.advance(1);
    assert.match(JSON.stringify(await silent.next()), new RegExp(`too_slow.* ${firstMs} ms`));
    assert.equal(await silent.closed(), 3000);
    await other.ask({ action: 'ping' });
  });
}
