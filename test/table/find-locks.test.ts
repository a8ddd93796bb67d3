/** Looking at a table: who has to do with a path, and who waits for whom, against plain definitions. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Budget } from '../../src/table/budget.ts';
import type { Place } from '../../src/table/find-locks.ts';
import type { Lock } from '../../src/table/lock.ts';
import { LockTable } from '../../src/table/lock-table.ts';
import type { Path, Resource } from '../../src/table/resource.ts';
import { isPrefix } from '../support/lock-model.ts';
import { type Random, withSeeds } from '../support/random.ts';
import { limited, read, write } from '../support/resources.ts';
import { WaitModel } from '../support/wait-model.ts';

function placeOf(lock: Lock, path: Path): Place | undefined {
  const places = lock.resources.map((resource): Place | undefined => {
    if (isPrefix(resource.path, path)) {
      return resource.path.length === path.length ? 'same' : 'above';
    }
    return isPrefix(path, resource.path) ? 'below' : undefined;
  });
  return (['same', 'above', 'below'] as const).find((place) => places.includes(place));
}

/** What `look` says, as words. */
function seen(table: LockTable, path: Path, afterId?: number): string[] {
  return [...table.findLocks(path, afterId)].map(({ lock, place }) => `${lock.id} ${place}`);
}

function drawPath(random: Random): string[] {
  return Array.from({ length: random.below(4) }, () => random.pick(['a', 'b', '']));
}

function drawResource(random: Random): Resource {
  const path = drawPath(random);
  return random.pick([write(...path), read(...path), limited(1 + random.below(2), ...path)]);
}

function checkWaits(table: LockTable, alive: readonly Lock[]): void {
  const model = new WaitModel(alive, () => undefined);
  for (const lock of alive) {
    const expected = model.waitsOf(lock);
    const waits = [...table.waitsOf(lock)];
    const ids = waits.map(({ blocker }) => blocker.id);
    assert.equal(new Set(ids).size, ids.length, 'each blocker once');
    assert.deepEqual(new Set(ids), new Set([...expected.keys()].map(({ id }) => id)));
    assert.equal(waits.length === 0, lock.state === 'acquired');
    for (const { waiter, blocker, relation, path } of waits) {
      assert.equal(waiter, lock);
      const meetings = (expected.get(blocker) ?? []).map((meeting) => JSON.stringify(meeting));
      assert.ok(meetings.includes(JSON.stringify({ relation, path })), `${relation} ${path}`);
    }
  }
}

function checkLook(table: LockTable, alive: readonly Lock[], path: Path, afterId: number): void {
  const expected = alive.flatMap((lock) => {
    const place = placeOf(lock, path);
    return place === undefined || lock.id <= afterId ? [] : [`${lock.id} ${place}`];
  });
  assert.deepEqual(seen(table, path, afterId), expected);
  const last = alive.find(({ id }) => id === afterId);
  const matches = [...table.findLocks(path, afterId, undefined, last)];
  assert.deepEqual(
    matches.map(({ lock, place }) => `${lock.id} ${place}`),
    expected,
    'whether the lock before the page is given or not',
  );
}

/** So many that not all entries of its lock are looked at. */
const MANY = Array.from({ length: 70 }, (_, i) => read('a', 'b', `${i}`));

test('random tables: look and waitsOf say what the definitions say, and change nothing', () => {
  withSeeds(100, (random) => {
    const table = new LockTable();
    const alive: Lock[] = [];
    for (let step = 0; step < 40; step++) {
      if (alive.length > 12 || (alive.length > 0 && random.oneIn(3))) {
        const [lock] = alive.splice(random.below(alive.length), 1);
        table.release(lock ?? assert.fail());
      } else {
        const length = random.pick([1, 1, 2, 4]);
        const resources = Array.from({ length }, () => drawResource(random));
        if (random.oneIn(50)) resources.push(...MANY);
        alive.push(table.lock(resources, undefined));
      }
      const size = { ...table.size };
      checkWaits(table, alive);
      const isAny = alive.length === 0 || random.oneIn(2);
      const afterId = isAny ? random.below(table.lastId + 1) : random.pick(alive).id;
      checkLook(table, alive, drawPath(random), afterId);
      table.verify();
      assert.deepEqual(table.size, size);
    }
  });
});

