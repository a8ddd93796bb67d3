import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SmallSet } from '../../src/runtime/small-set.ts';
import { withSeeds } from '../support/random.ts';

test('a small set has the elements that a Set has, in the same order', () => {
  const elements = Array.from({ length: 4 }, (_, i) => ({ i }));
  withSeeds(20, (random) => {
    const [small, model] = [new SmallSet<object>(), new Set<object>()];
    for (let step = 0; step < 50; step++) {
      const element = random.pick(elements);
      if (random.oneIn(2) && !model.has(element)) {
        small.add(element);
        model.add(element);
      } else {
        small.delete(element);
        model.delete(element);
      }
      assert.deepEqual([...small], [...model]);
      assert.equal(small.size, model.size);
    }
  });
});
