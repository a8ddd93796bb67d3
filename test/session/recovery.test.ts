/**
 * What a server restores after a crash. First the property that all of it rests on: the state of a
 * table, and all it does later, is a function of its live locks in order of arrival. Then sessions,
 * time and ids, through a store.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ShiftedClock } from '../../src/runtime/clock.ts';
import { IdCounter } from '../../src/runtime/id-counter.ts';
import { DEFAULT_LIMITS } from '../../src/runtime/limits.ts';
import { Counters } from '../../src/session/counters.ts';
import type { SessionLock } from '../../src/session/lock-record.ts';
import { Namespaces } from '../../src/session/namespace.ts';
import { Session } from '../../src/session/session.ts';
import type { Peer } from '../../src/session/session-host.ts';
import { Persistence } from '../../src/store/persistence.ts';
import type { Lock } from '../../src/table/lock.ts';
import { LockTable } from '../../src/table/lock-table.ts';
import type { Resource } from '../../src/table/resource.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { MemoryDisk, MemoryStore } from '../support/memory-store.ts';
import { type Random, withSeeds } from '../support/random.ts';
import { limited, read, write } from '../support/resources.ts';
import { mustGet } from '../support/session-host.ts';

/** A table with only the live locks of another, entered in order of arrival. */
function rebuild(alive: ReadonlyMap<number, Lock>) {
  let nextId = 0;
  const table = new LockTable(() => nextId);
  const locks = new Map<number, Lock>();
  for (const id of [...alive.keys()].sort((a, b) => a - b)) {
    nextId = id;
    locks.set(id, table.lock(alive.get(id)?.resources ?? [], undefined));
  }
  return { table, locks };
}

function statesOf(locks: ReadonlyMap<number, Lock>): Record<number, string> {
  return Object.fromEntries([...locks].map(([id, { state }]) => [id, state]));
}

test('random tables that are rebuilt are in the same state, and go on in the same way', () => {
  withSeeds(150, (random) => {
    const segments = ['a', 'b', 'c'].slice(0, 1 + random.below(3));
    const depth = random.below(4);
    const [writesPer10, limitsPer10] = [random.below(11), random.pick([0, 5, 10])];
    const most = random.pick([4, 8, 20]);
    const table = new LockTable();
    const alive = new Map<number, Lock>();
    for (let step = 0; step < 80; step++) {
      if (alive.size > 0 && (alive.size >= most || random.oneIn(2))) {
        const lock = random.pick([...alive.values()]);
        table.release(lock);
        alive.delete(lock.id);
      } else {
        const count = 1 + random.below(3);
        const resources = Array.from({ length: count }, () => drawResource());
        const lock = table.lock(resources, undefined);
        alive.set(lock.id, lock);
      }
      if (step % 4 === 0) assert.deepEqual(statesOf(rebuild(alive).locks), statesOf(alive));
    }
    releaseAll(random, table, alive);

    function drawResource(): Resource {
      const path = Array.from({ length: random.below(depth + 1) }, () => random.pick(segments));
      if (random.below(10) < writesPer10) return { type: 'write', path };
      if (random.below(10) >= limitsPer10) return { type: 'read', path };
      return { type: 'read', path, limit: 1 + random.below(3) };
    }
  });
});

/** Every release must grant the same locks in both tables. */
function releaseAll(random: Random, table: LockTable, alive: Map<number, Lock>): void {
  const rebuilt = rebuild(alive);
  while (alive.size > 0) {
    const id = random.pick([...alive.keys()]);
    const [lock, twin] = [alive.get(id), rebuilt.locks.get(id)];
    assert.ok(lock !== undefined && twin !== undefined);
    alive.delete(id);
    rebuilt.locks.delete(id);
    const [granted, grantedTwins] = [table.release(lock), rebuilt.table.release(twin)];
    assert.deepEqual(idsOf(grantedTwins), idsOf(granted));
    rebuilt.table.verify();
    assert.deepEqual(statesOf(rebuilt.locks), statesOf(alive));
  }
}

