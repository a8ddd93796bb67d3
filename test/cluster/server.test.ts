/** A server that shares its store: what it says, and above all what it does not say. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { connect as connectClient } from '../../src/client/index.ts';
import { Ownership } from '../../src/cluster/ownership.ts';
import type { Cell } from '../../src/cluster/ownership-options.ts';
import type { Limits } from '../../src/runtime/limits.ts';
import { Server } from '../../src/server.ts';
import { EtcdError } from '../../src/store/etcd-error.ts';
import type { Loaded, StoreError } from '../../src/store/store.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { ask } from '../support/http-client.ts';
import { LineClient, lock, read, write } from '../support/line-client.ts';
import { MemoryDisk, MemoryStore } from '../support/memory-store.ts';
import { until } from '../support/running-server.ts';
import { WsClient } from '../support/ws-client.ts';

const TTL_MS = 10_000;

/** A store that waits for its turn. */
class SharedStore extends MemoryStore {
  readonly #ownership: Ownership;

  constructor(disk: MemoryDisk, ownership: Ownership) {
    super(disk);
    this.#ownership = ownership;
  }

  override async load(failed: (error: StoreError) => void = () => {}): Promise<Loaded> {
    await this.#ownership.acquire(failed);
    return super.load();
  }

  override freeze(): void {
    this.#ownership.stopWaiting();
  }

  override async close(): Promise<void> {
    await this.#ownership.release();
    await super.close();
  }
}

/** Servers that share a disk, and what they ask of etcd as the test has it. */
function cellOf(t: TestContext) {
  const disk = new MemoryDisk();
  const clock = new FakeClock();
  const etcd = {
    owner: undefined as string | undefined,
    /** Undefined: it does not answer. */
    isProven: true as boolean | undefined,
    isAlive: true,
  };
  const answer = <T>(value: T | undefined): Promise<T> =>
    value === undefined
      ? Promise.reject(new EtcdError('unavailable', 'a test says so'))
      : Promise.resolve(value);
  const cell: Cell = {
    owner: () => Promise.resolve(etcd.owner),
    claim: () => Promise.resolve({ lease: '1', createRevision: '2' }),
    keepAlive: () => answer(etcd.isAlive),
    prove: () => answer(etcd.isProven),
    resign: () => Promise.resolve(),
  };
  let wallMs = 0;
  const start = async (limits: Partial<Limits> = {}) => {
    const clocks = { clock, wallMs: () => clock.now() + wallMs, uptimeMs: () => clock.now() };
    const ownership = new Ownership({ cell, clocks, ttlMs: TTL_MS, address: () => 'this:9009' });
    const failures: string[] = [];
    const server = new Server({
      ...{ port: 0, clock, ownership, store: new SharedStore(disk, ownership), limits },
      storeObserver: { failed: ({ message }) => void failures.push(message) },
    });
    t.after(() => server.close());
    await server.open();
    const recovering = server.recover();
    const connect = () => LineClient.connect(t, server.address.port);
    return { server, ownership, recovering, failures, connect };
  };
  const setWall = (ms: number): void => {
    wallMs += ms;
  };
  return { clock, etcd, start, setWall };
}

const ready = async (server: Server): Promise<number> =>
  (await ask(server.address.port, '/readyz')).status;

