/**
 * The budget of a search, in steps: one for each entry, queue, lock or owner that it visits, and
 * more for each object that it keeps. A step takes some tens of nanoseconds at most.
 */

/** The cost of putting one object in a `Map`, compared with visiting one. */
const STEPS_FOR_NEW = 4;

export class Budget {
  #left: number;

  /** @param steps >= 0; may be infinite */
  constructor(steps: number) {
    this.#left = steps;
  }

  /** Takes one step. False if none is left: then the search must end. */
  take(): boolean {
    return --this.#left >= 0;
  }

  /** Takes the steps for an object that is kept until the search ends. */
  takeForNew(): void {
    this.#left -= STEPS_FOR_NEW;
  }

  /** Whether more than all steps were taken: then the search's result is incomplete. */
  get isSpent(): boolean {
    return this.#left < 0;
  }
}
