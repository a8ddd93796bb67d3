/**
 * What a search may spend: a step for each entry, queue, lock or owner that it looks at, and more for
 * what it keeps. So a step is some tens of nanoseconds at most, whatever is searched.
 */

/** To put one thing in a `Map` and hold it there, compared with looking at one. */
const STEPS_FOR_NEW = 4;

export class Budget {
  #left: number;

  /** @param steps 0 or more; may be infinite */
  constructor(steps: number) {
    this.#left = steps;
  }

  /** Takes one step; false if there is none left, and then the search must end. */
  take(): boolean {
    return --this.#left >= 0;
  }

  /** Takes the steps for something that is kept until the search ends. */
  takeForNew(): void {
    this.#left -= STEPS_FOR_NEW;
  }

  /** Whether a step was refused: what the search has found is incomplete. */
  get isSpent(): boolean {
    return this.#left < 0;
  }
}
