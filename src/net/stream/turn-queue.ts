/**
 * One queue for the costly work that connections have deferred. Each turn of the event loop spends
 * `SLICE_MS` on it, or one job if that takes longer. So a thousand connections with costly requests
 * delay the others by one such request per turn, not by the sum of them.
 */
import type { Clock, Turns } from '../../runtime/clock.ts';

/** Milliseconds of a turn after which the rest of the queue waits for the next turn. */
const SLICE_MS = 2;

export class TurnQueue implements Pick<Turns, 'nextTurn'> {
  readonly #clock: Clock;
  #jobs: (() => void)[] = [];
  /** Index of the first job that has not run. */
  #at = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Calls `job` in a later turn, after the jobs before it. */
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
