/**
 * Notices that the event loop stood still: by a tick that comes late. A stall is told when it is
 * over, for before that nobody could; and not more often than once in a while, or a machine that is
 * too slow would spend its time on saying so.
 */

/** What is told of stalls. */
export interface StallReport {
  /** Milliseconds that the event loop stood still, at least. */
  readonly stallMs: number;
  /** Stalls over the threshold since the last report that were not told. */
  readonly untold: number;
}

/** Milliseconds between two ticks: a stall is measured too short by at most that. */
export const TICK_MS = 50;

/** Milliseconds for which nothing is told after a report. */
export const QUIET_MS = 10_000;

export class StallMeter {
  readonly #thresholdMs: number;
  readonly #report: (report: StallReport) => void;
  #lastTickMs: number;
  #quietUntilMs = Number.NEGATIVE_INFINITY;
  #untold = 0;
  /** Stalls over the threshold so far. */
  count = 0;
  /** The longest stall so far, over the threshold or not, in milliseconds. */
  maxMs = 0;

  /**
   * @param thresholdMs milliseconds (>= 1) from which on a stall is counted and told
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
      this.#untold++;
      return;
    }
    this.#quietUntilMs = nowMs + QUIET_MS;
    const untold = this.#untold;
    this.#untold = 0;
    this.#report({ stallMs, untold });
  }
}
