import type { Clock, Timer } from '../../src/runtime/clock.ts';

interface PendingTimer {
  readonly dueMs: number;
  readonly order: number;
  readonly callback: () => void;
}

/**
 * A clock that stands still until the test moves it. Timers fire in order of time, then of
 * creation. The turns of the loop are the real ones, since the sockets are real.
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

  /** The number of pending timers: zero if all were cancelled or fired. */
  get pendingTimers(): number {
    return this.#pending.size;
  }

  /** The number of timers set so far: tests wait for it to see the server's progress. */
  get timersSet(): number {
    return this.#order;
  }

  /** Whether a timer is due in exactly `ms` milliseconds, by which a test recognises it. */
  isDueIn(ms: number): boolean {
    return [...this.#pending].some(({ dueMs }) => dueMs === this.#nowMs + ms);
  }

  /** Advances time by `ms` milliseconds and fires the timers that become due. */
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
