/** A clock whose time and turns the test controls. */
import { FakeClock } from '../support/fake-clock.ts';

type Job = () => void;

export class SimulatedClock extends FakeClock {
  readonly #soon: Job[] = [];
  readonly #turns: Job[] = [];

  override setTimer(delayMs: number, callback: Job) {
    return super.setTimer(delayMs, () => {
      callback();
      this.runSoon();
    });
  }

  override soon(job: Job): void {
    this.#soon.push(job);
  }

  override nextTurn(job: Job): void {
    this.#turns.push(job);
  }

  /** Whether a callback waits for its turn. */
  get hasTurns(): boolean {
    return this.#turns.length > 0;
  }

  /** To be called whenever a callback of the server has returned. */
  runSoon(): void {
    for (let job = this.#soon.shift(); job !== undefined; job = this.#soon.shift()) job();
  }

  /** Gives a turn to the callback that has waited longest. */
  runTurn(): void {
    this.#turns.shift()?.();
    this.runSoon();
  }
}
