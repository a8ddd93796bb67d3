/** The order of names against a sorted array, and what it costs to read a part of it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SortedNames } from '../../src/session/sorted-names.ts';
import { type Random, withSeeds } from '../support/random.ts';
import { countSteps } from '../support/steps.ts';

function drawName(random: Random): string {
  return random.oneIn(9) ? random.pick(['', 'é', '\ud800', '\u{10000}']) : `${random.below(3000)}`;
}

test('names are added, deleted and read in order', () => {
  withSeeds(6, (random) => {
    const names = new SortedNames();
    const model = new Set<string>();
    const growth = random.pick([1, 2, 8]);
    for (let i = 0; i < 4000; i++) {
      const name = drawName(random);
      if (model.has(name)) {
        if (random.oneIn(growth)) {
          names.delete(name);
          model.delete(name);
        }
      } else {
        names.add(name);
        model.add(name);
      }
      if (i % 97 !== 0) continue;
      const after = drawName(random);
      const expected = [...model].filter((other) => other > after).sort();
      assert.deepEqual([...names.after(after)], expected);
    }
    for (const name of model) names.delete(name);
    assert.deepEqual([...names.after('')], []);
  });
});

/** The steps of reading ten names in the middle of so many. */
function costOf(count: number): number {
  const names = new SortedNames();
  for (let i = 0; i < count; i++) names.add(`${(i * 7919) % count}`.padStart(6, '0'));
  const middle = `${count / 2}`.padStart(6, '0');
  const read: string[] = [];
  const steps = countSteps(() => {
    for (const name of names.after(middle)) if (read.push(name) === 10) break;
  }, ['session']);
  assert.equal(Number(read[9]), count / 2 + 10);
  return steps;
}

test('a part of the order costs what is in it, however many names there are', () => {
  const [few, many] = [costOf(1000), costOf(32_000)];
  assert.ok(many < few + 60, `${few} steps among 1000 names, ${many} among 32000`);
});