test('a lock is seen from its own path, from above it and from below it, but not from beside it', () => {
  const table = new LockTable();
  table.lock([write('a', 'b')], undefined);
  table.lock([read('a')], undefined);
  assert.deepEqual(seen(table, []), ['1 below', '2 below']);
  assert.deepEqual(seen(table, ['a']), ['1 below', '2 same']);
  assert.deepEqual(seen(table, ['a', 'b']), ['1 same', '2 above']);
  assert.deepEqual(seen(table, ['a', 'b', 'c', 'd']), ['1 above', '2 above']);
  assert.deepEqual(seen(table, ['a', 'c']), ['2 above']);
  assert.deepEqual(seen(table, ['c']), []);
});

test('a lock with several resources is seen once, at the first place that applies', () => {
  const table = new LockTable();
  table.lock([read('a'), write('a', 'b'), limited(2, 'a', 'b', 'c')], undefined);
  assert.deepEqual(seen(table, ['a']), ['1 same']);
  assert.deepEqual(seen(table, ['a', 'b']), ['1 same']);
  assert.deepEqual(seen(table, ['a', 'b', 'c']), ['1 same']);
  assert.deepEqual(seen(table, ['a', 'b', 'c', 'd']), ['1 above']);
  assert.deepEqual(seen(table, []), ['1 below']);
});

test('a resource that another one of its lock covers is seen from its own path all the same', () => {
  for (const covering of [write('a'), read('a')]) {
    for (const covered of [read('a', 'b'), limited(1, 'a', 'b')]) {
      const table = new LockTable();
      table.lock([covered, covering], undefined);
      assert.deepEqual(seen(table, []), ['1 below']);
      assert.deepEqual(seen(table, ['a']), ['1 same']);
      assert.deepEqual(seen(table, ['a', 'b']), ['1 same']);
      assert.deepEqual(seen(table, ['a', 'b', 'c']), ['1 above']);
      assert.deepEqual(seen(table, ['a', 'x']), ['1 above']);
    }
  }
});

test('an empty table shows nothing', () => {
  assert.deepEqual(seen(new LockTable(), []), []);
  assert.deepEqual(seen(new LockTable(), ['a']), []);
});

/** The ids of one page: at most `size` locks after the one with that id. */
function page(table: LockTable, path: Path, afterId: number, size: number): number[] {
  return [...table.findLocks(path, afterId)].slice(0, size).map(({ lock }) => lock.id);
}

test('pages by afterId are the whole in order, each lock once', () => {
  const table = new LockTable();
  for (let i = 0; i < 50; i++) table.lock([read('a', `${i % 3}`), write('b', `${i}`)], undefined);
  for (const path of [[], ['a'], ['a', '1'], ['b']]) {
    const whole = [...table.findLocks(path)].map(({ lock }) => lock.id);
    for (const size of [1, 3, 49, 50, 51]) {
      const paged: number[] = [];
      let next = page(table, path, 0, size);
      while (next.length > 0) {
        paged.push(...next);
        next = page(table, path, paged.at(-1) ?? 0, size);
      }
      assert.deepEqual(paged, whole);
    }
  }
});

test('what comes and goes between two pages is not repeated, and hides nothing else', () => {
  const table = new LockTable();
  const locks = Array.from({ length: 6 }, () => table.lock([write('a')], undefined));
  const [first, second, third, fourth] = locks;
  assert.ok(first && second && third && fourth);
  assert.deepEqual(seen(table, ['a']).slice(0, 2), ['1 same', '2 same']);
  table.release(first);
  table.release(second);
  table.release(fourth);
  table.lock([write('a')], undefined);
  assert.deepEqual(seen(table, ['a'], second.id), ['3 same', '5 same', '6 same', '7 same']);
  for (const lock of [...table.findLocks(['a'])]) table.release(lock.lock);
  assert.deepEqual(seen(table, ['a'], 3), []);
});

