/** The caller's wait for a lock, from the call until its promise is settled. */
import type { ClientClock, Timer } from './environment.ts';
import type { HeldLock, Holding } from './held-lock.ts';
import { elapsedMs, type Moment, momentOf } from './trust.ts';

/** Milliseconds by which the server may be late to report that a wait is over. */
const ANSWER_SLACK_MS = 5000;

/** Settles the caller's promise. */
export interface Outcome {
  resolve(lock: HeldLock): void;
  reject(reason: unknown): void;
}

export interface WaitHost {
  readonly clock: ClientClock;
  /** Whether the server can report the end of the wait. */
  readonly isReady: boolean;
}

export class Wait {
  readonly #host: WaitHost;
  readonly #waitMs: number | undefined;
  /** Of a wait with a limit; others are not timed. */
  readonly #startedAt: Moment | undefined;
  #outcome: Outcome | undefined;
  #timer: Timer | undefined;
  #stopListening: (() => void) | undefined;

  /** @param waitMs milliseconds to wait at most; undefined for no limit */
  constructor(host: WaitHost, waitMs: number | undefined, outcome: Outcome) {
    this.#host = host;
    this.#waitMs = waitMs;
    this.#startedAt = waitMs === undefined ? undefined : momentOf(host.clock);
    this.#outcome = outcome;
  }

  /** Calls `cancel` if `signal` aborts meanwhile. */
  listen(signal: AbortSignal, cancel: (reason: unknown) => void): void {
    const listener = (): void => cancel(signal.reason);
    signal.addEventListener('abort', listener, { once: true });
    this.#stopListening = () => signal.removeEventListener('abort', listener);
  }

  /** Calls `end` when the time is over and the server has not reported that. */
  limit(end: () => void): void {
    if (this.#waitMs === undefined || this.isOver) return;
    if (this.#waitMs === 0 && !this.#host.isReady) end();
    else this.#limit(this.#waitMs, end);
  }

  get isOver(): boolean {
    return this.#outcome === undefined;
  }

  /** Milliseconds that are left, 0 or more, as `waitMs` of a request sent now. */
  get leftMs(): number | undefined {
    const leftMs = this.#leftMs;
    return leftMs === undefined ? undefined : Math.max(0, Math.ceil(leftMs));
  }

  /** Resolves the caller's promise. */
  grant(holding: Holding): void {
    this.#settle()?.resolve(holding);
  }

  /** Rejects the caller's promise, if it is still pending. */
  fail(reason: unknown): void {
    this.#settle()?.reject(reason);
  }

  /** Below 0 when the server is late to report the end. */
  get #leftMs(): number | undefined {
    if (this.#waitMs === undefined || this.#startedAt === undefined) return undefined;
    return this.#waitMs - elapsedMs(this.#host.clock, this.#startedAt);
  }

  #limit(delayMs: number, end: () => void): void {
    this.#timer = this.#host.clock.setTimer(delayMs, () => {
      const isLate = (this.#leftMs ?? 0) <= -ANSWER_SLACK_MS;
      // While connected, the server reports it.
      if (this.#host.isReady && !isLate) this.#limit(ANSWER_SLACK_MS, end);
      else end();
    });
  }

  #settle(): Outcome | undefined {
    const outcome = this.#outcome;
    this.#outcome = undefined;
    this.#timer?.cancel();
    this.#stopListening?.();
    return outcome;
  }
}
