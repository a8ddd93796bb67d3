/**
 * Notices by a late tick that the event loop was blocked. A stall is reported when it is over, as the
 * process can do nothing before; and only once in a while, so that a machine that is too slow does not
 * spend its time on reporting it.
 */

/** A report of a stall. */
export interface StallReport {
  /** Milliseconds that the event loop was blocked, at least. */
  readonly stallMs: number;
  /** Stalls over the threshold since the last report that have no report. */
  readonly suppressed: number;
}

/** Milliseconds between two ticks: a stall is measured too short by at most that. */
export const TICK_MS = 50;

/** Milliseconds for which nothing is reported after a report. */
export const QUIET_MS = 10_000;

export class StallMeter {
  readonly #thresholdMs: number;
  readonly #report: (report: StallReport) => void;
  #lastTickMs: number;
  #quietUntilMs = Number.NEGATIVE_INFINITY;
  #suppressed = 0;
  /** Stalls over the threshold so far. */
  count = 0;
  /** The longest stall so far, over the threshold or not, in milliseconds. */
  maxMs = 0;

  /**
   * @param thresholdMs milliseconds (>= 1) from which on a stall is counted and reported
   * @param nowMs the time of a clock that never goes back, here and in `tick`
   */
  constructor(thresholdMs: number, nowMs: number, report: (report: StallReport) => void) {
    this.#thresholdMs = thresholdMs;
    this.#lastTickMs = nowMs;
    this.#report = report;
  }

  /** To be called every `TICK_MS` milliseconds, as far as the event loop can. */
  tick(nowMs: number): void {
    const stallMs = nowMs - this.#lastTickMs - TICK_MS;
    this.#lastTickMs = nowMs;
    if (stallMs > this.maxMs) this.maxMs = stallMs;
    if (stallMs < this.#thresholdMs) return;
    this.count++;
    if (nowMs < this.#quietUntilMs) {
      this.#suppressed++;
      return;
    }
    this.#quietUntilMs = nowMs + QUIET_MS;
    const suppressed = this.#suppressed;
    this.#suppressed = 0;
    this.#report({ stallMs, suppressed });
  }
}
