/** Time in a simulation. */
import type { Clock, Timer } from '../../src/runtime/clock.ts';

/** Things that may fall due at one time. */
const MAX_STEPS = 20_000;

interface Due extends Timer {
  readonly atMs: number;
  readonly run: () => void;
}

/** A clock that goes from one thing that falls due to the next. */
export class SimClock implements Clock {
  #nowMs = 0;
  /** By time, then by creation. */
  readonly #due: Due[] = [];

  now(): number {
    return this.#nowMs;
  }

  get isEmpty(): boolean {
    return this.#due.length === 0;
  }

  setTimer(delayMs: number, run: () => void): Timer {
    const atMs = this.#nowMs + delayMs;
    const timer: Due = {
      atMs,
      run,
      cancel: () => {
        const index = this.#due.indexOf(timer);
        if (index >= 0) this.#due.splice(index, 1);
      },
    };
    let index = this.#due.length;
    while (index > 0 && (this.#due[index - 1]?.atMs ?? 0) > atMs) index--;
    this.#due.splice(index, 0, timer);
    return timer;
  }

  soon(job: () => void): void {
    queueMicrotask(job);
  }

  nextTurn(job: () => void): void {
    this.setTimer(0, job);
  }

  /** Does the next thing, if there is one until then; otherwise it is that time. */
  step(untilMs: number): boolean {
    const next = this.#due[0];
    if (next === undefined || next.atMs > untilMs) {
      this.#nowMs = Math.max(this.#nowMs, untilMs);
      return false;
    }
    this.#due.shift();
    this.#nowMs = Math.max(this.#nowMs, next.atMs);
    next.run();
    return true;
  }

  /**
   * Goes on to `untilMs`, or until `isEnough`. After each thing that falls due promises settle,
   * and `judge` is called; the run rejects with what it throws.
   */
  run(untilMs: number, judge: () => void, isEnough: () => boolean): Promise<void> {
    let [steps, sinceMs] = [0, -1];
    return new Promise((resolve, reject) => {
      // A turn of the loop costs a fraction of what promises do that wait for as many others.
      const next = (): void => {
        try {
          judge();
          if (this.#nowMs > sinceMs) [steps, sinceMs] = [0, this.#nowMs];
          if (++steps > MAX_STEPS) throw new Error(`time stands still at ${sinceMs} ms`);
          if (isEnough() || !this.step(untilMs)) resolve();
          else setImmediate(next);
        } catch (error) {
          reject(error);
        }
      };
      next();
    });
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => void this.setTimer(ms, resolve));
  }
}
