/**
 * What the lock table costs in time and memory, beside a growing number of other locks, and how
 * that compares to the least one could do: a Map with one joined key per lock.
 *
 * The steps do not grow with the others (test/table/cost.test.ts counts them). Times still do, at
 * the right end: 100,000 locks fit no cache, each lives long enough to be copied by the garbage
 * collector, and a large Map is slow to change. The floor shows how much of that is the machine's.
 * `npm run bench -- table` shows it.
 */
import assert from 'node:assert/strict';
import type { Lock } from '../../src/table/lock.ts';
import { LockTable } from '../../src/table/lock-table.ts';
import type { Resource } from '../../src/table/resource.ts';
import { heapUsed } from '../support/heap.ts';
import { limited, read, write } from '../support/resources.ts';
import { type BenchCase, measure, type Run } from './measure.ts';
import { answer, type CellResult, type ContenderResult } from './run-cell.ts';
import { spreadOf } from './statistics.ts';

/** Locks come and go on so many paths in turn: more than one, few enough to stay in the cache. */
const PATHS = 1024;
const LIMIT = 4;

type ResourcesAt = (i: number) => Resource[];

/** Locks that nobody contends for, beside others: writers in line on one path, if not said else. */
function uncontended(
  resourcesAt: ResourcesAt,
  othersAt: ResourcesAt = () => [write('crowd')],
): (others: number) => Run {
  const resources = Array.from({ length: PATHS }, (_, i) => resourcesAt(i));
  return (others) => {
    const table = new LockTable();
    for (let i = 0; i < others; i++) table.lock(othersAt(i), undefined);
    return (count) => {
      for (let i = 0; i < count; i++) {
        table.release(table.lock(resources[i % PATHS] ?? [], undefined));
      }
      return count;
    };
  };
}

/** A line of constant length: a waiter joins, then the oldest leaves and another is acquired. */
function handover(resources: Resource[], holders: number): (others: number) => Run {
  return (others) => {
    const table = new LockTable();
    const line = fill(table, others + holders, resources);
    let oldest = 0;
    return (count) => {
      for (let i = 0; i < count; i++) {
        const next = table.lock(resources, undefined);
        const acquired = table.release(line[oldest] ?? next);
        assert.ok(acquired.length === 1);
        line[oldest] = next;
        oldest = (oldest + 1) % line.length;
      }
      return count;
    };
  };
}

/** A line of constant length: a waiter joins, then one from somewhere in the middle leaves. */
function cancel(others: number): Run {
  const table = new LockTable();
  const resources = [write('a', 'b')];
  table.lock(resources, undefined);
  const line = fill(table, others, resources);
  let at = 0;
  return (count) => {
    for (let i = 0; i < count; i++) {
      // Strides of a large prime: no order that a cache could learn.
      at = (at + 7919) % line.length;
      const next = table.lock(resources, undefined);
      table.release(line[at] ?? next);
      line[at] = next;
    }
    return count;
  };
}

/** So many readers line up behind a writer, are let in together and leave: the time for one. */
function readersBehindWriter(others: number): Run {
  const table = new LockTable();
  return (count) => {
    let done = 0;
    for (; done < count; done += others) {
      const writer = table.lock([write('a', 'b')], undefined);
      const readers = fill(table, others, [read('a', 'b')]);
      assert.equal(table.release(writer).length, others);
      for (const reader of readers) table.release(reader);
    }
    return done;
  };
}

/** The floor: no queues, no modes, no prefixes. A held key is in the Map, and that is all. */
function mapOfJoinedKeys(others: number): Run {
  const paths = Array.from({ length: PATHS }, (_, i) => ['orders', `${i}`]);
  const held = new Map<string, number>();
  for (let i = 0; i < others; i++) held.set(['crowd', `${i}`].join('\0'), i);
  return (count) => {
    for (let i = 0; i < count; i++) {
      const key = (paths[i % PATHS] ?? []).join('\0');
      held.set(key, i);
      held.delete(key);
    }
    return count;
  };
}

