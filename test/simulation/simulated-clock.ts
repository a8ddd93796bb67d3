/** A clock whose turns, too, come only when the test says so. */
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

  /** Whether something waits for its turn. */
  get hasTurns(): boolean {
    return this.#turns.length > 0;
  }

  /** To be called whenever a callback of the server's has returned. */
  runSoon(): void {
    for (let job = this.#soon.shift(); job !== undefined; job = this.#soon.shift()) job();
  }

  /** Gives one that waits its turn: the one that has waited longest. */
  runTurn(): void {
    this.#turns.shift()?.();
    this.runSoon();
  }
}
