/**
 * Lock ids for the whole server: rising integers below 2^53, so that an id is a fencing token.
 *
 * Nothing is stored: the counter starts at the wall clock in microseconds. So ids rise across a
 * restart if the server gives out fewer than a million ids a second on average, and the clock is
 * not set back.
 */

export class IdCounter {
  #last: number;

  /** @param wallClockMs milliseconds since 1970, as from `Date.now()` */
  constructor(wallClockMs: number) {
    this.#last = Math.floor(wallClockMs) * 1000;
  }

  readonly next = (): number => ++this.#last;
}
