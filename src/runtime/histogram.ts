/** Counts durations by size, for metrics. */
export class Histogram {
  /** Upper bounds of the buckets in milliseconds, inclusive and rising. */
  readonly boundsMs: readonly number[];
  /** Durations per bucket, not cumulative; the last bucket has no upper bound. */
  readonly counts: Float64Array;
  count = 0;
  sumMs = 0;

  constructor(boundsMs: readonly number[]) {
    this.boundsMs = boundsMs;
    this.counts = new Float64Array(boundsMs.length + 1);
  }

  add(ms: number): void {
    let at = 0;
    // Past the last bound the comparison is with infinity, which ends the loop.
    while (ms > (this.boundsMs[at] ?? Number.POSITIVE_INFINITY)) at++;
    this.counts[at] = (this.counts[at] ?? 0) + 1;
    this.count++;
    this.sumMs += ms;
  }
}
