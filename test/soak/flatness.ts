/**
 * Whether a figure is flat: the first third of the samples is warm-up; after it, the median of the
 * last third may be higher than that of the middle third by no more than a tenth and some slack. In
 * ten minutes at 50,000 locks a second a third is ten million locks: with 9 MiB of heap, a byte kept
 * of every fifth lock would show.
 */
export interface Flatness {
  readonly middle: number;
  readonly last: number;
  readonly isFlat: boolean;
}

/** What a figure may rise by from the middle third to the last. */
const TOLERANCE = 0.1;

/** @param slack what it may rise by in any case */
export function flatness(samples: readonly number[], slack: number): Flatness {
  const third = Math.floor(samples.length / 3);
  const middle = median(samples.slice(third, 2 * third));
  const last = median(samples.slice(2 * third));
  return { middle, last, isFlat: last <= middle * (1 + TOLERANCE) + slack };
}

function median(samples: readonly number[]): number {
  const sorted = samples.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}
