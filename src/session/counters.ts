/**
 * Counters of events since the server started. They only rise, and they are plain fields of one
 * object, so that counting is an addition. None is per namespace: clients choose those names and
 * could create any number of time series.
 */
import { Histogram } from '../runtime/histogram.ts';
import { RELEASE_CAUSES, type ReleaseCause } from './lock-events.ts';

/** Upper bounds, in milliseconds and inclusive, of the buckets of waiting times. */
export const WAIT_BUCKETS_MS: readonly number[] = [
  1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 300_000,
];

/** The same for the times that locks are held: these are often longer. */
export const HOLD_BUCKETS_MS: readonly number[] = [...WAIT_BUCKETS_MS, 3_600_000];

export class Counters {
  /** Lock requests, without retries by the `ref` of a live lock. */
  locksRequested = 0;
  locksAcquired = 0;
  /** Requests with `waitMs: 0` that failed because of a conflict. */
  locksMissed = 0;
  /** Ended locks, by cause. */
  readonly locksEnded = Object.fromEntries(RELEASE_CAUSES.map((cause) => [cause, 0])) as Record<
    ReleaseCause,
    number
  >;
  /** Failed authentications, by reason. */
  readonly authFailures = { no_token: 0, wrong_token: 0, tls_handshake: 0 };
  /** Waiting times of locks that were acquired after a wait. */
  readonly waits = new Histogram(WAIT_BUCKETS_MS);
  /** Times for which locks were held, of those that are held no more. */
  readonly holds = new Histogram(HOLD_BUCKETS_MS);
  sessionsResumed = 0;
  sessionsAbandoned = 0;
  /** HTTP requests rejected for one of these headers. */
  readonly rejectedRequests = { host: 0, origin: 0 };
  /** Errors sent, by code; codes that were never sent are absent. */
  readonly errors = new Map<string, number>();

  countError(code: string): void {
    this.errors.set(code, (this.errors.get(code) ?? 0) + 1);
  }
}