test('one that waits says which server serves; then it serves itself', async (t) => {
  const { clock, etcd, start } = cellOf(t);
  etcd.owner = 'other:9009';
  const { server, ownership, recovering, connect } = await start();
  await until(() => ownership.ownerAddress !== undefined);
  const refused = await connect();
  refused.send(lock(write('a')));
  const error = {
    code: 'not_owner',
    message: 'the server at other:9009 serves now: connect there',
    owner: 'other:9009',
  };
  assert.deepEqual(await refused.ended(), [{ error }]);
  await assert.rejects(connectClient(`locktopus://127.0.0.1:${server.address.port}`), {
    code: 'unreachable',
    message: `no lock server serves here: ${error.message}`,
  });
  const webSocket = await WsClient.open(t, server.address.port, '/v2');
  assert.deepEqual(JSON.parse(await webSocket.next()), { error });
  const { status: v1 } = await ask(server.address.port, '/v1?namespace=a');
  assert.equal(v1, 503);
  const { status, body } = await ask(server.address.port, '/readyz');
  assert.deepEqual([status, /other:9009/.test(body)], [503, true]);
  const { port } = server.address;
  const page = await ask(port, '/', { headers: { Accept: 'text/html' } });
  assert.equal(page.status, 503);
  assert.match(page.body, /The server at <a href="\/\/other:9009\/">other:9009<\/a> serves now/);
  etcd.owner = '<b>';
  clock.advance(100);
  await until(() => ownership.ownerAddress === '<b>');
  const odd = await ask(port, '/', { headers: { Accept: 'text/html' } });
  assert.match(odd.body, /The server at &lt;b&gt; serves now/);
  // Its own lease, from before a restart.
  etcd.owner = 'this:9009';
  clock.advance(100);
  await until(() => ownership.ownerAddress === 'this:9009');
  assert.match((await ask(server.address.port, '/readyz')).body, /and no other one serves now/);
  etcd.owner = undefined;
  clock.advance(100);
  await recovering;
  const client = await connect();
  assert.equal((await client.ask({ action: 'hello' })).server, 'this:9009');
  // Time goes on from the server before, but not for what rests after costly work.
  client.send({ action: 'inspect' }, { action: 'ping' });
  assert.equal((await client.next()).action, 'inspect');
  assert.equal((await client.next()).action, 'ping');
  assert.equal((await client.ask(lock(write('a')))).state, 'acquired');
  assert.equal(await ready(server), 200);
});

test('without a proof it cuts its clients without a word, and serves again with one', async (t) => {
  const { clock, etcd, start, setWall } = cellOf(t);
  const { server, ownership, recovering, connect } = await start();
  await recovering;
  const client = await connect();
  const { session } = await client.ask({ action: 'hello', namespace: 'a' });
  const held = await client.ask({ ...lock(write('x')), ref: 1 });
  etcd.isProven = undefined;
  clock.advance(0.8 * TTL_MS);
  assert.equal((await client.ask({ action: 'ping' })).action, 'ping');
  // Any clock counts; that no timer has fired since changes nothing.
  setWall(0.2 * TTL_MS);
  client.send({ ...lock(write('x')), ref: 1 });
  assert.deepEqual(await client.ended(), []);
  assert.equal(await ready(server), 503);
  const early = await connect();
  early.send({ action: 'ping' });
  assert.match(JSON.stringify(await early.ended()), /restarting/);

  etcd.isProven = true;
  clock.advance(0.02 * TTL_MS);
  await until(() => ownership.state === 'owning');
  assert.equal(await ready(server), 200);
  const again = await connect();
  assert.equal((await again.ask({ action: 'hello', session })).locks, 1);
  assert.equal((await again.next()).id, held.id);
});

test('of clients that are cut together none is granted what another one leaves', async (t) => {
  const { etcd, start, setWall } = cellOf(t);
  const { server, recovering, connect } = await start();
  await recovering;
  const [holder, a, late] = [await connect(), await connect(), await connect()];
  const b = await WsClient.open(t, server.address.port, '/v2');
  await holder.ask(lock(read('p'), read('q')));
  // Each waits behind a write of the other, so their order does not matter.
  await a.ask(lock(write('p')));
  await b.ask(lock(read('p')));
  await b.ask(lock(write('q')));
  await a.ask(lock(read('q')));
  assert.equal(server.counts.enqueued, 4);
  etcd.isProven = undefined;
  setWall(TTL_MS);
  // The answer to the first finds that there is no proof; the second waits for its turn until then.
  late.send({ action: 'inspect' }, lock(write('late')));
  for (const client of [holder, a, late]) assert.deepEqual(await client.ended(), []);
  await b.closed();
  await until(() => server.counts.connections === 0);
  assert.deepEqual([server.counts.acquired, server.counts.enqueued], [1, 0]);
  // The next owner finds the same.
  await server.close();
  const next = await start();
  await next.recovering;
  assert.equal(next.server.recovered?.locks, 1);
});

test('a lost owner says nothing more, and is closed', async (t) => {
  for (const why of ['isProven', 'isAlive'] as const) {
    const { clock, etcd, start } = cellOf(t);
    const { recovering, failures, connect } = await start();
    await recovering;
    const client = await connect();
    await client.ask(lock(write('x')));
    etcd[why] = false;
    for (let ms = 0; ms < TTL_MS / 2; ms += TTL_MS / 50) clock.advance(TTL_MS / 50);
    assert.deepEqual(await client.ended(), []);
    assert.match(failures.join(), /has stopped serving/);
  }
});

