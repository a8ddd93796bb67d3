/**
 * Work that connections have put off because it may be costly, in one queue for all of them. Each turn of
 * the event loop takes from it for a short time only: so a thousand connections that each ask for
 * something costly delay everyone else by one such request a turn, and not by the sum of them.
 */
import type { Clock, Turns } from '../../runtime/clock.ts';

/** Milliseconds of a turn after which what is left in the queue waits for the next one. */
const SLICE_MS = 2;

export class TurnQueue implements Pick<Turns, 'nextTurn'> {
  readonly #clock: Clock;
  #jobs: (() => void)[] = [];
  /** Where the first job that has not run is. */
  #at = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Calls `job` in a later turn, when those before it have run. */
  nextTurn(job: () => void): void {
    if (this.#jobs.push(job) === 1) this.#clock.nextTurn(() => this.#run());
  }

  #run(): void {
    const startMs = this.#clock.now();
    const end = this.#jobs.length;
    do this.#jobs[this.#at++]?.();
    while (this.#at < end && this.#clock.now() - startMs < SLICE_MS);
    this.#jobs = this.#jobs.slice(this.#at);
    this.#at = 0;
    if (this.#jobs.length > 0) this.#clock.nextTurn(() => this.#run());
  }
}
