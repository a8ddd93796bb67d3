/** What a lock may be asked with over real sockets: wait limits, hold limits, owners. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type LineClient, lock, type Reply, read, write } from '../support/line-client.ts';
import { codeOf, setUp, unreadOf } from '../support/line-server.ts';

test('waitMs 0 is answered at once, is never enqueued, and wakes nobody', async (t) => {
  const { connect, watch, server, clock } = await setUp(t);
  const [reader, client] = [await connect(), await connect()];
  await reader.ask(lock(read('a')));
  const refused = await client.ask({ ...lock(write('a')), ref: 1, waitMs: 0 });
  assert.deepEqual(refused, { action: 'lock', ref: 1, id: refused.id, state: 'timeout' });
  assert.equal((await client.ask({ ...lock(read('a')), ref: 1, waitMs: 0 })).state, 'acquired');
  assert.equal(codeOf(await client.ask({ action: 'release', id: refused.id })), 'no_such_lock');
  assert.deepEqual(await unreadOf(reader), []);
  assert.deepEqual(await unreadOf(client), []);
  assert.equal(watch.count('enqueued'), 0);
  assert.equal(watch.count('timeout'), 0);
  assert.equal(server.counts.enqueued, 0);
  assert.equal(clock.pendingTimers, 0);
});

test('waitMs n ends the wait after n milliseconds, told once, and never granted later', async (t) => {
  const { connect, clock } = await setUp(t);
  const [holder, client, behind] = [await connect(), await connect(), await connect()];
  await holder.ask(lock(read('a')));
  const enqueued = await client.ask({ ...lock(write('a')), ref: 'w', waitMs: 100 });
  assert.equal(enqueued.state, 'enqueued');
  await behind.ask(lock(read('a')));
  clock.advance(99);
  assert.deepEqual(await unreadOf(client), []);
  clock.advance(1);
  assert.deepEqual(await client.next(), { ...enqueued, state: 'timeout' });
  assert.equal((await behind.next()).state, 'acquired');
  await holder.ask({ action: 'release' });
  await behind.ask({ action: 'release' });
  assert.deepEqual(await unreadOf(client), []);
  assert.equal(codeOf(await client.ask({ action: 'release', id: enqueued.id })), 'no_such_lock');
});

test('a ref is free again after a timeout: the next request with it is a new one', async (t) => {
  const { connect, clock } = await setUp(t);
  const [holder, client] = [await connect(), await connect()];
  await holder.ask(lock(write('a')));
  const first = await client.ask({ ...lock(write('a')), ref: 1, waitMs: 5 });
  clock.advance(5);
  await client.next();
  const second = await client.ask({ ...lock(write('a')), ref: 1, waitMs: 5 });
  assert.equal(second.state, 'enqueued');
  assert.notEqual(second.id, first.id);
});

test('holdMs n releases after n milliseconds, and a release that comes too late finds nothing', async (t) => {
  const { connect, clock } = await setUp(t);
  const [client, waiter] = [await connect(), await connect()];
  const acquired = await client.ask({ ...lock(write('a')), ref: 'h', holdMs: 100 });
  await waiter.ask(lock(write('a')));
  clock.advance(99);
  assert.deepEqual(await unreadOf(client), []);
  clock.advance(1);
  assert.deepEqual(await client.next(), { ...acquired, state: 'expired' });
  assert.equal((await waiter.next()).state, 'acquired');
  assert.equal(codeOf(await client.ask({ action: 'release', id: acquired.id })), 'no_such_lock');
  assert.equal(codeOf(await client.ask({ action: 'release' })), 'no_such_lock');
});

test('a grant and an expiry at the same millisecond: both are told, once, in order', async (t) => {
  const { connect, clock, server } = await setUp(t);
  const client = await connect();
  await client.ask({ ...lock(write('a')), ref: 1, holdMs: 50 });
  await client.ask({ ...lock(write('a')), ref: 2, waitMs: 50, holdMs: 50 });
  await client.ask({ ...lock(write('a')), ref: 3, waitMs: 101 });
  clock.advance(100);
  const told = (await unreadOf(client)).map((reply) => `${reply.ref} ${reply.state}`);
  assert.deepEqual(told, ['1 expired', '2 acquired', '2 expired', '3 acquired']);
  clock.advance(1000);
  assert.deepEqual(await unreadOf(client), []);
  assert.equal(server.counts.acquired, 1);
});

test('a release just before an expiry is the only ending', async (t) => {
  const { connect, clock } = await setUp(t);
  const client = await connect();
  await client.ask({ ...lock(write('a')), holdMs: 100 });
  clock.advance(99);
  assert.equal((await client.ask({ action: 'release' })).state, 'released');
  clock.advance(1);
  assert.deepEqual(await unreadOf(client), []);
  assert.equal(clock.pendingTimers, 0);
});

test('extend sets the end of the hold anew, and is answered with what holds now', async (t) => {
  const { connect, clock } = await setUp(t);
  const [client, waiter] = [await connect(), await connect()];
  const held = await client.ask({ ...lock(write('a')), ref: 1, holdMs: 100 });
  await waiter.ask(lock(write('a')));
  clock.advance(99);
  const { id } = held;
  const extended = await client.ask({ action: 'extend', ref: 'e', holdMs: 50 });
  assert.deepEqual(extended, { action: 'extend', ref: 'e', id, holdMs: 50 });
  clock.advance(49);
  const endless = await client.ask({ action: 'extend', id, holdMs: null });
  assert.deepEqual(endless, { action: 'extend', id, holdMs: null });
  assert.equal(clock.pendingTimers, 0);
  clock.advance(1e9);
  await client.ask({ action: 'extend', id, holdMs: 200 });
  assert.equal((await client.ask({ action: 'inspect', id })).limitMs, 1e9 + 99 + 49 + 200);
  await client.next();
  clock.advance(200);
  assert.deepEqual(await client.next(), { ...held, state: 'expired' });
  assert.equal((await waiter.next()).state, 'acquired');
});

test('extend and the end of the hold have one outcome, whichever the server sees first', async (t) => {
  const { connect, clock } = await setUp(t);
  const client = await connect();
  const { id } = await client.ask({ ...lock(write('a')), holdMs: 100 });
  clock.advance(100);
  client.send({ action: 'extend', id, holdMs: 100 });
  assert.equal((await client.next()).state, 'expired');
  assert.equal(codeOf(await client.next()), 'no_such_lock');
  await client.ask({ ...lock(write('a')), holdMs: 100 });
  clock.advance(99);
  await client.ask({ action: 'extend', holdMs: 100 });
  clock.advance(1);
  assert.deepEqual(await unreadOf(client), []);
  assert.equal(clock.pendingTimers, 1);
});

test('extend is for an acquired lock of the session alone, and else changes nothing', async (t) => {
  const { connect, clock } = await setUp(t);
  const [client, other] = [await connect(), await connect()];
  const refusal = async (fields: object) =>
    codeOf(await client.ask({ action: 'extend', ...fields }));
  assert.equal(await refusal({ holdMs: 1 }), 'no_such_lock');
  const held = await other.ask({ ...lock(write('a')), holdMs: 100 });
  assert.equal(await refusal({ id: held.id, holdMs: 1 }), 'no_such_lock');
  const waiting = await client.ask({ ...lock(write('a')), ref: 1, holdMs: 30 });
  assert.equal(await refusal({ holdMs: 1 }), 'not_acquired');
  await client.ask(lock(write('b')));
  assert.equal(await refusal({ holdMs: 1 }), 'id_needed');
  assert.equal(await refusal({ id: waiting.id }), 'bad_request');
  clock.advance(100);
  assert.deepEqual(await client.next(), { ...waiting, state: 'acquired' });
  clock.advance(29);
  assert.deepEqual(await unreadOf(client), []);
  clock.advance(1);
  assert.deepEqual(await client.next(), { ...waiting, state: 'expired' });
});

test('a seat comes free when its holder dies', async (t) => {
  const { connect, greet, cut, clock } = await setUp(t);
  const seat = lock({ type: 'read', path: ['gpu'], limit: 1 });
  const { client } = await greet({ abandonTimeoutMs: 100 });
  await client.ask(seat);
  const waiters = [await connect(), await connect()];
  for (const waiter of waiters) await waiter.ask(seat);
  await cut(client);
  for (const waiter of waiters) {
    clock.advance(100);
    assert.equal((await waiter.next()).state, 'acquired');
    await waiter.ask({ action: 'release' });
  }
});

test('a deadlock is refused with its cycle, and nothing of the request is left', async (t) => {
  const { greet, server } = await setUp(t);
  const { client: a } = await greet({ label: 'first' });
  const { client: b } = await greet();
  const heldByA = await a.ask({ ...lock(write('x')), owner: 'job' });
  const heldByB = await b.ask({ ...lock(write('y', 'z')), owner: 'job' });
  const waiting = await a.ask({ ...lock(read('y')), owner: 'job' });
  assert.equal(waiting.state, 'enqueued');
  const refused = await b.ask({ ...lock(write('x', 'deep')), ref: 9, owner: 'job' });
  const { code, message, cycle } = refused.error as Record<string, unknown>;
  assert.equal(refused.ref, 9);
  assert.equal(code, 'deadlock');
  assert.match(String(message), /^"job" waits for "job" waits for "job": /);
  const [first, second] = cycle as Record<string, unknown>[];
  assert.deepEqual(first, {
    owner: 'job',
    id: first?.id,
    waitsFor: heldByA.id,
    relation: 'above',
    path: ['x'],
  });
  assert.deepEqual(second, {
    owner: 'job',
    session: 'first',
    id: waiting.id,
    waitsFor: heldByB.id,
    relation: 'below',
    path: ['y'],
  });
  assert.equal(server.counts.enqueued, 1);
  assert.equal((await b.ask({ ...lock(write('q')), ref: 9 })).state, 'acquired', 'the ref is free');
  await b.ask({ action: 'release', id: heldByB.id });
  assert.deepEqual(await a.next(), { ...waiting, state: 'acquired' });
});

/** Closes a circle of `count` owners, each of whom holds one of `paths` and waits for the next. */
async function closeCircle(client: LineClient, names: string[], paths: string[][]): Promise<Reply> {
  for (const [i, path] of paths.entries())
    await client.ask({ ...lock(write(...path)), owner: names[i] });
  let reply: Reply = {};
  for (const [i, owner] of names.entries()) {
    reply = await client.ask({ ...lock(write(...(paths[i + 1] ?? paths[0] ?? []))), owner });
  }
  return reply;
}

