/**
 * Measures by a tick how late the event loop is, and detects by a late one that it was blocked. A
 * stall can be reported only when it is over. Reports are rate-limited, so that an overloaded machine does not spend its time on them.
 */

/** A report of a stall. */
export interface StallReport {
  /** Milliseconds for which the event loop was blocked: a lower bound. */
  readonly stallMs: number;
  /** Stalls over the threshold since the last report that were not reported. */
  readonly suppressed: number;
}

/** How late the event loop was, in milliseconds, over the ticks of the last minute. */
export interface LoopLag {
  readonly latest: number;
  readonly min: number;
  readonly max: number;
  readonly mean: number;
  readonly stddev: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
}

/** Milliseconds between two ticks: a stall is underestimated by at most this. */
export const TICK_MS = 50;

/** Ticks in a row without activity, after which there are none until the next activity. */
export const IDLE_TICKS = 20;

/** As many ticks as a minute has. */
const KEPT_TICKS = 60_000 / TICK_MS;

/** Milliseconds after a report in which further stalls are only counted. */
export const QUIET_MS = 10_000;

export class StallMeter {
  readonly #thresholdMs: number;
  readonly #report: (report: StallReport) => void;
  #lastTickMs: number;
  #quietUntilMs = Number.NEGATIVE_INFINITY;
  #suppressed = 0;
  #ticker: NodeJS.Timeout | undefined;
  /** Measures, but does not tick: nothing has happened for a while. */
  #isResting = false;
  #idleTicks = 0;
  /** How late the last ticks were, in milliseconds: a ring, in which the next one replaces the oldest. */
  readonly #lags = new Float64Array(KEPT_TICKS);
  #ticks = 0;
  /** Stalls over the threshold so far. */
  count = 0;

  /**
   * @param thresholdMs the shortest stall to count and report, in milliseconds (>= 1)
   * @param nowMs the time of a monotonic clock, the same as in `tick`
   */
  constructor(thresholdMs: number, nowMs: number, report: (report: StallReport) => void) {
    this.#thresholdMs = thresholdMs;
    this.#lastTickMs = nowMs;
    this.#report = report;
  }

  /**
   * Measures from now on, in real time. Does not keep the process alive, and does not wake it while
   * nothing happens: a stall in such a time is not seen.
   */
  start(): void {
    this.#isResting = false;
    this.#idleTicks = 0;
    // What came before, such as looking up the host's name, was no stall.
    this.#lastTickMs = performance.now();
    this.#arm();
  }

  stop(): void {
    clearTimeout(this.#ticker);
    this.#isResting = false;
  }

  /** The server has something to do. Called for all input. */
  active(): void {
    this.#idleTicks = 0;
    if (this.#isResting) this.start();
  }

  #arm(): void {
    this.#ticker = setTimeout(() => {
      this.tick(performance.now());
      this.#isResting = ++this.#idleTicks > IDLE_TICKS;
      if (!this.#isResting) this.#arm();
    }, TICK_MS).unref();
  }

  /** Must be called every `TICK_MS` milliseconds, or as soon after as the event loop allows. */
  tick(nowMs: number): void {
    const stallMs = nowMs - this.#lastTickMs - TICK_MS;
    this.#lastTickMs = nowMs;
    this.#lags[this.#ticks++ % KEPT_TICKS] = Math.max(0, stallMs);
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

  /** Undefined before the first tick. Each percentile is one of the measured values. */
  lag(): LoopLag | undefined {
    if (this.#ticks === 0) return undefined;
    const latest = this.#lags[(this.#ticks - 1) % KEPT_TICKS] ?? 0;
    const sorted = this.#lags.slice(0, this.#ticks).sort();
    const at = (share: number): number => sorted[Math.ceil(share * sorted.length) - 1] ?? 0;
    const mean = sorted.reduce((sum, ms) => sum + ms, 0) / sorted.length;
    const variance = sorted.reduce((sum, ms) => sum + (ms - mean) ** 2, 0) / sorted.length;
    return {
      latest,
      min: sorted[0] ?? 0,
      max: at(1),
      mean,
      stddev: Math.sqrt(variance),
      p50: at(0.5),
      p90: at(0.9),
      p99: at(0.99),
    };
  }
}