function idsOf(locks: readonly Lock[]): number[] {
  return locks.map(({ id }) => id);
}

test('every table of a few steps that is rebuilt is in the same state', () => {
  // That they also go on in the same way follows: what a rebuilt table does is a history, too.
  const kinds = [write('a'), read('a'), limited(1, 'a'), limited(2, 'a'), write('a', 'b'), read()];
  let histories = 0;
  /** A step of a history: the index of a kind to lock, or -1 - the index of a live lock. */
  const extend = (steps: readonly number[], live: number): void => {
    checkHistory(steps);
    histories++;
    if (steps.length === 5) return;
    for (let kind = 0; kind < kinds.length; kind++) extend([...steps, kind], live + 1);
    for (let at = 0; at < live; at++) extend([...steps, -1 - at], live - 1);
  };
  extend([], 0);
  assert.ok(histories > 10_000);

  function checkHistory(steps: readonly number[]): void {
    const table = new LockTable();
    const live: Lock[] = [];
    for (const step of steps) {
      const resource = kinds[step];
      if (resource !== undefined) live.push(table.lock([resource], undefined));
      else for (const lock of live.splice(-1 - step, 1)) table.release(lock);
    }
    const rebuilt = new LockTable();
    for (const { resources, state } of live) {
      if (rebuilt.lock(resources, undefined).state === state) continue;
      assert.fail(`the history ${steps} gives another state when it is rebuilt`);
    }
  }
});

/** The sessions of a server that keeps them on `disk`, after the recovery. */
async function start(disk: MemoryDisk, wallClockMs = 0, graceMs = 0) {
  const clock = new FakeClock();
  const shiftedClock = new ShiftedClock(clock);
  const lockIds = new IdCounter(0);
  const registry = new Namespaces(lockIds.next, DEFAULT_LIMITS.maxLockBytes);
  const store = new MemoryStore(disk);
  const persistence = new Persistence(store, {
    ...{ clock: shiftedClock, lockIds, registry, graceMs },
    wallNow: () => wallClockMs,
    failed: (error) => assert.fail(error),
  });
  const counters = new Counters();
  const observed: string[] = [];
  const observer = {
    enqueued: ({ id }: SessionLock) => observed.push(`enqueued ${id}`),
    acquired: ({ id }: SessionLock) => observed.push(`acquired ${id}`),
    released: ({ id }: SessionLock, cause: string) => observed.push(`${cause} ${id}`),
  };
  const limits = DEFAULT_LIMITS;
  const journal = persistence.ledger;
  const host = { registry, clock: shiftedClock, limits, counters, observer, journal };
  await persistence.recover(host);
  const open = (key?: string, abandonTimeoutMs = 1000): Session =>
    new Session(
      host,
      { namespace: 'shop', abandonTimeoutMs, client: 'c', key, label: 'l' },
      NO_PEER,
    );
  const resume = (key: string): Session => {
    const session = registry.resumable(key);
    assert.ok(session !== undefined, `${key} can be resumed`);
    session.resume(NO_PEER, 'c');
    return session;
  };
  const state = (id: number): string | undefined => registry.get('shop')?.lockById(id)?.state;
  /** All that has happened is stored, and the server is gone. */
  const crash = async (): Promise<MemoryDisk> => {
    await persistence.ledger.finish();
    store.crash();
    return disk;
  };
  const parts = { clock, shiftedClock, lockIds, registry, counters, observed };
  return { ...parts, open, resume, state, crash };
}

const NO_PEER: Peer = { lockChanged: () => {}, sessionEnded: () => {} };

