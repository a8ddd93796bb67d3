import type { Clock, Timer } from '../../src/runtime/clock.ts';

interface PendingTimer {
  readonly dueMs: number;
  readonly order: number;
  readonly callback: () => void;
}

/**
 * A clock that stands still until the test moves it. Timers fire in order of time, then of creation.
 * The turns of the loop are the real ones: with real sockets nothing else would do.
 */
export class FakeClock implements Clock {
  #nowMs = 0;
  #order = 0;
  readonly #pending = new Set<PendingTimer>();

  now(): number {
    return this.#nowMs;
  }

  setTimer(delayMs: number, callback: () => void): Timer {
    const timer = { dueMs: this.#nowMs + delayMs, order: this.#order++, callback };
    this.#pending.add(timer);
    return { cancel: () => void this.#pending.delete(timer) };
  }

  soon(job: () => void): void {
    queueMicrotask(job);
  }

  nextTurn(job: () => void): void {
    setImmediate(job);
  }

  /** How many timers are waiting: zero says that nothing was forgotten. */
  get pendingTimers(): number {
    return this.#pending.size;
  }

  /** How many timers were ever set: tells a test that the server has got somewhere. */
  get timersSet(): number {
    return this.#order;
  }

  /** Whether a timer runs that falls due in exactly so many milliseconds: a test knows it by that. */
  isDueIn(ms: number): boolean {
    return [...this.#pending].some(({ dueMs }) => dueMs === this.#nowMs + ms);
  }

  /** Moves time on by `ms` milliseconds and fires what falls due on the way. */
  advance(ms: number): void {
    const untilMs = this.#nowMs + ms;
    for (let next = this.#nextDue(untilMs); next !== undefined; next = this.#nextDue(untilMs)) {
      this.#nowMs = next.dueMs;
      this.#pending.delete(next);
      next.callback();
    }
    this.#nowMs = untilMs;
  }

  #nextDue(untilMs: number): PendingTimer | undefined {
    let first: PendingTimer | undefined;
    for (const timer of this.#pending) {
      if (timer.dueMs > untilMs) continue;
      if (
        first === undefined ||
        timer.dueMs < first.dueMs ||
        (timer.dueMs === first.dueMs && timer.order < first.order)
      ) {
        first = timer;
      }
    }
    return first;
  }
}
