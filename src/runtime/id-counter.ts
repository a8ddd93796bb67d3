/**
 * Lock ids for the whole server: rising integers below 2^53, so that an id is a fencing token.
 *
 * Nothing is stored. A restarted server still hands out larger ids than before, because it counts
 * from the wall clock in microseconds: true as long as it hands out fewer than a million ids a
 * second on average, and the clock isn't set back across the restart.
 */

export class IdCounter {
  #last: number;

  /** @param wallClockMs milliseconds since 1970, as `Date.now()` tells them */
  constructor(wallClockMs: number) {
    this.#last = Math.floor(wallClockMs) * 1000;
  }

  readonly next = (): number => ++this.#last;
}