test('of a long circle the first ten links are told, and how many more there are', async (t) => {
  const { connect } = await setUp(t);
  const names = Array.from({ length: 30 }, (_, i) => `${i}-${'n'.repeat(200)}`);
  const reply = await closeCircle(
    await connect(),
    names,
    names.map((_, i) => [`${i}`]),
  );
  const { code, message, cycle, cycleMore } = reply.error as Record<string, unknown>;
  assert.equal(code, 'deadlock');
  const owners = (cycle as Record<string, unknown>[]).map(({ owner }) => owner);
  assert.deepEqual(owners, [names[29], ...names.slice(0, 9)], 'from the one that asked on');
  assert.equal(cycleMore, 20);
  assert.match(
    String(message),
    /^"29-n+\.\.\." waits for "0-n+\.\.\." .* 20 more, the last of which waits for "29-n+\.\.\.": release/,
  );
  assert.ok(String(message).length < 1200, 'names are shortened');
});

test('of a circle of long paths so many links are told that the reply stays short', async (t) => {
  const { connect } = await setUp(t);
  const deep = Array.from({ length: 50 }, () => 'x'.repeat(100));
  const names = Array.from({ length: 8 }, (_, i) => `${i}`);
  const reply = await closeCircle(
    await connect(),
    names,
    names.map((name) => [name, ...deep]),
  );
  const { cycle, cycleMore } = reply.error as Record<string, unknown>;
  assert.equal((cycle as unknown[]).length, 1);
  assert.equal(cycleMore, 7);
  assert.ok(JSON.stringify(reply).length < 8000);
});

