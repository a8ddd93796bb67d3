/** The chained table that children and locks stand in, whatever hashes come and go. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ChainedTable } from '../../src/table/chained-table.ts';
import { type Random, withSeeds } from '../support/random.ts';

interface Item {
  readonly hash: number;
  next: Item | null;
}

class Items extends ChainedTable<Item> {
  /** What is in the chain in which an item with that hash would be. */
  chain(hash: number): Item[] {
    const items: Item[] = [];
    for (let item = this.chainOf(hash); item !== null; item = item.next) items.push(item);
    return items;
  }

  protected hashOf(item: Item): number {
    return item.hash;
  }

  protected nextOf(item: Item): Item | null {
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
  for (const item of known) assert.ok(items.chain(item.hash).includes(item), 'found by its hash');
}

test('whatever comes and goes, all that is in it is found, each once', () => {
  withSeeds(60, (random) => {
    const items = new Items();
    const known = new Set<Item>();
    const draw = random.pick(DRAWS);
    // Growing, shrinking, and around one size, so that it is resized both ways with long chains.
    for (let phase = 0; phase < 6; phase++) {
      const goal = random.pick([0, 1, 3, 60, 300]);
      for (let step = 0; step < 400; step++) {
        const isTooFew = known.size < goal;
        if (known.size === 0 || (isTooFew ? !random.oneIn(5) : random.oneIn(5))) {
          const item = { hash: draw(random), next: null };
          items.add(item);
          assert.equal(items.chain(item.hash)[0], item, 'the newest heads its chain');
          known.add(item);
        } else {
          const item = random.pick([...known]);
          items.delete(item);
          assert.equal(item.next, null, 'keeps nothing alive');
          known.delete(item);
        }
        if (random.oneIn(50)) verify(items, known);
      }
      verify(items, known);
    }
  });
});

test('an empty one holds nothing, and may be filled again', () => {
  const items = new Items();
  assert.deepEqual([items.size, items.all(), items.chain(3)], [0, [], []]);
  const item = { hash: 3, next: null };
  for (let i = 0; i < 3; i++) {
    items.add(item);
    verify(items, new Set([item]));
    items.delete(item);
    verify(items, new Set());
  }
});
