/** A server with a store, over real sockets: what clients see of commits, restarts and failures. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { WebSocket } from 'ws';
import { connect } from '../../src/client/index.ts';
import { Server } from '../../src/server.ts';
import type { ServerOptions } from '../../src/server-options.ts';
import { StoreError } from '../../src/store/store.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { ask } from '../support/http-client.ts';
import { LineClient, lock, read, write } from '../support/line-client.ts';
import { liveAfter, MemoryDisk, MemoryStore } from '../support/memory-store.ts';
import { NOTHING_LEFT, startServer, until } from '../support/running-server.ts';
import { V1Client } from '../support/v1-client.ts';
import { WsClient } from '../support/ws-client.ts';

/** A server whose commits wait for `store.finish()`; by its clock none is slow unless a test says so. */
async function startHeld(t: TestContext, options: ServerOptions = {}) {
  let begun = 0;
  const disk = new MemoryDisk();
  let isLetGo = false;
  const store: MemoryStore = new MemoryStore(disk, {
    isHeld: true,
    begun: () => {
      begun++;
      if (isLetGo) store.finish();
    },
  });
  const server = new Server({ port: 0, clock: new FakeClock(), store, ...options });
  await server.listen();
  t.after(() => {
    letGo();
    return server.close();
  });
  const client = await LineClient.connect(t, server.address.port);
  /** Waits for the n-th commit to begin. */
  const commit = (n: number): Promise<void> => until(() => begun === n);
  /** Commits end at once from now on. */
  const letGo = (): void => {
    isLetGo = true;
    store.finish();
  };
  return { disk, store, server, client, commit, letGo };
}

/** Starts servers one after another on the same disk. */
function restarts(t: TestContext, options: ServerOptions = {}) {
  const disk = new MemoryDisk();
  const clock = new FakeClock();
  const start = () => startServer(t, { clock, store: new MemoryStore(disk), ...options });
  const connect = (server: Server) => LineClient.connect(t, server.address.port);
  return { disk, clock, start, connect };
}

/** Stops `server` as a signal does; its clients are of this test, and close their side. */
async function stop(server: Server, ...clients: LineClient[]): Promise<void> {
  const stopped = server.drain(0);
  for (const client of clients) {
    const [goodbye] = await client.ended();
    assert.match(JSON.stringify(goodbye), /"restarting"/);
    client.socket.destroy();
  }
  await stopped;
}

/** Lets what is about to happen wrongly happen. */
async function someTurns(): Promise<void> {
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
}

const RELEASE = { action: 'release' };

test('no answer comes before its batch is stored, and one that needs none does not wait', async (t) => {
  const { store, client, commit, disk } = await startHeld(t);
  assert.equal((await client.ask({ action: 'ping' })).action, 'ping', 'nothing is to be stored');
  client.send(lock(write('a')));
  await commit(1);
  client.send({ action: 'ping' });
  await someTurns();
  assert.deepEqual(client.unread, [], 'not even a later answer');
  assert.equal(disk.records.length, 0);
  store.finish();
  assert.equal((await client.next()).state, 'acquired');
  assert.equal((await client.next()).action, 'ping');
  assert.equal(disk.records.length, 2, 'a session and its lock');
});

test('a grant waits for the release that causes it, and both go into one batch', async (t) => {
  const { store, client, server, commit } = await startHeld(t);
  const waiter = await LineClient.connect(t, server.address.port);
  client.send(lock(write('a')));
  await commit(1);
  store.finish();
  await client.next();
  waiter.send(lock(write('a')));
  await commit(2);
  store.finish();
  await waiter.next();
  client.send(RELEASE);
  await commit(3);
  assert.equal(store.underWay?.records.length, 1);
  assert.deepEqual([client.unread, waiter.unread], [[], []]);
  store.finish();
  assert.equal((await client.next()).state, 'released');
  assert.equal((await waiter.next()).state, 'acquired');
});

test('a lock that begins and ends in one batch is not stored', async (t) => {
  const { client, disk, store } = await startHeld(t);
  client.send(lock(write('a')), RELEASE);
  assert.equal((await client.next()).state, 'acquired');
  assert.equal((await client.next()).state, 'released');
  assert.deepEqual(disk.records.length, 0);
  assert.equal(store.underWay, undefined);
});