test('the timers of restored sessions start when the owner before must be silent', async (t) => {
  const { clock, start } = cellOf(t);
  const first = await start();
  await first.recovering;
  const names: unknown[] = [];
  for (const path of ['a', 'b', 'c']) {
    const client = await first.connect();
    const hello = { action: 'hello', namespace: 'shop', abandonTimeoutMs: 1000 };
    names.push((await client.ask(hello)).session);
    await client.ask({ ...lock(write(path)), holdMs: 60_000 });
    client.socket.destroy();
  }
  await until(() => first.server.counts.connections === 0);
  await first.server.close();

  const second = await start();
  await second.recovering;
  const advance = async (ms: number): Promise<number> => {
    clock.advance(ms);
    await until(() => true);
    return second.server.counts.acquired;
  };
  // One comes back at once, and is lost again later; one comes back and stays.
  const [b, c] = [await second.connect(), await second.connect()];
  for (const [client, name] of [
    [b, names[1]],
    [c, names[2]],
  ] as const) {
    assert.equal((await client.ask({ action: 'hello', session: name })).locks, 1);
    await client.next();
  }
  assert.equal(await advance(5000), 3);
  b.socket.destroy();
  await until(() => second.server.counts.connections === 1);
  assert.equal(await advance(1000), 2, 'what is lost here is abandoned here');
  const lost = await c.ask({ action: 'inspect', path: ['a'] });
  assert.equal(lost.abandonedInMs, 1000, 'its time has not begun');
  // The end of the list.
  await c.next();
  assert.equal(await advance(TTL_MS * 1.1 - 6000), 2);
  assert.equal(await advance(999), 2);
  assert.equal(await advance(1), 1, 'what did not come back');
  assert.equal((await c.ask({ action: 'ping' })).action, 'ping');
});

test('a new owner with lower limits keeps all that is stored, and refuses what is new', async (t) => {
  const { start } = cellOf(t);
  const first = await start();
  await first.recovering;
  const [a, b] = [await first.connect(), await first.connect()];
  const hello = { action: 'hello', namespace: 'shop', abandonTimeoutMs: 60_000 };
  const [{ session: nameOfA }, { session: nameOfB }] = [await a.ask(hello), await b.ask(hello)];
  const [x, y, longer] = [write('x'), write('y'), write('a', 'long', 'path')];
  const held = await a.ask({ ...lock(x, y), ref: 1, holdMs: 60_000 });
  await a.ask({ ...lock(longer), ref: 2 });
  await b.ask({ ...lock(x), ref: 1 });
  await b.ask({ ...lock(y), ref: 2 });
  await first.server.close();

  const second = await start({
    ...{ maxLocksPerSession: 1, maxWaitersPerNamespace: 1, maxSessions: 1, maxLockBytes: 1 },
    ...{ maxResourcesPerLock: 1, maxSegmentsPerPath: 1, maxAbandonTimeoutMs: 1 },
  });
  await second.recovering;
  const states: unknown[] = [];
  const resume = async (session: unknown) => {
    const client = await second.connect();
    const { locks, abandonTimeoutMs } = await client.ask({ action: 'hello', session });
    assert.deepEqual([locks, abandonTimeoutMs], [2, 60_000]);
    states.push((await client.next()).state, (await client.next()).state);
    return client;
  };
  const [a2, b2] = [await resume(nameOfA), await resume(nameOfB)];
  assert.deepEqual(states, ['acquired', 'acquired', 'enqueued', 'enqueued']);
  // It needs no memory that it does not have.
  const { id } = held;
  assert.equal((await a2.ask({ action: 'extend', id, holdMs: 90_000 })).holdMs, 90_000);
  assert.equal((await a2.ask({ action: 'extend', id, holdMs: null })).holdMs, null);
  assert.equal((await b2.ask({ ...lock(x), ref: 1 })).state, 'enqueued');
  const refused = await b2.ask({ ...lock(write('z')), ref: 3 });
  assert.match(JSON.stringify(refused), /too_many_locks/);
  const stranger = await second.connect();
  assert.match(JSON.stringify(await stranger.ask({ action: 'hello' })), /too_many_sessions/);
  assert.equal((await a2.ask({ action: 'release', id })).state, 'released');
  assert.deepEqual([(await b2.next()).state, (await b2.next()).state], ['acquired', 'acquired']);
});
