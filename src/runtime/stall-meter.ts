/**
 * Detects by a late tick that the event loop was blocked. A stall can be reported only when it is
 * over. Reports are rate-limited, so that an overloaded machine does not spend its time on them.
 */

/** A report of a stall. */
export interface StallReport {
  /** Milliseconds for which the event loop was blocked: a lower bound. */
  readonly stallMs: number;
  /** Stalls over the threshold since the last report that were not reported. */
  readonly suppressed: number;
}

/** Milliseconds between two ticks: a stall is underestimated by at most this. */
export const TICK_MS = 50;

/** Milliseconds after a report in which further stalls are only counted. */
export const QUIET_MS = 10_000;

export class StallMeter {
  readonly #thresholdMs: number;
  readonly #report: (report: StallReport) => void;
  #lastTickMs: number;
  #quietUntilMs = Number.NEGATIVE_INFINITY;
  #suppressed = 0;
  #ticker: NodeJS.Timeout | undefined;
  /** Stalls over the threshold so far. */
  count = 0;
  /** The longest stall so far, over the threshold or not, in milliseconds. */
  maxMs = 0;

  /**
   * @param thresholdMs the shortest stall to count and report, in milliseconds (>= 1)
   * @param nowMs the time of a monotonic clock, the same as in `tick`
   */
  constructor(thresholdMs: number, nowMs: number, report: (report: StallReport) => void) {
    this.#thresholdMs = thresholdMs;
    this.#lastTickMs = nowMs;
    this.#report = report;
  }

  /** Measures from now on, in real time. Does not keep the process alive. */
  start(): void {
    const tick = (): void => this.tick(performance.now());
    tick();
    this.#ticker = setInterval(tick, TICK_MS).unref();
  }

  stop(): void {
    clearInterval(this.#ticker);
  }

  /** Must be called every `TICK_MS` milliseconds, or as soon after as the event loop allows. */
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
