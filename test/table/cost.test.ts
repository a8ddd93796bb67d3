/**
 * The required cost: lock and release take O(resources x depth), with no term in the
 * number of waiters or holders. Steps are counted, not timed (test/support/steps.ts), so "no term"
 * can be asserted as what it is: as many steps beside 10 others as beside 10,000.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Lock } from '../../src/table/lock.ts';
import { LockTable } from '../../src/table/lock-table.ts';
import type { Resource } from '../../src/table/resource.ts';
import { limited, read, write } from '../support/resources.ts';
import { countSteps } from '../support/steps.ts';

const OTHERS = [10, 100, 10_000] as const;

/** A table with `count` locks of `resources`, and the words for what is done beside them. */
class Crowd {
  readonly table = new LockTable();
  readonly locks: Lock[] = [];

  add(count: number, resources: (i: number) => Resource[]): this {
    for (let i = 0; i < count; i++) this.locks.push(this.lock(...resources(i)));
    return this;
  }

  lock(...resources: Resource[]): Lock {
    return this.table.lock(resources, undefined);
  }

  /** Releases the lock at `part` of the way from the oldest to the newest. */
  releaseAt(part: number): Lock[] {
    const lock = this.locks[Math.floor(part * (this.locks.length - 1))];
    assert.ok(lock);
    return this.table.release(lock);
  }

  comeAndGo(...resources: Resource[]): void {
    this.table.release(this.lock(...resources));
  }
}

/** Steps by which the place in a chain of a hash table may differ: the links before it, two a link. */
const CHANCE = 8;

/** The steps of `act` do not depend on how many others there are. */
function flat(
  sentence: string,
  others: (crowd: Crowd, count: number) => Crowd,
  act: (crowd: Crowd) => unknown,
): void {
  test(`${sentence} takes the same steps whoever else is there`, () => {
    const steps = OTHERS.map((count) => {
      const crowd = others(new Crowd(), count);
      return countSteps(() => act(crowd));
    });
    assert.ok((steps[0] ?? 0) > 5, 'steps are seen at all');
    assert.ok(
      Math.max(...steps) - Math.min(...steps) <= CHANCE,
      `${steps.join(', ')} steps beside ${OTHERS.join(', ')} others`,
    );
  });
}

/**
 * The steps of `act` grow by the same for each unit of `size`, but for what chance does to the chains
 * of a hash table. Between powers of two, at which such a table doubles.
 */
function linear(sentence: string, prepare: (size: number) => () => unknown): void {
  test(`${sentence} takes steps in proportion`, () => {
    const [one = 0, two = 0, four = 0] = [128, 256, 512].map((n) => countSteps(prepare(n)));
    assert.ok(two - one >= 128, 'steps are seen at all');
    const growth = (four - two) / (two - one) / 2;
    assert.ok(growth > 0.95 && growth < 1.05, `steps: ${one}, ${two}, ${four}`);
  });
}

const writersOnOnePath = (crowd: Crowd, count: number) => crowd.add(count, () => [write('a', 'b')]);
const readersOnOnePath = (crowd: Crowd, count: number) => crowd.add(count, () => [read('a', 'b')]);
const readersBehindWriter = (crowd: Crowd, count: number) =>
  readersOnOnePath(
    crowd.add(1, () => [write('a', 'b')]),
    count,
  );
const writersOnManyPaths = (crowd: Crowd, count: number) =>
  crowd.add(count, (i) => [write('a', String(i))]);
const lineAtLimit = (crowd: Crowd, count: number) => crowd.add(count, () => [limited(2, 'a', 'b')]);
const convoy = (crowd: Crowd, count: number) =>
  crowd.add(count, (i) => [write('a', String(i)), write('a', String(i + 1))]);

test('the count sees a walk over all locks', () => {
  const steps = [10, 100].map((count) => {
    const { table } = writersOnOnePath(new Crowd(), count);
    return countSteps(() => table.verify());
  });
  assert.ok((steps[1] ?? 0) > 5 * (steps[0] ?? 0), `steps: ${steps}`);
});

