/**
 * What a client needs from outside: time, randomness, connections, and where to report errors. All of
 * it is handed in, so that a test can drive it.
 */
import type { OpenTransport } from './transport.ts';

export interface Timer {
  /** Ends the timer; no effect once it has fired. */
  cancel(): void;
}

export interface ClientClock {
  /** Milliseconds since an arbitrary origin; never goes back. */
  now(): number;
  /** Milliseconds by the wall clock, which advances while the machine sleeps, and may be set. */
  wallNow(): number;
  /** Calls `callback` once, `delayMs` milliseconds (>= 0, any size) from now, unless cancelled. */
  setTimer(delayMs: number, callback: () => void): Timer;
}

/** A value that follows asynchronous calls, as in `AsyncLocalStorage`. */
export interface Context<T> {
  get(): T | undefined;
  run<R>(value: T, work: () => R): R;
}

export interface Environment {
  readonly clock: ClientClock;
  /** A number from 0 (included) to 1 (excluded). */
  random(): number;
  readonly open: OpenTransport;
  /**
   * Whether the process must stay alive: the client holds or awaits something. Called when that changes;
   * at first it need not.
   */
  keepAlive(isBusy: boolean): void;
  /** An event handler of the caller has thrown. Must not throw. */
  report(error: unknown): void;
  /** Carries the owner of nested `withLock` calls; undefined where the platform has no such thing. */
  readonly context: Context<unknown> | undefined;
}

/** The longest delay that `setTimeout` takes; it fires at once for anything longer. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

/**
 * The machine's own time.
 *
 * @param unref lets the process end while the timer is pending, where the platform can
 */
export function systemClock(unref: (timeout: unknown) => void = () => {}): ClientClock {
  const setTimer = (delayMs: number, callback: () => void): Timer => {
    const stepMs = Math.min(delayMs, MAX_TIMEOUT_MS);
    let next: Timer | undefined;
    const timeout = setTimeout(() => {
      if (delayMs > stepMs) next = setTimer(delayMs - stepMs, callback);
      else callback();
    }, stepMs);
    unref(timeout);
    return {
      cancel() {
        clearTimeout(timeout);
        next?.cancel();
      },
    };
  };
  return { now: () => performance.now(), wallNow: () => Date.now(), setTimer };
}
