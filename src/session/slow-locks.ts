/**
 * Reports locks that have waited or been held for a long time: each once as a waiter, and once as a
 * holder. It keeps one timer, for the oldest lock that is not reported, and none without locks; a
 * lock costs nothing unless it becomes slow.
 */
import type { Clock, Timer } from '../runtime/clock.ts';
import type { LockAges } from './lock-ages.ts';
import type { SessionLock } from './lock-record.ts';

/** A lock that has waited, or been held, for longer than the threshold. */
export interface SlowLock {
  readonly lock: SessionLock;
  readonly state: 'enqueued' | 'acquired';
  readonly forMs: number;
}

export class SlowLocks {
  readonly #clock: Clock;
  readonly #ages: LockAges;
  readonly #thresholdMs: number;
  readonly #report: (slow: SlowLock) => void;
  #timer: Timer | undefined;
  #isStopped = false;

  /** @param thresholdMs milliseconds (>= 1) */
  constructor(clock: Clock, ages: LockAges, thresholdMs: number, report: (slow: SlowLock) => void) {
    this.#clock = clock;
    this.#ages = ages;
    this.#thresholdMs = thresholdMs;
    this.#report = report;
    ages.entered = () => {
      // A timer that runs is for an older lock.
      if (this.#timer === undefined) this.#arm();
    };
  }

  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
  }

  #arm(): void {
    const { waiting, held } = this.#ages;
    const sinceMs = Math.min(
      waiting.unreported?.context.sinceMs ?? Number.POSITIVE_INFINITY,
      held.unreported?.context.sinceMs ?? Number.POSITIVE_INFINITY,
    );
    if (this.#isStopped || sinceMs === Number.POSITIVE_INFINITY) {
      this.#timer = undefined;
      return;
    }
    const dueMs = Math.max(0, sinceMs + this.#thresholdMs - this.#clock.now());
    this.#timer = this.#clock.setTimer(dueMs, () => {
      this.#reportDue('enqueued');
      this.#reportDue('acquired');
      this.#arm();
    });
  }

  #reportDue(state: SlowLock['state']): void {
    const list = state === 'enqueued' ? this.#ages.waiting : this.#ages.held;
    const nowMs = this.#clock.now();
    for (let lock = list.unreported; lock !== null; lock = list.unreported) {
      const forMs = nowMs - lock.context.sinceMs;
      if (forMs < this.#thresholdMs) return;
      list.reported();
      this.#report({ lock, state, forMs: Math.floor(forMs) });
    }
  }
}
