/**
 * What has happened since the server started, in numbers that only rise. Plain fields of one object:
 * counting a lock is an addition and nothing else. There is none per namespace, on purpose: clients
 * choose those names, and could make as many series of numbers as they like.
 */
import { RELEASE_CAUSES, type ReleaseCause } from './lock-events.ts';

/** Upper ends, in milliseconds, of the buckets that waiting times are counted in. */
export const WAIT_BUCKETS_MS: readonly number[] = [
  1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 300_000,
];

/** How long locks waited that were acquired in the end. */
export class WaitHistogram {
  /** Locks per bucket, each in one only; the last is for what waited longer than all of them. */
  readonly counts = new Float64Array(WAIT_BUCKETS_MS.length + 1);
  count = 0;
  sumMs = 0;

  add(waitedMs: number): void {
    let at = 0;
    // Beyond the last there is nothing to compare with, which ends it too.
    while (waitedMs > (WAIT_BUCKETS_MS[at] ?? Number.POSITIVE_INFINITY)) at++;
    this.counts[at] = (this.counts[at] ?? 0) + 1;
    this.count++;
    this.sumMs += waitedMs;
  }
}

export class Counters {
  /** Locks that were asked for; a retry with the `ref` of a live lock is none. */
  locksRequested = 0;
  locksAcquired = 0;
  /** Try-locks that found something in their way: requested, and gone without having waited. */
  locksMissed = 0;
  /** Locks that have left, by what for. */
  readonly locksEnded = Object.fromEntries(RELEASE_CAUSES.map((cause) => [cause, 0])) as Record<
    ReleaseCause,
    number
  >;
  /** Failed authentications, by reason. */
  readonly authFailures = { no_token: 0, wrong_token: 0, tls_handshake: 0 };
  readonly waits = new WaitHistogram();
  /** Error replies by their code, for those codes that there were. */
  readonly errors = new Map<string, number>();

  countError(code: string): void {
    this.errors.set(code, (this.errors.get(code) ?? 0) + 1);
  }
}
