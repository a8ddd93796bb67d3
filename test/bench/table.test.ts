/** The benchmark of the table still runs; what it measures is not judged here. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { benchTable, formatTableBench } from './table.ts';

test('the benchmark of the table runs and shows a number for every case and size', () => {
  const result = benchTable({ sizes: [2, 5], rounds: 2, repeats: 10 }, 100);
  for (const { samples } of result.rows) {
    assert.deepEqual(
      samples.map(({ others }) => others),
      [2, 5],
    );
  }
  const shown = formatTableBench(result);
  assert.match(shown, /lock \+ release, 2 segments +\d+ +\d+\n/);
  assert.doesNotMatch(shown, /NaN|undefined/);
});