test('an owner that has ended its locks can no longer be in a circle', async (t) => {
  const { connect } = await setUp(t);
  const [a, b] = [await connect(), await connect()];
  const held = await a.ask({ ...lock(write('x')), owner: 'a' });
  await b.ask({ ...lock(write('y')), owner: 'b' });
  await a.ask({ ...lock(write('y')), owner: 'a' });
  await a.ask({ action: 'release', id: held.id });
  assert.equal((await b.ask({ ...lock(write('x')), owner: 'b' })).state, 'acquired');
  await a.ask({ action: 'bye' });
  assert.equal((await b.ask({ ...lock(write('x')), owner: 'c' })).state, 'enqueued');
});

test('without an owner nothing is refused', async (t) => {
  const { connect } = await setUp(t);
  const [a, b] = [await connect(), await connect()];
  await a.ask({ ...lock(write('x')), owner: 'a' });
  await b.ask(lock(write('y')));
  assert.equal((await a.ask({ ...lock(write('y')), owner: 'a' })).state, 'enqueued');
  assert.equal((await b.ask(lock(write('x')))).state, 'enqueued');
  assert.equal((await b.ask(lock(write('y')))).state, 'enqueued');
});

test('a try is told timeout, not deadlock', async (t) => {
  const { connect } = await setUp(t);
  const client = await connect();
  await client.ask({ ...lock(write('x')), owner: 'a' });
  assert.equal((await client.ask({ ...lock(write('x')), owner: 'a', waitMs: 0 })).state, 'timeout');
});