test('over 64 KiB of answers in one go wait as well', async (t) => {
  const { client, store, commit } = await startHeld(t);
  const label = 'x'.repeat(200);
  client.send(lock(write('a')));
  await commit(1);
  store.finish();
  const { id } = await client.next();
  // The releases come first in the output, and what they report is recorded last.
  client.send({ action: 'release', id }, ...Array(400).fill({ action: 'ping', ref: label }));
  await commit(2);
  await someTurns();
  assert.deepEqual(client.unread, []);
  store.finish();
  assert.equal((await client.next()).state, 'released');
});

test('the connection of a client that says bye ends when its end is stored', async (t) => {
  const { client, store, commit } = await startHeld(t);
  client.send(lock(write('a')));
  await commit(1);
  store.finish();
  await client.next();
  client.send({ action: 'bye' });
  await commit(2);
  assert.equal(client.socket.readableEnded, false);
  store.finish();
  assert.deepEqual(await client.ended(), [{ action: 'bye' }]);
});

test('after a restart a session has its locks, its places and its limits', async (t) => {
  const { clock, start, connect } = restarts(t);
  const first = await start();
  const [a, b] = [await connect(first), await connect(first)];
  const { session } = await a.ask({ action: 'hello', namespace: 'shop' });
  const { session: other } = await b.ask({ action: 'hello', namespace: 'shop', label: 'b' });
  const held = await a.ask({ ...lock(write('x'), read('y')), ref: 'h', holdMs: 1000 });
  const waiting = await b.ask({ ...lock(write('x')), ref: 'w', waitMs: 5000, owner: 'o' });
  clock.advance(400);
  await stop(first, a, b);
  clock.advance(100_000);

  const second = await start();
  assert.deepEqual(second.recovered && { ...second.recovered, ms: 0, bytes: 0 }, {
    ...{ sessions: 2, locks: 2, ms: 0, bytes: 0 },
  });
  const [c, d] = [await connect(second), await connect(second)];
  assert.equal((await c.ask({ action: 'hello', session })).locks, 1);
  assert.deepEqual(await c.next(), { action: 'lock', ref: 'h', id: held.id, state: 'acquired' });
  assert.equal((await d.ask({ action: 'hello', session: other })).sessionId, '2');
  assert.deepEqual(await d.next(), { action: 'lock', ref: 'w', id: waiting.id, state: 'enqueued' });
  clock.advance(599);
  assert.equal((await c.ask({ action: 'ping' })).action, 'ping', 'the hold has not ended');
  clock.advance(1);
  assert.equal((await c.next()).state, 'expired');
  assert.equal((await d.next()).state, 'acquired');
  const { id } = await c.ask(lock(write('z')));
  assert.ok(Number(id) > Number(waiting.id), 'ids rise');
});

test('what is not resumed ends at the abandon timeout, counted from the restart', async (t) => {
  const { disk, clock, start, connect } = restarts(t, { defaultAbandonTimeoutMs: 1000 });
  const first = await start();
  const [holder, waiter] = [await connect(first), await connect(first)];
  await holder.ask(lock(write('x')));
  await waiter.ask(lock(write('x')));
  await stop(first, holder, waiter);
  const second = await start();
  assert.deepEqual(
    { acquired: second.counts.acquired, enqueued: second.counts.enqueued },
    { acquired: 1, enqueued: 0 },
    'without a name, the waiter has left the queue',
  );
  clock.advance(999);
  assert.equal(second.counts.sessions, 1);
  clock.advance(1);
  assert.deepEqual(second.counts, NOTHING_LEFT);
  await until(() => disk.records.some((record) => record.includes('deleteSession')));
});

test('a stop grants no lock to a client that is gone', async (t) => {
  const events: string[] = [];
  const lockObserver = {
    enqueued: () => {},
    acquired: () => void events.push('acquired'),
    released: (_: unknown, cause: string) => void events.push(cause),
  };
  const { disk, start, connect } = restarts(t, { lockObserver });
  const server = await start();
  const [holder, a, b] = [await connect(server), await connect(server), await connect(server)];
  await holder.ask(lock(read('x'), read('y')));
  // Each waits behind a write of the other, so their order does not matter.
  await a.ask(lock(write('x')));
  await b.ask(lock(read('x')));
  await b.ask(lock(write('y')));
  await a.ask(lock(read('y')));
  await stop(server, holder, a, b);
  assert.deepEqual(events, ['acquired', 'lost', 'lost', 'lost', 'lost', 'ended']);
  assert.equal(liveAfter(disk.records).locks.length, 5, 'they are kept');
});

