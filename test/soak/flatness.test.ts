/** What counts as flat. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { flatness } from './flatness.ts';

const noisy = (i: number): number => 100 + ((i * 7919) % 9);

test('noise is flat, whatever the warm-up; a steady rise is not', () => {
  const samples = Array.from({ length: 60 }, (_, i) => (i < 20 ? i : noisy(i)));
  assert.equal(flatness(samples, 0).isFlat, true);
  const leaking = Array.from({ length: 60 }, (_, i) => noisy(i) + i);
  assert.equal(flatness(leaking, 0).isFlat, false);
});
