/**
 * Lock ids for the whole server: rising integers below 2^53, so that an id is a fencing token.
 *
 * The counter starts at the wall clock in microseconds. So ids rise across a restart if the server
 * gives out fewer than a million ids a second on average, and the clock is not set back. With a
 * store it also starts above all ids of earlier servers, whatever the clock says.
 */

export class IdCounter {
  #last = 0;

  /** @param wallClockMs milliseconds since 1970, as from `Date.now()`; 0 to count from 1 */
  constructor(wallClockMs: number) {
    this.skipToTime(wallClockMs);
  }

  readonly next = (): number => ++this.#last;

  /** The id given out last. */
  get last(): number {
    return this.#last;
  }

  /** Continues from the wall clock, unless that is behind. */
  skipToTime(wallClockMs: number): void {
    this.skipTo(Math.floor(wallClockMs) * 1000);
  }

  /** No id up to `id` is given out from now on. */
  skipTo(id: number): void {
    this.#last = Math.max(this.#last, id);
  }
}