test('sessions and locks are restored as they were, and nothing is counted', async () => {
  const before = await start(new MemoryDisk());
  const [a, b] = [before.open('key of a'), before.open('key of b')];
  const terms = { ref: 'r', waitMs: 70, holdMs: 50, owner: 'o', label: 'x' };
  const held = mustGet(a, terms, write('x'), read('y'));
  const waiting = mustGet(b, { ref: 7, waitMs: 70 }, read('x', 'z'), limited(2, 'y'));
  mustGet(b, {}, write('other'));
  const charged = before.registry.memory.charged;
  const disk = await before.crash();
  const after = await start(disk);
  assert.equal(after.registry.memory.charged, charged);
  assert.deepEqual([after.counters, after.observed], [new Counters(), []]);
  const [restored, second] = [after.resume('key of a'), after.resume('key of b')];
  assert.deepEqual([restored.id, second.id], [a.id, b.id]);
  assert.deepEqual([restored.label, restored.abandonTimeoutMs], ['l', 1000]);
  const lock = restored.locks.getByRef('r');
  assert.deepEqual([lock?.id, lock?.state, lock?.resources], [held.id, 'acquired', held.resources]);
  assert.deepEqual(lock?.context.terms, { waitMs: 70, holdMs: 50, owner: 'o', label: 'x' });
  const waiter = second.locks.getByRef(7);
  assert.deepEqual([waiter?.id, waiter?.state], [waiting.id, 'enqueued']);
  after.registry.get('shop')?.table.verify();
  // The owner of a restored lock counts for the search of deadlocks.
  const [one, two] = [mustGet(second, { owner: 'p' }, write('p')), { owner: 'p' }];
  assert.equal(one.state, 'acquired');
  mustGet(restored, { owner: 'o' }, write('q'));
  assert.equal(mustGet(second, two, write('q')).state, 'enqueued');
  restored.end();
  second.end();
  assert.equal(after.registry.memory.charged, 0);
  assert.equal(after.clock.pendingTimers, 0);
});

test('restored locks are in order of their age, which is not that of their arrival', async () => {
  const before = await start(new MemoryDisk());
  const a = before.open('key of a');
  const first = mustGet(a, {}, write('x'));
  const second = mustGet(a, {}, write('x'));
  const third = mustGet(a, {}, write('y'));
  before.clock.advance(10);
  a.release(first);
  a.extend(second, 1000);
  before.clock.advance(5);
  const waiter = mustGet(a, {}, write('y'));
  const after = await start(await before.crash());
  const { held, waiting } = after.registry.ages;
  assert.deepEqual(
    [...held].map(({ id }) => id),
    [third.id, second.id],
  );
  assert.deepEqual(
    [...waiting].map(({ id }) => id),
    [waiter.id],
  );
});

test('a deadlock with restored locks is found', async () => {
  const before = await start(new MemoryDisk());
  const session = before.open('key');
  mustGet(session, { owner: 'p' }, write('x'));
  mustGet(session, { owner: 'q' }, write('y'));
  mustGet(session, { owner: 'p' }, write('y'));
  const after = await start(await before.crash());
  const error = after.resume('key').lock([write('x')], { owner: 'q' });
  assert.ok('code' in error && error.code === 'deadlock');
});

test('waits go on where they were; the time in which no server runs does not count', async () => {
  const before = await start(new MemoryDisk());
  const session = before.open('key');
  mustGet(session, {}, write('x'));
  before.clock.advance(1000);
  const { id } = mustGet(session, { waitMs: 100 }, write('x'));
  before.clock.advance(60);
  mustGet(session, {}, write('a change, so that the time is stored'));
  const after = await start(await before.crash());
  assert.equal(after.shiftedClock.now(), 1060);
  after.resume('key');
  after.clock.advance(39);
  assert.equal(after.state(id), 'enqueued');
  after.clock.advance(1);
  assert.equal(after.state(id), undefined);
  assert.deepEqual(after.observed, [`timeout ${id}`]);
});

