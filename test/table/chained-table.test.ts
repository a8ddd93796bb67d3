/** The chained table that children and locks stand in, whatever keys and hashes come and go. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ChainedTable, MAX_CHAIN_LENGTH } from '../../src/table/chained-table.ts';
import { type Random, withSeeds } from '../support/random.ts';

interface Item {
  readonly key: string | number;
  readonly hash: number;
  next: Item | null;
}

class Items extends ChainedTable<string | number, Item> {
  /** Links that were followed. */
  steps = 0;

  get(key: string | number, hash: number): Item | undefined {
    return this.find(key, hash);
  }

  protected keyOf(item: Item): string | number {
    return item.key;
  }

  protected hashOf(item: Item): number {
    return item.hash;
  }

  protected nextOf(item: Item): Item | null {
    this.steps++;
    return item.next;
  }

  protected setNext(item: Item, next: Item | null): void {
    item.next = next;
  }
}

/** Ways to draw hashes: of all kinds, only a few, and such that differ in their upper bits alone. */
const DRAWS: readonly ((random: Random) => number)[] = [
  (random) => random.below(2 ** 32) | 0,
  (random) => random.below(5),
  (random) => random.below(2 ** 20) << 12,
  (random) => -1 - random.below(40),
  () => 7,
];

function verify(items: Items, known: ReadonlySet<Item>): void {
  assert.equal(items.size, known.size);
  const all = items.all();
  assert.equal(all.length, known.size, 'each once');
  assert.deepEqual(new Set(all), known);
  for (const item of known) assert.equal(items.get(item.key, item.hash), item, 'found by its key');
}

/** Items beside a Set of the same, with keys that count up. */
class Pair {
  readonly items = new Items();
  readonly known = new Set<Item>();
  #keys = 0;

  /** Adds two: a number and its text are two keys. */
  add(draw: () => number): void {
    this.#keys++;
    for (const key of [this.#keys, `${this.#keys}`]) {
      const item = { key, hash: draw(), next: null };
      this.items.add(item);
      this.known.add(item);
    }
  }

  remove(item: Item): void {
    this.items.delete(item);
    this.known.delete(item);
    assert.equal(item.next, null, 'keeps nothing alive');
    assert.equal(this.items.get(item.key, item.hash), undefined);
  }
}

test('whatever comes and goes, all that is in it is found, each once', () => {
  withSeeds(60, (random) => {
    const pair = new Pair();
    const { items, known } = pair;
    const draw = random.pick(DRAWS);
    // Growing, shrinking, and around one size, so that it is resized both ways with long chains.
    for (let phase = 0; phase < 6; phase++) {
      const goal = random.pick([0, 1, 3, 60, 300]);
      for (let step = 0; step < 400; step++) {
        const grows = known.size < goal ? !random.oneIn(5) : random.oneIn(5);
        if (known.size === 0 || grows) pair.add(() => draw(random));
        else pair.remove(random.pick([...known]));
        if (random.oneIn(50)) verify(items, known);
      }
      verify(items, known);
    }
  });
});

test('an empty one holds nothing, and may be filled again', () => {
  const items = new Items();
  assert.deepEqual([items.size, items.all(), items.get('a', 3)], [0, [], undefined]);
  const item = { key: 'a', hash: 3, next: null };
  for (let i = 0; i < 3; i++) {
    items.add(item);
    verify(items, new Set([item]));
    items.delete(item);
    verify(items, new Set());
  }
});

/** The most links that any one of `operations` follows. */
function mostSteps(items: Items, operations: Iterable<() => void>): number {
  let most = 0;
  for (const operation of operations) {
    items.steps = 0;
    operation();
    most = Math.max(most, items.steps);
  }
  return most;
}

test('keys of one hash are found in a few steps, however many there are', () => {
  const items = new Items();
  const all = Array.from({ length: 5000 }, (_, key) => ({ key, hash: 7, next: null }));
  for (const item of all) items.add(item);
  const looks = all.map((item) => () => assert.equal(items.get(item.key, 7), item));
  assert.ok(mostSteps(items, looks) <= MAX_CHAIN_LENGTH);
  const deletes = all.map((item) => () => items.delete(item));
  assert.ok(mostSteps(items, deletes) <= MAX_CHAIN_LENGTH);
  verify(items, new Set());
  // Empty again, it has chains as in the beginning.
  for (const key of [1, 2, 3, 4]) items.add({ key, hash: 0, next: null });
  assert.equal(mostSteps(items, [() => items.get('none', 0)]), 4);
});

test('chains that are long enough already do not become one when the others leave', () => {
  const items = new Items();
  const spread = Array.from({ length: 3000 }, (_, key) => ({ key, hash: key, next: null }));
  const hashes = [0, 1, 2, 3, 4, 5, 6, 7].map((slot) => 2 ** 13 + slot * 512);
  const chosen = hashes.flatMap((hash) =>
    Array.from({ length: 30 }, (_, i) => ({ key: `${hash}.${i}`, hash, next: null })),
  );
  for (const item of [...spread, ...chosen]) items.add(item);
  assert.ok(mostSteps(items, [() => items.get('none', hashes[0] ?? 0)]) >= 30, 'still in chains');
  for (const item of spread) items.delete(item);
  const looks = chosen.map((item) => () => assert.equal(items.get(item.key, item.hash), item));
  assert.ok(mostSteps(items, looks) <= MAX_CHAIN_LENGTH);
  verify(items, new Set(chosen));
});
