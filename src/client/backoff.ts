/** How long to wait before the next attempt: longer each time, and never all clients at once. */

const BASE_MS = 50;

export class Backoff {
  readonly #random: () => number;
  #attempts = 0;

  constructor(random: () => number) {
    this.#random = random;
  }

  /** Milliseconds to wait now, from 0 to 50 at first, then to twice that, at most to `capMs`. */
  next(capMs: number): number {
    const ceilingMs = Math.min(capMs, BASE_MS * 2 ** Math.min(this.#attempts++, 30));
    return this.#random() * ceilingMs;
  }

  /** Things went well: the next wait is short again. */
  reset(): void {
    this.#attempts = 0;
  }
}
