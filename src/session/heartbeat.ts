/** Detects that a client has missed the heartbeat that it promised. */
import { type Clock, leftToSend, type Timer } from '../runtime/clock.ts';

export class Heartbeat {
  readonly #clock: Clock;
  readonly #promiseMs: number;
  readonly #heldAgoMs: () => number;
  readonly #silent: () => void;
  #heardMs: number;
  #timer: Timer;

  /**
   * @param promiseMs most milliseconds (>= 1) between two messages of the client
   * @param heldAgoMs milliseconds since its messages may last have arrived and not been read
   * @param silent called once, when no message has arrived for longer
   */
  constructor(clock: Clock, promiseMs: number, heldAgoMs: () => number, silent: () => void) {
    this.#clock = clock;
    this.#promiseMs = promiseMs;
    this.#heldAgoMs = heldAgoMs;
    this.#silent = silent;
    this.#heardMs = clock.now();
    this.#timer = this.#arm(promiseMs);
  }

  /** A message has arrived. Called for every message, so it sets no timer. */
  heard(): void {
    this.#heardMs = this.#clock.now();
  }

  stop(): void {
    this.#timer.cancel();
  }

  #arm(delayMs: number): Timer {
    return this.#clock.setTimer(delayMs, () => {
      const sinceMs = Math.max(this.#heardMs, this.#clock.now() - this.#heldAgoMs());
      const leftMs = leftToSend(this.#clock, sinceMs, this.#promiseMs);
      if (leftMs > 0) this.#timer = this.#arm(leftMs);
      else this.#silent();
    });
  }
}