test('holds go on where they were, extended ones too, and never end early', async () => {
  const before = await start(new MemoryDisk());
  const session = before.open('key');
  before.clock.advance(10.25);
  const plain = mustGet(session, { holdMs: 100 }, write('x'));
  const extended = mustGet(session, { holdMs: 20 }, write('y'));
  before.clock.advance(15);
  session.extend(extended, 200);
  const endless = mustGet(session, { holdMs: 20 }, write('z'));
  session.extend(endless, undefined);
  before.clock.advance(0.9);
  mustGet(session, {}, write('a change, so that the time is stored'));
  const after = await start(await before.crash());
  after.resume('key');
  after.clock.advance(100 - 15.9 - 0.01);
  assert.equal(after.state(plain.id), 'acquired');
  after.clock.advance(2);
  assert.equal(after.state(plain.id), undefined);
  after.clock.advance(200 - 0.9 - 86.1);
  assert.equal(after.state(extended.id), 'acquired');
  after.clock.advance(2);
  assert.equal(after.state(extended.id), undefined);
  after.clock.advance(1e9);
  assert.equal(after.state(endless.id), 'acquired');
});

test('a lock that is restored within its first millisecond can be extended, and stored again', async () => {
  const before = await start(new MemoryDisk());
  before.clock.advance(10.25);
  const { id } = mustGet(before.open('key'), {}, write('x'));
  const after = await start(await before.crash());
  assert.equal(after.shiftedClock.now(), 10);
  const session = after.resume('key');
  const lock = session.locks.get(id);
  assert.ok(lock !== undefined);
  session.extend(lock, 1);
  assert.equal(lock.context.terms.holdMs, 1);
  const last = await start(await after.crash());
  assert.equal(last.state(id), 'acquired');
});

test('a lock that was granted after it was stored has its hold anew, once', async () => {
  const before = await start(new MemoryDisk());
  const session = before.open('key');
  const first = mustGet(session, {}, write('x'));
  const { id } = mustGet(session, { holdMs: 100 }, write('x'));
  await settle();
  before.clock.advance(1000);
  session.release(first);
  before.clock.advance(60);
  mustGet(session, {}, write('a change, so that the time is stored'));
  const after = await start(await before.crash());
  after.resume('key');
  after.clock.advance(70);
  assert.equal(after.state(id), 'acquired');
  // The second restart knows since when it is held.
  mustGet(after.resume('key'), {}, write('another change'));
  const last = await start(await after.crash());
  last.resume('key');
  last.clock.advance(29);
  assert.equal(last.state(id), 'acquired');
  last.clock.advance(1);
  assert.equal(last.state(id), undefined);
});

