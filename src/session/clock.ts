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
  /**
   * Calls `callback` once, `delayMs` milliseconds (>= 0, any size) from now, unless cancelled: not
   * earlier, and not before the input that had arrived by then has been read.
   */
  setTimer(delayMs: number, callback: () => void): Timer;
}

/** The longest delay `setTimeout` takes; it fires at once for anything longer. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

/**
 * Turns of the event loop that a timer which is due still lets pass. When the loop was stalled,
 * timers run before the input that has arrived meanwhile; in one turn a waiting connection is
 * accepted, in the next what it sent is read. Whoever spoke in time is heard before being expired.
 */
const TURNS_OF_GRACE = 2;

class SystemTimer implements Timer {
  readonly #callback: () => void;
  #remainingMs: number;
  #timeout: NodeJS.Timeout;
  #immediate: NodeJS.Immediate | undefined;

  constructor(delayMs: number, callback: () => void) {
    this.#callback = callback;
    this.#remainingMs = delayMs;
    this.#timeout = this.#arm();
  }

  cancel(): void {
    clearTimeout(this.#timeout);
    clearImmediate(this.#immediate);
  }

  #arm(): NodeJS.Timeout {
    const stepMs = Math.min(this.#remainingMs, MAX_TIMEOUT_MS);
    this.#remainingMs -= stepMs;
    return setTimeout(() => this.#fire(), stepMs);
  }

  #fire(): void {
    if (this.#remainingMs > 0) this.#timeout = this.#arm();
    else this.#waitTurns(TURNS_OF_GRACE);
  }

  #waitTurns(turns: number): void {
    if (turns === 0) this.#callback();
    else this.#immediate = setImmediate(() => this.#waitTurns(turns - 1));
  }
}

/** The machine's own time. */
export const systemClock: Clock = {
  now: () => performance.now(),
  setTimer: (delayMs, callback) => new SystemTimer(delayMs, callback),
};