const FLOOR: BenchCase = { name: 'floor: Map.set + delete, joined key', prepare: mapOfJoinedKeys };
/** What the floor does, as a lock table does it: others hold keys of the same kind. */
const ABOVE_FLOOR: BenchCase = {
  name: 'lock + release, 2 segments, siblings held',
  prepare: uncontended(
    (i) => [write('orders', `${i}`)],
    (i) => [write('orders', `held ${i}`)],
  ),
};

const CASES: readonly BenchCase[] = [
  FLOOR,
  { name: 'lock + release, 1 segment', prepare: uncontended((i) => [write(`${i}`)]) },
  {
    name: 'lock + release, 2 segments',
    prepare: uncontended((i) => [write('orders', `${i}`)]),
  },
  ABOVE_FLOOR,
  {
    name: 'lock + release, 3 resources',
    prepare: uncontended((i) => [write('orders', `${i}`), write('stock', `${i}`), read('users')]),
  },
  { name: 'join + handover, writers', prepare: handover([write('a', 'b')], 1) },
  { name: 'join + cancel from the middle', prepare: cancel },
  { name: 'join + let in + leave, readers', prepare: readersBehindWriter },
  {
    name: `join + handover, limited reads of ${LIMIT}`,
    prepare: handover([limited(LIMIT, 'a', 'b')], LIMIT),
  },
];

function fill(table: LockTable, count: number, resources: Resource[]): Lock[] {
  return Array.from({ length: count }, () => table.lock(resources, undefined));
}

/** What a lock keeps in the heap while it is held. Its resources are the caller's, not counted. */
function bytesPerHeldLock(locks: number, resourceAt: (i: number) => Resource): number {
  const resources = Array.from({ length: locks }, (_, i) => [resourceAt(i)]);
  const table = new LockTable();
  const held = new Array<Lock | undefined>(locks).fill(undefined);
  const before = heapUsed();
  for (const [i, asked] of resources.entries()) held[i] = table.lock(asked, undefined);
  const bytes = heapUsed() - before;
  assert.equal(table.size.acquired, held.length);
  return bytes / locks;
}

const FULL_SIZES = { sizes: [10, 100, 1_000, 10_000, 100_000], repeats: 100_000, held: 100_000 };
const TINY_SIZES = { sizes: [2, 5], repeats: 10, held: 100 };

/** Each case is a contender, and its figures are nanoseconds beside so many others. */
export function runTable(isTiny: boolean, rounds: number): CellResult {
  const { sizes, repeats, held } = isTiny ? TINY_SIZES : FULL_SIZES;
  const names = sizes.map((others) => `ns beside ${others}`);
  const contenders = measure(CASES, { sizes, rounds, repeats }).map(
    ({ name, nsBySize }): ContenderResult => ({
      name,
      figures: Object.fromEntries(names.map((figure, i) => [figure, spreadOf(nsBySize[i] ?? [])])),
      rounds: Array.from({ length: rounds }, (_, round) =>
        Object.fromEntries(names.map((figure, i) => [figure, nsBySize[i]?.[round] ?? Number.NaN])),
      ),
      isGeneratorBound: false,
      profile: undefined,
    }),
  );
  const memory = {
    'heap bytes per held lock, a path of its own': bytesPerHeldLock(held, (i) =>
      write('orders', `${i}`),
    ),
    'heap bytes per held lock, one path': bytesPerHeldLock(held, () => read('orders', 'all')),
  };
  return {
    name: 'table',
    work: 'the lock table alone; nanoseconds for one beside so many other locks',
    shown: names,
    contenders,
    answers: [
      ...names.map((name, i) =>
        answer(
          {
            of: { contender: ABOVE_FLOOR.name, name },
            against: { contender: FLOOR.name, name },
            // The bar is for locks that nobody contends for, beside a handful.
            ...(i === 0 ? { atMost: 6 } : {}),
          },
          contenders,
        ),
      ),
      ...Object.entries(memory).map(([name, bytes]) => ({
        of: { contender: 'table', name },
        value: spreadOf([bytes]),
        isMet: undefined,
      })),
    ],
    skipped: {},
  };
}