test('a v1 client gets 1001, and its lock is kept for the abandon timeout', async (t) => {
  const { clock, start, connect } = restarts(t, { defaultAbandonTimeoutMs: 1000 });
  const first = await start();
  const v1 = await V1Client.connect(t, first.address.port);
  await v1.acquire(write('x'));
  const stopped = first.drain(0);
  assert.equal((await v1.closed()).code, 1001);
  await stopped;
  const second = await start();
  const other = await connect(second);
  await other.ask({ action: 'hello', namespace: 'test' });
  assert.equal((await other.ask(lock(write('x')))).state, 'enqueued');
  clock.advance(1000);
  assert.equal((await other.next()).state, 'acquired');
});

test('until it is ready a server says so, to clients and probes', async (t) => {
  const disk = new MemoryDisk();
  const store = new MemoryStore(disk);
  let loaded = (): void => {};
  const load = store.load.bind(store);
  store.load = async () => {
    await new Promise<void>((resolve) => (loaded = resolve));
    return load();
  };
  const server = new Server({ port: 0, store });
  const listening = server.listen();
  t.after(() => server.close());
  await until(() => server.addresses.length > 0);
  const { port } = server.address;
  const early = await LineClient.connect(t, port);
  early.send(lock(write('a')));
  const [refused] = await early.ended();
  assert.match(JSON.stringify(refused), /"restarting"/);
  const webSocket = await WsClient.open(t, port, '/v2');
  assert.deepEqual(JSON.parse(await webSocket.next()), refused);
  assert.equal((await webSocket.closed()).code, 1001);
  assert.equal((await ask(port, '/v1?namespace=a')).status, 503);
  // It waits for a server that starts, whatever it speaks.
  const waiting = connect(`ws://127.0.0.1:${port}`, { WebSocket });
  assert.equal((await ask(port, '/livez')).status, 200);
  const { status, body } = await ask(port, '/readyz');
  assert.deepEqual(
    { status, body },
    { status: 503, body: 'The server is starting: it restores its locks.\n' },
  );
  assert.equal((await ask(port, '/')).status, 503);
  loaded();
  await listening;
  assert.equal((await ask(port, '/readyz')).status, 200);
  const late = await LineClient.connect(t, port);
  assert.equal((await late.ask(lock(write('a')))).state, 'acquired');
  await (await waiting).close();
});

test('a store that fails ends the server without another word', async (t) => {
  const failures: string[] = [];
  const storeObserver = { failed: (error: Error) => void failures.push(error.message) };
  const { client, server, store, commit } = await startHeld(t, { storeObserver });
  const { port } = server.address;
  client.send(lock(write('a')));
  await commit(1);
  store.fail();
  assert.deepEqual(await client.ended(), []);
  assert.deepEqual(failures, ['the memory has failed']);
  const late = LineClient.connect(t, port).then((other) => other.ended());
  assert.deepEqual(await late.catch(() => []), []);
});

test('a store that notices by itself that it can not go on ends the server', async () => {
  const store = new MemoryStore();
  let failed = (_: StoreError): void => {};
  const load = store.load.bind(store);
  store.load = (whenFailed = failed) => {
    failed = whenFailed;
    return load();
  };
  const failures: string[] = [];
  const storeObserver = { failed: (error: Error) => void failures.push(error.message) };
  const server = new Server({ port: 0, store, storeObserver });
  await server.listen();
  failed(new StoreError('the claim is lost'));
  assert.deepEqual(failures, ['the claim is lost']);
  await server.close();
});

test('a server that is closed while it starts gives up its store', async () => {
  for (const step of ['load', 'start'] as const) {
    const disk = new MemoryDisk();
    const store = new MemoryStore(disk);
    let goOn = (): void => {};
    const original: (...args: never[]) => Promise<unknown> = store[step].bind(store);
    const reached = new Promise<void>((resolve) => {
      const slow = async (...args: never[]): Promise<unknown> => {
        resolve();
        await new Promise<void>((done) => (goOn = done));
        return original(...args);
      };
      Object.assign(store, { [step]: slow });
    });
    const server = new Server({ port: 0, store });
    const listening = server.listen();
    await reached;
    const closed = server.close();
    await someTurns();
    goOn();
    await assert.rejects(listening, /closed while starting/, step);
    await closed;
    assert.equal(disk.user, undefined, step);
    assert.equal(server.counts.namespaces, 0);
  }
  const server = new Server({ port: 0, store: new MemoryStore() });
  const listening = server.listen();
  const closed = server.close();
  await assert.rejects(listening, /closed while starting/);
  await closed;
});

test('a store that can not be loaded keeps the server from starting', async (t) => {
  const disk = new MemoryDisk();
  await startServer(t, { store: new MemoryStore(disk) });
  const second = new Server({ port: 0, store: new MemoryStore(disk) });
  await assert.rejects(second.listen(), /the memory is in use by another store/);
});