const settle = async (): Promise<void> => {
  // A batch gathers for another turn when the first one brought more than a single change.
  for (let turns = 0; turns < 3; turns++) {
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
};

test('what can be resumed keeps its place; what can not leaves the queue and keeps what it holds', async () => {
  const before = await start(new MemoryDisk());
  const [named, unnamed, other] = [before.open('key'), before.open(), before.open()];
  const held = mustGet(unnamed, {}, write('x'));
  const places = [named, other, named].map((session) => mustGet(session, {}, write('x')).id);
  const [first = 0, left = 0, second = 0] = places;
  const idle = before.open('idle key');
  const released = mustGet(idle, {}, write('y'));
  await settle();
  idle.release(released);
  await settle();
  assert.equal(before.registry.sessions, 4);
  const after = await start(await before.crash());
  assert.deepEqual(after.observed, [`lost ${left}`]);
  assert.deepEqual([first, second].map(after.state), ['enqueued', 'enqueued']);
  assert.equal(
    after.registry.sessions,
    3,
    'a session with neither name nor locks is worth nothing',
  );
  after.resume('key');
  after.clock.advance(999);
  assert.equal(after.state(held.id), 'acquired');
  assert.equal(after.registry.resumable('idle key')?.isLost, true);
  after.clock.advance(1);
  assert.deepEqual(after.observed.slice(1), [`abandoned ${held.id}`, `acquired ${first}`]);
  assert.equal(after.registry.sessions, 1);
});

test('what leaves the queues at a restart is not granted by that, however late timers start', async () => {
  for (const graceMs of [0, 500]) {
    const before = await start(new MemoryDisk());
    const holder = before.open('key');
    const held = mustGet(holder, {}, read('x'));
    const [writer, reader] = [write('x'), read('x')].map((resource) =>
      mustGet(before.open(), {}, resource),
    );
    const after = await start(await before.crash(), 0, graceMs);
    assert.deepEqual(after.observed, [`lost ${reader?.id}`, `lost ${writer?.id}`]);
    after.resume('key').release(after.resume('key').locks.get(held.id) ?? assert.fail());
    assert.deepEqual(after.observed.slice(2), [`released ${held.id}`]);
    after.clock.advance(graceMs);
    assert.equal(after.registry.sessions, 1, 'those sessions have ended');
  }
});

test('abandon timeouts begin anew at the restart, those of zero end at once', async () => {
  const before = await start(new MemoryDisk());
  const session = before.open('key', 500);
  const { id } = mustGet(session, {}, write('x'));
  const brief = mustGet(before.open('brief', 0), {}, write('y'));
  session.lose(NO_PEER);
  before.clock.advance(499);
  mustGet(before.open(), {}, write('a change, so that the time is stored'));
  const after = await start(await before.crash());
  assert.equal(after.state(brief.id), undefined);
  after.clock.advance(499);
  assert.equal(after.state(id), 'acquired');
  after.clock.advance(1);
  assert.equal(after.state(id), undefined);
  assert.equal(after.registry.resumable('key'), undefined);
});

test('waits and holds go on at once, however late abandon timeouts begin', async () => {
  const before = await start(new MemoryDisk());
  const session = before.open('key');
  const held = mustGet(session, { holdMs: 200 }, write('x'));
  const waiter = mustGet(before.open('other key'), { waitMs: 100 }, write('x'));
  const after = await start(await before.crash(), 0, 500);
  after.resume('key');
  const ends = [99, 1, 99, 1].map((passedMs) => {
    after.clock.advance(passedMs);
    return after.observed.splice(0);
  });
  assert.deepEqual(ends, [[], [`timeout ${waiter.id}`], [], [`expired ${held.id}`]]);
});

test('before timers start, a restored session has all of its abandon timeout', async () => {
  const before = await start(new MemoryDisk());
  mustGet(before.open('key', 300), {}, write('x'));
  const { registry, clock, shiftedClock } = await start(await before.crash(), 0, 500);
  const session = registry.resumable('key');
  const look = (passedMs: number) => {
    clock.advance(passedMs);
    return session?.abandonedInMs(shiftedClock.now());
  };
  assert.deepEqual([0, 499, 1, 100, 199, 1].map(look), [300, 300, 300, 200, 1, undefined]);
});

test('ids of locks and sessions rise over restarts, whatever the wall clock says', async () => {
  const wallClocksMs = [5_000_000, 1000, 9_000_000, 9_000_000, 0];
  const disk = new MemoryDisk();
  let lastLock = 0;
  let lastSession = 0;
  for (const wallClockMs of wallClocksMs) {
    const server = await start(disk, wallClockMs);
    const session = server.open('key');
    const lock = mustGet(session, {}, write('x'));
    assert.ok(lock.id > lastLock, `lock ${lock.id} after ${lastLock}`);
    assert.ok(lock.id > wallClockMs * 1000, 'and is no less than without a store');
    assert.ok(session.id > lastSession, `session ${session.id} after ${lastSession}`);
    // A lock that leaves no record has an id that was said all the same.
    await settle();
    session.end();
    await settle();
    [lastLock, lastSession] = [server.lockIds.next(), session.id];
    await server.crash();
  }
});
