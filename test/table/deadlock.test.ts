/**
 * The search for deadlocks: against a model that tries all sets of owners, on named cases, and on
 * graphs of 10,000 owners that wait. What it costs is counted in deadlock-cost.test.ts.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Lock } from '../../src/table/lock.ts';
import { LockTable } from '../../src/table/lock-table.ts';
import type { Resource } from '../../src/table/resource.ts';
import type { Wait } from '../../src/table/waits.ts';
import { type Random, withSeeds } from '../support/random.ts';
import { limited, read, write } from '../support/resources.ts';
import { WaitModel } from '../support/wait-model.ts';

type Owner = string | undefined;
type OwnedLock = Lock<Owner>;

/** A table whose locks have owners, and which takes back what would close a deadlock. */
class OwnedTable {
  readonly table = new LockTable<Owner>();
  readonly locks = new Set<OwnedLock>();
  readonly #byOwner = new Map<Owner, Set<OwnedLock>>();
  /** The newest lock, also if it was refused. */
  newest: OwnedLock | undefined;

  readonly owners = {
    ownerOf: (lock: OwnedLock): Owner => lock.context,
    locksOf: (owner: Owner): Iterable<OwnedLock> => this.#byOwner.get(owner) ?? [],
    waitsOf: (owner: Owner): OwnedLock[] =>
      [...(this.#byOwner.get(owner) ?? [])].filter((lock) => lock.state === 'enqueued'),
  };

  /** Enters the lock, whatever it closes. */
  enter(owner: Owner, ...resources: Resource[]): OwnedLock {
    const lock = this.table.lock(resources, owner);
    this.locks.add(lock);
    const own = this.#byOwner.get(owner) ?? new Set();
    this.#byOwner.set(owner, own.add(lock));
    this.newest = lock;
    return lock;
  }

  search(lock: OwnedLock, maxSteps?: number): readonly Wait<Owner>[] | undefined {
    if (lock.state !== 'enqueued') return undefined;
    return this.table.findDeadlock(lock, this.owners, maxSteps);
  }

  release(lock: OwnedLock): void {
    this.table.release(lock);
    this.locks.delete(lock);
    this.#byOwner.get(lock.context)?.delete(lock);
  }

  /** Asks for a lock: `acquired`, `enqueued`, or the owners of the cycle, and then there is none. */
  ask(owner: Owner, ...resources: Resource[]): string {
    const lock = this.enter(owner, ...resources);
    const cycle = this.search(lock);
    if (cycle === undefined) return lock.state;
    checkChain(cycle, owner);
    this.release(lock);
    return cycle.map(({ waiter }) => waiter.context).join(' ');
  }
}

/** A cycle is a chain of waits from the asking owner through others, each once, back to it. */
function checkChain(cycle: readonly Wait<Owner>[], asker: Owner): void {
  const waiters = cycle.map(({ waiter }) => waiter.context);
  assert.equal(waiters[0], asker, 'it begins with the owner that asked');
  assert.equal(new Set(waiters).size, waiters.length, 'nobody is in it twice');
  cycle.forEach(({ waiter, blocker }, i) => {
    assert.equal(waiter.state, 'enqueued');
    assert.notEqual(blocker.state, 'released');
    assert.ok(blocker.id < waiter.id, 'the blocker arrived before the waiter');
    assert.equal(blocker.context, waiters[(i + 1) % waiters.length], 'each link leads to the next');
  });
}

const PATHS = [[], ['a'], ['a', 'b'], ['a', 'c'], ['d'], ['e']] as const;
const OWNERS = ['A', 'B', 'C', 'D', 'E', undefined] as const;

/** What one round is made of. */
interface Swarm {
  readonly owners: readonly Owner[];
  readonly paths: readonly (readonly string[])[];
  readonly resources: number;
  readonly writesPer10: number;
  readonly limitsPer10: number;
  readonly releasesPer10: number;
  readonly waitsPerOwner: number;
}

function drawSwarm(random: Random): Swarm {
  return {
    owners: OWNERS.slice(random.below(4), 5 + random.below(2)),
    paths: PATHS.slice(random.below(4), 5 + random.below(2)),
    resources: random.pick([1, 1, 2, 3]),
    writesPer10: random.pick([1, 3, 5, 8, 10]),
    limitsPer10: random.pick([0, 5, 10]),
    releasesPer10: random.pick([1, 2, 4]),
    waitsPerOwner: random.pick([1, 1, 2, 4]),
  };
}

function drawResource(random: Random, swarm: Swarm): Resource {
  const path = random.pick(swarm.paths);
  if (random.below(10) < swarm.writesPer10) return write(...path);
  if (random.below(10) >= swarm.limitsPer10) return read(...path);
  return limited(1 + random.below(3), ...path);
}

/** How often each thing happened, so that a test can say that it happened at all. */
const seen = { deadlocks: 0, lost: 0 };
/** Budgets that cut a search of so few owners anywhere, and one that cuts none. */
const BUDGETS = [0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, Number.POSITIVE_INFINITY];

function step(random: Random, swarm: Swarm, table: OwnedTable): void {
  // An `undefined` in a list can't be picked: it is drawn apart.
  const owner = swarm.owners[random.below(swarm.owners.length)];
  const waits = owner === undefined ? [] : table.owners.waitsOf(owner);
  if (waits.length >= swarm.waitsPerOwner) return;
  const modelBefore = new WaitModel([...table.locks], table.owners.ownerOf);
  const wasStuck = modelBefore.stuck().size > 0;
  const length = 1 + random.below(swarm.resources);
  const lock = table.enter(owner, ...Array.from({ length }, () => drawResource(random, swarm)));
  const cycle = table.search(lock);
  const model = new WaitModel([...table.locks], table.owners.ownerOf);
  const stuck = owner === undefined ? new Set<string>() : model.stuck();
  const shortest =
    lock.state === 'enqueued' && owner !== undefined && stuck.has(owner)
      ? model.shortestCycle(owner, stuck)
      : undefined;
  assert.equal(cycle?.length, shortest, 'refused exactly when the model says so');
  if (!wasStuck && owner !== undefined) {
    assert.equal(cycle !== undefined, stuck.has(owner), 'whoever gets stuck has closed a cycle');
  }
  checkBudgets(table, lock, cycle);
  if (cycle === undefined) return;
  seen.deadlocks++;
  checkChain(cycle, owner);
  for (const { waiter, blocker, relation, path } of cycle) {
    assert.ok(stuck.has(waiter.context ?? ''));
    const meetings = model.waitsOf(waiter).get(blocker) ?? [];
    const isReal = meetings.some(
      (meeting) =>
        meeting.relation === relation && JSON.stringify(meeting.path) === JSON.stringify(path),
    );
    assert.ok(isReal, `${waiter.id} waits for ${blocker.id} ${relation} ${path}`);
  }
  table.release(lock);
}

/** A search that is cut finds what the whole one finds, or nothing. */
function checkBudgets(
  table: OwnedTable,
  lock: OwnedLock,
  whole: readonly Wait<Owner>[] | undefined,
): void {
  for (const maxSteps of BUDGETS) {
    const cycle = table.search(lock, maxSteps);
    if (cycle === undefined && whole !== undefined) seen.lost++;
    else assert.equal(cycle?.length, whole?.length, `with ${maxSteps} steps`);
    if (maxSteps === Number.POSITIVE_INFINITY) assert.equal(cycle?.length, whole?.length);
  }
}

function playRound(random: Random): void {
  const swarm = drawSwarm(random);
  const table = new OwnedTable();
  for (let i = 0; i < 60; i++) {
    if (table.locks.size > 0 && (table.locks.size > 14 || random.below(10) < swarm.releasesPer10)) {
      table.release(random.pick([...table.locks]));
    } else {
      step(random, swarm, table);
    }
  }
  table.table.verify();
}

test('random scripts: a wait is refused exactly when the model says that it closes a deadlock', () => {
  withSeeds(300, playRound);
  if (process.env.SEED !== undefined) return;
  assert.ok(seen.deadlocks > 0, 'there were deadlocks');
  assert.ok(seen.lost > 0, 'some were lost for want of steps');
});

test('two owners that want what the other has', () => {
  const table = new OwnedTable();
  table.ask('A', write('x'));
  table.ask('B', write('y'));
  assert.equal(table.ask('A', write('y')), 'enqueued');
  assert.equal(table.ask('B', write('x')), 'B A');
});

test('an owner that waits for itself', () => {
  const table = new OwnedTable();
  table.ask('A', write('x'));
  assert.equal(table.ask('A', write('x')), 'A');
  assert.equal(table.ask('A', read('x', 'y')), 'A');
  assert.equal(table.ask('A', write()), 'A');
});

test('an owner that waits for itself behind its own wait is stuck only if that one is', () => {
  const table = new OwnedTable();
  table.ask('B', write('x'));
  assert.equal(table.ask('A', write('x')), 'enqueued');
  assert.equal(table.ask('A', write('x')), 'enqueued', 'B lets the first through, A releases it');
});

test('three owners in a circle, named in the order in which they wait', () => {
  const table = new OwnedTable();
  table.ask('A', write('x'));
  table.ask('B', write('y'));
  table.ask('C', write('z'));
  assert.equal(table.ask('A', write('y')), 'enqueued');
  assert.equal(table.ask('B', write('z')), 'enqueued');
  assert.equal(table.ask('C', write('x')), 'C A B');
});

test('two readers that both want to write', () => {
  const table = new OwnedTable();
  table.ask('A', read('x'));
  table.ask('B', read('x'));
  // Its own read is in the way of A's write already.
  assert.equal(table.ask('A', write('x')), 'A');
  table.enter('A', write('x'));
  assert.equal(table.ask('B', write('x')), 'B', 'and so is B its own, by the shortest way');
});

test('parent and child: a write above and a write below are in each other’s way', () => {
  const table = new OwnedTable();
  table.ask('A', write('a'));
  table.ask('B', write('b', 'c'));
  assert.equal(table.ask('A', read('b')), 'enqueued');
  assert.equal(table.ask('B', read('a', 'd')), 'B A');
});

test('a convoy: a read behind a waiting write waits for that, and closes the circle', () => {
  const table = new OwnedTable();
  table.ask('A', write('y'));
  table.ask('U', read('x'));
  assert.equal(table.ask('B', write('x')), 'enqueued');
  assert.equal(table.ask('B', write('y')), 'enqueued', 'U may let B have x');
  table.release([...table.locks][1] ?? assert.fail());
  assert.equal(table.ask('A', read('x')), 'A B');
});

test('a semaphore of two whose holders wait for each other’s guest', () => {
  const table = new OwnedTable();
  table.ask('A', limited(2, 'gpu'));
  table.ask('B', limited(2, 'gpu'));
  table.ask('C', write('x'));
  assert.equal(table.ask('C', limited(2, 'gpu')), 'enqueued');
  assert.equal(table.ask('A', write('x')), 'enqueued', 'B can still give up its seat');
  assert.equal(table.ask('B', write('x')), 'B C');
});

test('a semaphore of two is no deadlock while one seat is nobody’s', () => {
  const table = new OwnedTable();
  table.ask('A', limited(2, 'gpu'));
  table.ask(undefined, limited(2, 'gpu'));
  table.ask('C', write('x'));
  assert.equal(table.ask('C', limited(2, 'gpu')), 'enqueued');
  assert.equal(table.ask('A', write('x')), 'enqueued');
});

test('the head of a line of limited reads stops those behind it, whatever their own numbers', () => {
  const table = new OwnedTable();
  table.ask('A', limited(9, 'gpu'));
  table.ask('B', write('x'));
  assert.equal(table.ask('B', limited(1, 'gpu')), 'enqueued');
  table.ask('C', write('y'));
  assert.equal(table.ask('C', limited(9, 'gpu')), 'enqueued');
  assert.equal(table.ask('A', write('y')), 'A C');
});

test('an owner that waits for nothing can still move', () => {
  const table = new OwnedTable();
  table.ask('A', write('x'));
  table.ask('B', write('y'));
  assert.equal(table.ask('A', write('y')), 'enqueued');
  assert.equal(table.ask('C', write('x')), 'enqueued');
  assert.equal(table.ask('C', write('y')), 'enqueued');
});

test('a lock without an owner is never in a deadlock, neither as the newest nor in the chain', () => {
  const table = new OwnedTable();
  table.ask('A', write('x'));
  table.ask(undefined, write('y'));
  assert.equal(table.ask('A', write('y')), 'enqueued');
  assert.equal(table.ask(undefined, write('x')), 'enqueued');
  assert.equal(table.ask(undefined, write('x')), 'enqueued');
});

test('an owner one of whose two waits may end can still move', () => {
  const table = new OwnedTable();
  table.ask('A', write('x'));
  table.ask('B', write('y'));
  table.ask('C', write('z'));
  assert.equal(table.ask('A', write('y')), 'enqueued');
  assert.equal(table.ask('A', write('z')), 'enqueued');
  assert.equal(table.ask('B', write('x')), 'enqueued', 'C may let A have z');
  assert.equal(table.ask('C', write('x')), 'C A', 'now nobody can move');
});

test('whoever waits for others’ deadlock is not refused: there is no way back to it', () => {
  const table = new OwnedTable();
  table.ask('P', write('p'));
  table.ask('Q', write('q'));
  const last = table.enter(undefined, write('u'));
  table.ask('P', write('q'));
  table.ask('P', write('u'));
  assert.equal(table.ask('Q', write('p')), 'enqueued', 'P may still get u');
  table.release(last);
  // Now P and Q are stuck, closed by no request. M waits for A, and can move.
  table.ask('A', write('a'));
  table.ask('M', write('m'));
  table.ask(undefined, write('v'));
  table.ask('M', write('v'));
  table.ask('M', write('a'));
  assert.equal(table.ask('A', write('p'), write('m')), 'enqueued');
});

test('what was refused is out of the way, and the same request is refused again', () => {
  const table = new OwnedTable();
  table.ask('A', write('x'));
  table.ask('B', write('y'));
  table.ask('A', write('y'));
  for (let i = 0; i < 3; i++) assert.equal(table.ask('B', write('x')), 'B A');
  const held = [...table.locks].find((lock) => lock.context === 'B') ?? assert.fail();
  table.release(held);
  assert.equal(table.ask('B', write('x')), 'enqueued', 'B has nothing any more that A waits for');
});

const MANY = 10_000;
const UNBOUNDED = Number.POSITIVE_INFINITY;

function searchNewest(table: OwnedTable, maxSteps?: number): readonly Wait<Owner>[] | undefined {
  return table.search(table.newest ?? assert.fail(), maxSteps);
}

/** `count` owners each of whom holds a path and waits for that of the next one. */
function chainOf(count: number): OwnedTable {
  const table = new OwnedTable();
  for (let i = 0; i < count; i++) table.enter(`o${i}`, write(`${i}`));
  for (let i = 0; i + 1 < count; i++) table.enter(`o${i}`, write(`${i + 1}`));
  return table;
}

test('10,000 owners on one path, each holding something: no deadlock, then one', () => {
  const table = new OwnedTable();
  table.enter('first', write('hot'));
  for (let i = 0; i < MANY; i++) {
    table.enter(`o${i}`, write('own', `${i}`));
    table.enter(`o${i}`, write('hot'));
  }
  assert.equal(searchNewest(table), undefined);
  table.enter('first', write('own', '5000'));
  assert.equal(searchNewest(table)?.length, 2);
});

test('the last of 10,000 owners on one path is waited for by the first', () => {
  const table = new OwnedTable();
  table.enter('first', write('hot'));
  table.enter('last', write('own'));
  for (let i = 0; i < MANY; i++) table.enter(`o${i}`, write('hot'));
  table.enter('first', write('own'));
  table.enter('last', write('hot'));
  assert.equal(searchNewest(table)?.length, 2);
});

test('10,000 owners in a chain: no deadlock, then one of them all, found if steps do not count', () => {
  const table = chainOf(MANY);
  assert.equal(searchNewest(table), undefined);
  table.enter(`o${MANY - 1}`, write('0'));
  assert.equal(searchNewest(table), undefined, 'the search is cut, and nothing is refused');
  assert.equal(searchNewest(table, UNBOUNDED)?.length, MANY);
});

test('a circle of 1,000 owners is found within the budget', () => {
  const table = chainOf(1000);
  table.enter('o999', write('0'));
  assert.equal(searchNewest(table)?.length, 1000);
});

test('a chain of owners the last of whom can move does not hide a deadlock beside it', () => {
  for (const [count, maxSteps] of [[500, undefined] as const, [MANY, UNBOUNDED] as const]) {
    const table = chainOf(count);
    table.enter('A', write('x'));
    table.enter('B', write('y'));
    table.enter('A', write('y'));
    table.enter('B', write('x'), read('0'));
    assert.equal(searchNewest(table, maxSteps)?.length, 2);
  }
});

test('owners in each other’s way on 10 paths: the search ends', () => {
  for (const [count, maxSteps] of [[1000, undefined] as const, [MANY, UNBOUNDED] as const]) {
    const table = new OwnedTable();
    const all = Array.from({ length: 10 }, (_, i) => write(`${i}`));
    for (let i = 0; i < 10; i++) table.enter(`h${i}`, write(`${i}`));
    for (let i = 0; i < count; i++) table.enter(`o${i}`, ...all);
    assert.equal(searchNewest(table), undefined);
    table.enter('h0', write('1'));
    const cycle = searchNewest(table, maxSteps);
    assert.equal(cycle?.length, 2, 'the crowd is ahead at 1, and waits for h0 at 0');
  }
});

test('an owner with more waits than a call may have arguments does not end the search', () => {
  const table = new OwnedTable();
  table.enter('B', write('x'));
  table.enter('A', write('y'));
  for (let i = 0; i < 150_000; i++) table.enter('B', write('y'));
  table.enter('A', write('x'));
  assert.equal(searchNewest(table, UNBOUNDED)?.length, 2);
});

test('a semaphore whose holders wait for one of its line: no deadlock until the last one does', () => {
  const seats = 1000;
  const table = new OwnedTable();
  for (let i = 0; i < seats; i++) table.enter(`s${i}`, limited(seats, 'gpu'));
  table.enter('c', write('x'));
  table.enter('c', limited(seats, 'gpu'));
  for (let i = 0; i + 1 < seats; i++) {
    table.enter(`s${i}`, write('x'));
    if (i % 100 === 0) assert.equal(searchNewest(table), undefined);
  }
  table.enter(`s${seats - 1}`, write('x'));
  assert.equal(searchNewest(table)?.length, 2);
});