test('while the store is slow, input waits, probes say so, and then all goes on', async (t) => {
  const clock = new FakeClock();
  const { client, server, store, commit } = await startHeld(t, { clock });
  const { port } = server.address;
  client.send(lock(write('a')));
  await commit(1);
  clock.advance(1001);
  assert.equal((await ask(port, '/readyz')).status, 503);
  client.send(RELEASE);
  await someTurns();
  client.send({ action: 'ping' });
  await someTurns();
  store.finish();
  assert.equal((await client.next()).state, 'acquired');
  await commit(2);
  store.finish();
  assert.equal((await client.next()).state, 'released');
  assert.equal((await client.next()).action, 'ping');
  assert.equal((await ask(port, '/readyz')).status, 200);
});

test('no client is timed out because the store is slow: it has its time anew afterwards', async (t) => {
  const clock = new FakeClock();
  const { client, server, store, commit } = await startHeld(t, { clock });
  const { port } = server.address;
  const [quiet, webSocket] = [
    await LineClient.connect(t, port),
    await WsClient.open(t, port, '/v2'),
  ];
  await quiet.ask({ action: 'hello', heartbeatMs: 2000 });
  await webSocket.ask({ action: 'hello' });
  client.send(lock(write('a')));
  await commit(1);
  clock.advance(1001);
  // The first half of a message is read still, but not the other.
  const late = await WsClient.open(t, port, '/v2');
  late.socket.send('{"action":', { fin: false });
  const slow = await LineClient.connect(t, port);
  slow.socket.write('{"action":');
  await someTurns();
  late.socket.send('"ping"}');
  slow.socket.write('"ping"}\n');
  await someTurns();
  clock.advance(300_000);
  await someTurns();
  assert.equal(server.counts.connections, 5);
  store.finish();
  assert.equal((await client.next()).state, 'acquired');
  assert.equal((await slow.next()).action, 'ping');
  assert.equal(JSON.parse(await late.next()).action, 'ping');
  clock.advance(1999);
  assert.equal((await quiet.ask({ action: 'ping' })).action, 'ping');
  clock.advance(2000);
  assert.match(JSON.stringify(await quiet.ended()), /"silent"/);
});

test('the metrics of the store are there with a store only', async (t) => {
  const without = await startServer(t);
  assert.doesNotMatch((await ask(without.address.port, '/metrics')).body, /locktopus_store/);
  const server = await startServer(t, { store: new MemoryStore() });
  const client = await LineClient.connect(t, server.address.port);
  await client.ask(lock(write('a')));
  const { body } = await ask(server.address.port, '/metrics');
  assert.match(body, /^locktopus_store_commit_seconds_count 1$/m);
  assert.match(body, /^locktopus_store_records_total 2$/m);
  assert.match(body, /^locktopus_store_recovered\{kind="locks"\} 0$/m);
  assert.match(body, /^locktopus_store_held_back_bytes 0$/m);
  client.socket.destroy();
  await once(client.socket, 'close');
});

/** What a watcher hears of so many locks that are stored together: events, and events dropped. */
async function watched(t: TestContext, count: number) {
  const { client, server, letGo } = await startHeld(t);
  const watcher = await LineClient.connect(t, server.address.port);
  await watcher.ask({ action: 'watch', path: [] });
  const label = 'x'.repeat(200);
  client.send(...Array.from({ length: count }, (_, i) => ({ ...lock(write(String(i))), label })));
  while (server.counts.acquired < count) await someTurns();
  letGo();
  let [events, dropped] = [0, 0];
  while (events + dropped < count) {
    const message = await watcher.next();
    if (message.dropped === undefined) events++;
    else dropped += Number(message.dropped);
  }
  return { events, dropped };
}

test('a watcher that reads misses nothing because of the store', async (t) => {
  assert.deepEqual(await watched(t, 1000), { events: 1000, dropped: 0 });
});

test('a watcher for whom too much is held back is told how much it misses', async (t) => {
  const { dropped } = await watched(t, 5000);
  assert.ok(dropped > 0);
});

test('a store that can not be written at the start says why, and nothing else', async () => {
  const store = new MemoryStore();
  store.start = () => Promise.reject(new StoreError('no space is left'));
  const failures: string[] = [];
  const storeObserver = { failed: (error: Error) => void failures.push(error.message) };
  const server = new Server({ port: 0, store, storeObserver });
  await assert.rejects(server.listen(), /no space is left/);
  assert.deepEqual(failures, []);
});
