/** Notices that a client which promised to be heard from has fallen silent. */
import type { Clock, Timer } from '../runtime/clock.ts';

export class Heartbeat {
  readonly #clock: Clock;
  readonly #promiseMs: number;
  readonly #silent: () => void;
  #heardMs: number;
  #timer: Timer;

  /**
   * @param promiseMs milliseconds (>= 1) that the client lets pass at most between two messages
   * @param silent called once, when it has let more pass
   */
  constructor(clock: Clock, promiseMs: number, silent: () => void) {
    this.#clock = clock;
    this.#promiseMs = promiseMs;
    this.#silent = silent;
    this.#heardMs = clock.now();
    this.#timer = this.#arm(promiseMs);
  }

  /** The client was heard. Cheap, for it happens with every message: no timer is touched. */
  heard(): void {
    this.#heardMs = this.#clock.now();
  }

  stop(): void {
    this.#timer.cancel();
  }

  #arm(delayMs: number): Timer {
    return this.#clock.setTimer(delayMs, () => {
      const leftMs = this.#heardMs + this.#promiseMs - this.#clock.now();
      if (leftMs > 0) this.#timer = this.#arm(leftMs);
      else this.#silent();
    });
  }
}
