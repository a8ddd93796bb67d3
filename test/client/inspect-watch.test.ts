/** Looking on: inspect and namespaces with their pages, watch with what it misses, stats, ping, evict. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import {
  type InspectedLock,
  type ListedNamespace,
  read,
  type WatchEvent,
  write,
} from '../../src/client/index.ts';
import { CuttingProxy } from '../support/cutting-proxy.ts';
import { LineClient } from '../support/line-client.ts';
import { Random } from '../support/random.ts';
import { startServer, until } from '../support/running-server.ts';
import { ScriptedServer } from './scripted-server.ts';
import { connected, next } from './support.ts';

async function setUp(t: TestContext) {
  const server = await startServer(t);
  const url = `locktopus://127.0.0.1:${server.address.port}/shop`;
  return { server, url, join: (label?: string) => connected(t, url, { label }) };
}

async function all(locks: AsyncIterable<InspectedLock>): Promise<InspectedLock[]> {
  const list: InspectedLock[] = [];
  for await (const lock of locks) list.push(lock);
  return list;
}

test('inspect lists holders and waiters', async (t) => {
  const { server, join } = await setUp(t);
  const [till, shelf] = [await join('till'), await join()];
  const held = await till.lock([write('orders', 17), read('prices')], {
    ...{ label: 'checkout', owner: 'work', holdMs: 60_000 },
  });
  const wait = shelf.lock(read('orders'), { waitMs: 60_000 });
  const waited = wait.then((lock) => lock.release());
  await until(() => server.counts.enqueued === 1);
  const [first, second, ...others] = await all(shelf.inspect({ path: ['orders'] }));
  assert.deepEqual(others, []);
  assert.ok(first !== undefined && second !== undefined);
  const { client, forMs, sessionId, ...rest } = first;
  assert.match(client, /^127\.0\.0\.1:/);
  assert.ok(forMs >= 0);
  assert.equal(sessionId, till.sessionId);
  assert.deepEqual(rest, {
    ...{ id: held.id, state: 'acquired', place: 'below', lost: false },
    ...{ session: 'till', label: 'checkout', owner: 'work', limitMs: 60_000 },
    resources: held.resources,
    ...{ moreResources: 0, waitsFor: [], waitsForMore: false },
  });
  assert.deepEqual(second.waitsFor, [
    { id: held.id, state: 'acquired', relation: 'below', path: ['orders'] },
  ]);
  assert.deepEqual(await all(shelf.inspect({ path: ['customers'] })), []);
  assert.equal((await all(shelf.inspect({ id: held.id }))).length, 1);
  await assert.rejects(all(shelf.inspect({ id: '1' })), { code: 'no_such_lock' });
  assert.deepEqual(await shelf.stats(), {
    ...{ namespace: 'shop', sessions: 2, paths: 3 },
    locks: { acquired: 1, enqueued: 1 },
    resources: { acquired: 2, enqueued: 1 },
  });
  await held.release();
  await waited;
});

test('inspect says for how long the locks of a lost session are kept', async (t) => {
  const { server, join } = await setUp(t);
  const client = await join();
  const other = await LineClient.connect(t, server.address.port);
  await other.ask({ action: 'hello', namespace: 'shop', abandonTimeoutMs: 100_000 });
  const { id } = await other.ask({ action: 'lock', resources: [{ type: 'write', path: ['a'] }] });
  const { connections } = server.counts;
  other.socket.destroy();
  await until(() => server.counts.connections < connections);
  const [lock] = await all(client.inspect());
  assert.deepEqual([lock?.id, lock?.lost], [id, true]);
  const { abandonedInMs = 0 } = lock ?? {};
  assert.ok(abandonedInMs > 0 && abandonedInMs <= 100_000, String(abandonedInMs));
});

test('inspect fetches page after page', async (t) => {
  const { join } = await setUp(t);
  const client = await join();
  const locks = await Promise.all(Array.from({ length: 1203 }, (_, i) => client.lock(write(i))));
  const ids = (await all(client.inspect())).map(({ id }) => id);
  assert.deepEqual(
    ids,
    locks.map(({ id }) => id),
  );
  let count = 0;
  for await (const _ of client.inspect()) if (++count === 3) break;
  assert.equal(await client.evict({ sessionId: client.sessionId }), 1203);
});

test('namespaces are listed with their sessions and locks, page after page', async (t) => {
  const { url, join } = await setUp(t);
  const client = await join();
  await client.lock(write('a'));
  const names = Array.from({ length: 503 }, (_, i) => `n${1000 + i}`);
  const server = Number(new URL(url).port);
  for (const namespace of names) {
    const other = await LineClient.connect(t, server);
    await other.ask({ action: 'hello', namespace });
  }
  const listed: ListedNamespace[] = [];
  for await (const one of client.namespaces()) listed.push(one);
  const locks = { acquired: 0, enqueued: 0 };
  assert.deepEqual(listed, [
    ...names.map((namespace) => ({ namespace, sessions: 1, locks })),
    { namespace: 'shop', sessions: 1, locks: { acquired: 1, enqueued: 0 } },
  ]);
  const signal = AbortSignal.abort(new Error('enough'));
  await assert.rejects(client.namespaces({ signal }).next(), /enough/);
});

test('watch reports what happens at and below a path', async (t) => {
  const { join } = await setUp(t);
  const [watcher, other] = [await join(), await join('till')];
  const orders = watcher.watch({ path: ['orders'] });
  const prices = watcher.watch({ path: ['prices'] });
  const first = orders.next();
  await watcher.ping();
  await (await other.lock(write('prices'))).release();
  const lock = await other.lock(write('orders', 17), { label: 'checkout' });
  const { value: event } = await first;
  assert.ok(event?.event === 'acquired');
  const { client, atMs, ...rest } = event;
  assert.match(client, /^127\.0\.0\.1:/);
  assert.deepEqual(rest, {
    ...{
      event: 'acquired',
      sessionId: other.sessionId,
      id: lock.id,
      resources: lock.resources,
      moreResources: 0,
    },
    ...{ session: 'till', label: 'checkout' },
  });
  await lock.release();
  const { value: released } = await orders.next();
  assert.ok(released?.event === 'released' && released.atMs >= atMs);
  const kinds: string[] = [];
  for await (const { event } of prices) {
    kinds.push(event);
    if (kinds.length === 2) break;
  }
  assert.deepEqual(kinds, ['acquired', 'released']);
  assert.deepEqual(await prices.next(), { done: true, value: undefined });
});

test('a watch ends with its signal, on the server too', async (t) => {
  const { join } = await setUp(t);
  const client = await join();
  const controller = new AbortController();
  const reason = new Error('enough');
  const events: WatchEvent[] = [];
  const watching = (async () => {
    for await (const event of client.watch({ signal: controller.signal })) {
      events.push(event);
      controller.abort(reason);
    }
  })();
  const lock = await client.lock(write('a'));
  await assert.rejects(watching, reason);
  await lock.release();
  await client.ping();
  assert.equal(events.length, 1);
  await assert.rejects(client.watch({ signal: controller.signal }).next(), reason);
});

test('a watch goes on with the next connection and reports that events may be missing', async (t) => {
  const { server } = await setUp(t);
  const proxy = new CuttingProxy(new Random(1), server.address.port);
  proxy.isCutting = false;
  const client = await connected(t, `locktopus://127.0.0.1:${await proxy.listen(t)}`);
  const events = client.watch();
  const resumed = next(client, 'resumed');
  proxy.cut();
  await resumed;
  assert.deepEqual(await events.next(), {
    done: false,
    value: { event: 'dropped', count: undefined },
  });
  await client.lock(write('a'));
  assert.equal((await events.next()).value?.event, 'acquired');
});

test('a refused watch rejects', async (t) => {
  const server = await startServer(t, { limits: { maxWatches: 1 } });
  const client = await connected(t, `locktopus://127.0.0.1:${server.address.port}`);
  const first = client.watch({ path: ['a'] });
  const same = client.watch({ path: ['a'] });
  await assert.rejects(client.watch({ path: ['b'] }).next(), { code: 'too_many_watches' });
  await client.lock(write('a'));
  assert.equal((await first.next()).value?.event, 'acquired');
  assert.equal((await same.next()).value?.event, 'acquired');
});

const EVENT = {
  ...{ action: 'watch', event: 'acquired', id: '1', atMs: 5, client: 'x', sessionId: '2' },
  resources: [{ type: 'write', path: ['a'] }],
};

test('an event of a later server is passed over', async (t) => {
  const server = new ScriptedServer();
  const { client, connection } = await server.join(t);
  const events = client.watch();
  connection.take('watch');
  connection.say({ ...EVENT, event: 'promoted' });
  connection.say({ ...EVENT, event: 'released' });
  assert.equal((await events.next()).value?.event, 'released');
});

test('a slow reader learns how many events it missed', async (t) => {
  const server = new ScriptedServer();
  const { client, connection } = await server.join(t);
  const events = client.watch();
  connection.take('watch');
  for (let i = 0; i < 10_007; i++) connection.say(EVENT);
  connection.say({ action: 'watch', dropped: 5 });
  for (let i = 0; i < 10_000; i++) assert.equal((await events.next()).value?.event, 'acquired');
  assert.deepEqual((await events.next()).value, { event: 'dropped', count: 12 });
});
