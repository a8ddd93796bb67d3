/**
 * Measures how long small things take beside a growing number of others.
 *
 * Rounds are interleaved (every case at every size, then all again), so that a slow moment of the
 * machine hits one sample of each and not all samples of one.
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

export interface BenchRow {
  readonly name: string;
  /** Nanoseconds for one, of each round, by the number of others. */
  readonly nsBySize: readonly (readonly number[])[];
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
  return cases.map(({ name }, row) => ({ name, nsBySize: nsByCell[row] ?? [] }));
}

function nsPerRepeat(run: Run, repeats: number): number {
  run(repeats);
  // What was prepared moves to the old generation, as things that live long do.
  collectGarbage();
  const startMs = performance.now();
  const done = run(repeats);
  return ((performance.now() - startMs) * 1e6) / done;
}
