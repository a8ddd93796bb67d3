/**
 * Time, handed in from outside. Everything that waits asks a `Clock`, so that a test can drive
 * hours in a moment and replay them exactly.
 */

export interface Timer {
  /** Ends the timer; no effect once it has fired. */
  cancel(): void;
}

export interface Clock {
  /** Milliseconds since an arbitrary origin; never goes back when the wall clock is set. */
  now(): number;
  /** Calls `callback` once, `delayMs` milliseconds (>= 0, any size) from now, unless cancelled. */
  setTimer(delayMs: number, callback: () => void): Timer;
}

/** The longest delay `setTimeout` takes; it fires at once for anything longer. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

class SystemTimer implements Timer {
  readonly #callback: () => void;
  #remainingMs: number;
  #timeout: NodeJS.Timeout;

  constructor(delayMs: number, callback: () => void) {
    this.#callback = callback;
    this.#remainingMs = delayMs;
    this.#timeout = this.#arm();
  }

  cancel(): void {
    clearTimeout(this.#timeout);
  }

  #arm(): NodeJS.Timeout {
    const stepMs = Math.min(this.#remainingMs, MAX_TIMEOUT_MS);
    this.#remainingMs -= stepMs;
    return setTimeout(() => this.#fire(), stepMs);
  }

  #fire(): void {
    if (this.#remainingMs > 0) this.#timeout = this.#arm();
    else this.#callback();
  }
}

/** The machine's own time. */
export const systemClock: Clock = {
  now: () => performance.now(),
  setTimer: (delayMs, callback) => new SystemTimer(delayMs, callback),
};
