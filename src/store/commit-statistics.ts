/** Statistics of commits, for the metrics. */
import { Histogram } from '../runtime/histogram.ts';

/** Upper bounds, in milliseconds and inclusive, of the buckets of commit times. */
const COMMIT_BUCKETS_MS: readonly number[] = [
  0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500,
];

/** What was committed since the start. */
export class CommitStatistics {
  readonly commits = new Histogram(COMMIT_BUCKETS_MS);
  records = 0;
  /** Characters of all records. */
  bytes = 0;

  add(records: readonly string[], ms: number): void {
    this.commits.add(ms);
    this.records += records.length;
    for (const record of records) this.bytes += record.length;
  }
}
