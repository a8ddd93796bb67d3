/**
 * Large numbers. Nothing is timed: an algorithm that is quadratic in any of them would simply not
 * finish (cost.test.ts says exactly what each step costs). At the end nothing may be left, in the
 * table or in the heap.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Lock } from '../../src/table/lock.ts';
import { LockTable } from '../../src/table/lock-table.ts';
import type { Resource } from '../../src/table/resource.ts';
import { heapUsed } from '../support/heap.ts';
import { limited, read, write } from '../support/resources.ts';

/** Measured growth is below 20 KB; 100,000 of anything forgotten would be megabytes. */
const HEAP_TOLERANCE_BYTES = 2 ** 19;

function lockMany(table: LockTable, count: number, resource: (i: number) => Resource): Lock[] {
  return Array.from({ length: count }, (_, i) => table.lock([resource(i)], undefined));
}

function assertEmpty(table: LockTable): void {
  table.verify();
  assert.deepEqual(table.size, new LockTable().size);
}

/** Releases `locks` in their order, by each of which the next one alone is acquired. */
function serve(table: LockTable, locks: Lock[]): void {
  for (const [i, lock] of locks.entries()) {
    assert.equal(lock.state, 'acquired');
    const acquired = table.release(lock);
    assert.equal(acquired.length, i + 1 < locks.length ? 1 : 0);
    assert.equal(acquired[0], locks[i + 1]);
  }
}

/** Does `use` twice: the first time, what stays is code and warm caches; the second time nothing. */
function assertHeapIsBackAfter(use: () => void): void {
  use();
  const before = heapUsed();
  use();
  const grown = heapUsed() - before;
  assert.ok(grown < HEAP_TOLERANCE_BYTES, `the heap has grown by ${grown} bytes`);
}

test('300,000 locks on as many paths, one after another, leave nothing in the heap', () => {
  const table = new LockTable();
  let path = 0;
  assertHeapIsBackAfter(() => {
    for (let i = 0; i < 300_000; i++, path++) {
      table.release(table.lock([write('orders', `${path}`)], undefined));
    }
  });
  assertEmpty(table);
});

test('100,000 locks at a time on as many paths leave nothing in the heap', () => {
  const table = new LockTable();
  let round = 0;
  assertHeapIsBackAfter(() => {
    round++;
    const locks = lockMany(table, 100_000, (i) => write(`${round}`, `${i}`, 'x'));
    for (const lock of locks) table.release(lock);
  });
  assertEmpty(table);
});

test('100,000 others come and go beside one lock that stays, and leave nothing in the heap', () => {
  const table = new LockTable();
  const staying = table.lock([write('orders', 'mine'), read('users')], undefined);
  let path = 0;
  assertHeapIsBackAfter(() => {
    for (let i = 0; i < 100_000; i++, path++) {
      const other = table.lock([write('orders', `${path}`), read('users')], undefined);
      assert.equal(other.state, 'acquired');
      table.release(other);
    }
  });
  assert.equal(table.size.paths, 3);
  table.release(staying);
  assertEmpty(table);
});

test('10,000 writers on one path are served one after another', () => {
  const table = new LockTable();
  serve(
    table,
    lockMany(table, 10_000, () => write('a', 'b')),
  );
  assertEmpty(table);
});

test('10,000 limited reads of 1 are served one after another', () => {
  const table = new LockTable();
  serve(
    table,
    lockMany(table, 10_000, () => limited(1, 'a', 'b')),
  );
  assertEmpty(table);
});

test('3,000 readers behind a writer are let in together, and again behind the next', () => {
  const table = new LockTable();
  const first = table.lock([write('a')], undefined);
  const readers = lockMany(table, 3_000, (i) => read('a', `${i % 10}`));
  const second = table.lock([write('a')], undefined);
  const late = lockMany(table, 3_000, () => read('a'));
  assert.deepEqual(table.release(first), readers);
  for (const [i, reader] of readers.entries()) {
    assert.deepEqual(table.release(reader), i === readers.length - 1 ? [second] : []);
  }
  assert.deepEqual(table.release(second), late);
  for (const reader of late) table.release(reader);
  assertEmpty(table);
});

test('100,000 waiters are cancelled from the middle outwards', () => {
  const table = new LockTable();
  const holder = table.lock([write('a', 'b')], undefined);
  const waiters = lockMany(table, 100_000, () => write('a', 'b'));
  const middle = waiters.length / 2;
  const outwards = waiters.slice(middle).flatMap((right, i) => {
    const left = waiters[middle - 1 - i];
    return left === undefined ? [right] : [right, left];
  });
  assert.equal(outwards.length, waiters.length);
  for (const waiter of outwards) assert.deepEqual(table.release(waiter), []);
  assert.equal(table.size.enqueued, 0);
  assert.deepEqual(table.release(holder), []);
  assertEmpty(table);
});

test('a lock of 1,000 resources of 100 segments waits for 1,000 holders and leaves no trace', () => {
  const table = new LockTable();
  const deep = Array.from({ length: 99 }, (_, i) => `${i}`);
  const holders = lockMany(table, 1_000, (i) => write(...deep, `${i}`));
  const resources = holders.map((_, i) => write(...deep, `${i}`));
  const all = table.lock(resources, undefined);
  for (const [i, holder] of holders.entries()) {
    assert.deepEqual(table.release(holder), i === holders.length - 1 ? [all] : []);
  }
  table.release(all);
  assertEmpty(table);
});
