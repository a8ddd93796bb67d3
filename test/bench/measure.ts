/**
 * Measures how long small things take beside a growing number of others, and shows it.
 *
 * Rounds are interleaved (every case at every size, then all again), so that a slow moment of the
 * machine hits one sample of each and not all samples of one; medians and the full spread are told.
 */
import { collectGarbage } from '../support/heap.ts';

export interface BenchCase {
  readonly name: string;
  /** Makes what the case needs beside `others` others. */
  readonly prepare: (others: number) => Run;
}

/** Does the measured thing at least `count` times and returns how many times it did. */
export type Run = (count: number) => number;

export interface BenchOptions {
  readonly sizes: readonly number[];
  readonly rounds: number;
  /** How often a thing is done per sample, and before it, to warm up. */
  readonly repeats: number;
}

export interface Sample {
  readonly others: number;
  readonly medianNs: number;
  readonly minNs: number;
  readonly maxNs: number;
  /** The median as a multiple of that beside the fewest others. */
  readonly ratio: number;
}

export interface BenchRow {
  readonly name: string;
  readonly samples: readonly Sample[];
}

export function measure(cases: readonly BenchCase[], options: BenchOptions): BenchRow[] {
  const { sizes, rounds, repeats } = options;
  const nsByCell = cases.map(() => sizes.map((): number[] => []));
  // Round 0 is not counted: in it the engine is still learning the code.
  for (let round = 0; round <= rounds; round++) {
    for (const [row, { prepare }] of cases.entries()) {
      for (const [column, others] of sizes.entries()) {
        const ns = nsPerRepeat(prepare(others), repeats);
        if (round > 0) nsByCell[row]?.[column]?.push(ns);
      }
    }
  }
  return cases.map(({ name }, row) => ({ name, samples: summarize(sizes, nsByCell[row] ?? []) }));
}

function nsPerRepeat(run: Run, repeats: number): number {
  run(repeats);
  // What was prepared moves to the old generation, as things that live long do.
  collectGarbage();
  const startMs = performance.now();
  const done = run(repeats);
  return ((performance.now() - startMs) * 1e6) / done;
}

function summarize(sizes: readonly number[], nsBySize: readonly (readonly number[])[]): Sample[] {
  const base = median(nsBySize[0] ?? []);
  return sizes.map((others, column) => {
    const ns = nsBySize[column] ?? [];
    const medianNs = median(ns);
    const [minNs, maxNs] = [Math.min(...ns), Math.max(...ns)];
    return { others, medianNs, minNs, maxNs, ratio: medianNs / base };
  });
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  const low = sorted[Math.ceil(middle) - 1] ?? Number.NaN;
  const high = sorted[Math.floor(middle)] ?? Number.NaN;
  return (low + high) / 2;
}

/** Three lines a row: the medians, from the least to the most, and the ratio to the first column. */
export function formatRows(rows: readonly BenchRow[]): string {
  const sizes = rows[0]?.samples.map(({ others }) => others) ?? [];
  const lines = [
    line(
      'ns',
      sizes.map((size) => size.toLocaleString('en')),
    ),
  ];
  for (const { name, samples } of rows) {
    lines.push(
      line(
        name,
        samples.map(({ medianNs }) => medianNs.toFixed(0)),
      ),
      line(
        '  min-max',
        samples.map((s) => `${s.minNs.toFixed(0)}-${s.maxNs.toFixed(0)}`),
      ),
      line(
        '  ratio',
        samples.map(({ ratio }) => ratio.toFixed(2)),
      ),
    );
  }
  return lines.join('\n');
}

function line(name: string, cells: readonly string[]): string {
  return name.padEnd(40) + cells.map((cell) => cell.padStart(12)).join('');
}