flat(
  'a lock that nobody contends for, beside writers in line on another path',
  writersOnOnePath,
  (c) => c.comeAndGo(write('a', 'c')),
);
flat('a lock that nobody contends for, beside writers on many paths', writersOnManyPaths, (c) =>
  c.comeAndGo(write('a', 'other')),
);
flat('a read among its holders', readersOnOnePath, (c) => c.comeAndGo(read('a', 'b')));
flat('the first of many readers to leave', readersOnOnePath, (c) => c.releaseAt(0));
flat('a reader leaving from among many', readersOnOnePath, (c) => c.releaseAt(0.5));
flat('joining and leaving the end of a line of writers', writersOnOnePath, (c) =>
  c.comeAndGo(write('a', 'b')),
);
flat('a handover between writers', writersOnOnePath, (c) => assert.equal(c.releaseAt(0).length, 1));
flat('a writer cancelled from the middle', writersOnOnePath, (c) => c.releaseAt(0.5));
flat('a reader cancelled from the middle of those behind a writer', readersBehindWriter, (c) =>
  c.releaseAt(0.5),
);
flat('joining and leaving readers behind a writer', readersBehindWriter, (c) =>
  c.comeAndGo(read('a', 'b')),
);
flat('a write of the root that waits for holders of many paths', writersOnManyPaths, (c) =>
  c.comeAndGo(write()),
);
flat('a read of the parent that waits for holders of many paths', writersOnManyPaths, (c) =>
  c.comeAndGo(read('a')),
);
flat('a handover at a limit', lineAtLimit, (c) => assert.equal(c.releaseAt(0).length, 1));
flat('joining and leaving a line at a limit', lineAtLimit, (c) =>
  c.comeAndGo(limited(2, 'a', 'b')),
);
flat('a cancel from the middle of a line at a limit', lineAtLimit, (c) => c.releaseAt(0.5));
flat('a handover along a convoy', convoy, (c) => assert.equal(c.releaseAt(0).length, 1));
flat('a cancel from the middle of a convoy', convoy, (c) =>
  assert.equal(c.releaseAt(0.5).length, 1),
);
flat('a lock of ten resources', writersOnManyPaths, (c) =>
  c.comeAndGo(...Array.from({ length: 10 }, (_, i) => write('other', String(i)))),
);

linear('letting in the readers behind a writer', (size) => {
  const crowd = readersBehindWriter(new Crowd(), size);
  return () => assert.equal(crowd.releaseAt(0).length, size);
});
linear('letting in the readers that a cancelled writer held up', (size) => {
  const crowd = new Crowd().add(size, () => [read('a')]);
  const writer = crowd.lock(write('a'));
  crowd.add(size, () => [read('a')]);
  return () => assert.equal(crowd.table.release(writer).length, size);
});
linear('filling a line of writers and serving it', (size) => {
  const crowd = new Crowd();
  return () => {
    writersOnOnePath(crowd, size);
    for (const lock of crowd.locks) crowd.table.release(lock);
  };
});
linear('filling a line at a limit and cancelling it from its end', (size) => {
  const crowd = new Crowd();
  return () => {
    lineAtLimit(crowd, size);
    for (const lock of crowd.locks.toReversed()) crowd.table.release(lock);
  };
});
linear('a path of so many segments', (size) => {
  const path = Array.from({ length: size }, String);
  return () => new Crowd().comeAndGo(write(...path));
});
linear('a lock of so many resources', (size) => {
  const resources = Array.from({ length: size }, (_, i) => write('a', String(i)));
  return () => new Crowd().comeAndGo(...resources);
});
linear('a lock of so many resources that one shadows', (size) => {
  const resources = Array.from({ length: size }, (_, i) => read('a', String(i)));
  return () => new Crowd().comeAndGo(write('a'), ...resources);
});
