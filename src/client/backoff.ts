/** Exponential backoff with full jitter, so that clients don't all reconnect at once. */

const BASE_MS = 50;

export class Backoff {
  readonly #random: () => number;
  #attempts = 0;

  constructor(random: () => number) {
    this.#random = random;
  }

  /** Milliseconds to wait: random, up to 50 at first and twice as many each time, at most `capMs`. */
  next(capMs: number): number {
    const ceilingMs = Math.min(capMs, BASE_MS * 2 ** Math.min(this.#attempts++, 30));
    return this.#random() * ceilingMs;
  }

  /** The next wait is short again. */
  reset(): void {
    this.#attempts = 0;
  }
}