test('a waiter waits for each conflicting lock before it, and says where they meet', () => {
  const table = new LockTable();
  table.lock([write('a', 'b')], undefined);
  table.lock([read()], undefined);
  table.lock([limited(1, 'c')], undefined);
  const writer = table.lock([write('a')], undefined);
  const seat = table.lock([limited(1, 'c')], undefined);
  const behind = table.lock([read('a')], undefined);
  const waits = (lock: Lock) =>
    [...table.waitsOf(lock)]
      .map(({ blocker, relation, path }) => `${blocker.id} ${relation} /${path.join('/')}`)
      .sort();
  assert.deepEqual(waits(writer), ['1 below /a', '2 above /']);
  assert.deepEqual(waits(seat), ['3 limit /c']);
  assert.deepEqual(waits(behind), ['1 below /a', '4 same /a']);
});

test('a lock that is held waits for nothing, and one that is released can not be asked', () => {
  const table = new LockTable();
  const lock = table.lock([write('a')], undefined);
  assert.deepEqual([...table.waitsOf(lock)], []);
  table.release(lock);
  assert.throws(() => table.waitsOf(lock), /already released/);
});

test('a budget ends the list of waits, however few locks are in it', () => {
  const table = new LockTable();
  const names = Array.from({ length: 1000 }, (_, i) => String(i));
  table.lock(names.map((name) => write(name)));
  const waiter = table.lock(names.map((name) => read(name)));
  const enough = new Budget(5000);
  assert.equal([...table.waitsOf(waiter, enough)].length, 1);
  assert.equal(enough.isSpent, false);
  // All but one of the thousand entries find the same lock again.
  const tight = new Budget(500);
  assert.equal([...table.waitsOf(waiter, tight)].length, 1);
  assert.equal(tight.isSpent, true);
  assert.deepEqual([...table.waitsOf(waiter, new Budget(0))], []);
});

test('what is compared to find a place is charged', () => {
  const table = new LockTable();
  const deep = (last: string): string[] => [...Array.from({ length: 99 }, () => 'x'), last];
  table.lock([write(), ...Array.from({ length: 999 }, (_, i) => write(...deep(String(i))))]);
  assert.deepEqual(seen(table, deep('none')), ['1 above']);
  const cheap = new Budget(5000);
  for (const _ of table.findLocks(deep('none'), 0, cheap));
  assert.equal(cheap.isSpent, false, 'paths that differ at their end are told apart there');
  const flipped = (first: string): string[] => deep(first).reverse();
  const other = new LockTable();
  other.lock([write(), ...Array.from({ length: 999 }, (_, i) => write(...flipped(String(i))))]);
  const dear = new Budget(5000);
  for (const _ of other.findLocks(flipped('none'), 0, dear));
  assert.equal(dear.isSpent, true, 'paths that differ at their beginning cost their length');
});

test('a page begins behind any id, whichever end of the queue that is nearer to', () => {
  const table = new LockTable();
  const locks = Array.from({ length: 9 }, () => table.lock([write('a')]));
  for (const gone of [2, 3, 6]) {
    const lock = locks[gone];
    if (lock !== undefined) table.release(lock);
  }
  const left = locks.filter(({ state }) => state !== 'released').map(({ id }) => id);
  for (let afterId = 0; afterId <= 11; afterId++) {
    const ids = [...table.findLocks(['a'], afterId)].map(({ lock }) => lock.id);
    assert.deepEqual(
      ids,
      left.filter((id) => id > afterId),
      `after ${afterId}`,
    );
  }
});

test('behind a lock that is still there a page begins without a search', () => {
  const table = new LockTable();
  const locks = Array.from({ length: 9 }, (_, i) => table.lock([write('a', String(i % 2))]));
  for (const last of locks) {
    for (const path of [[], ['a'], ['a', '0'], ['a', '1']]) {
      const ids = (found: ReturnType<LockTable['findLocks']>) => [...found].map((m) => m.lock.id);
      const expected = ids(table.findLocks(path, last.id));
      assert.deepEqual(ids(table.findLocks(path, last.id, undefined, last)), expected);
    }
    // By the id alone it would begin with the first.
    const [first] = table.findLocks([], 0, undefined, last);
    assert.equal(first?.lock.id, locks[last.id]?.id);
  }
});
