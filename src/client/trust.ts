/**
 * How long a client may trust that it holds its locks. The server keeps them for the abandon timeout,
 * counted at the earliest from when it read the session's last request. The client doesn't know that
 * moment, but it was not before an answered request was sent: trust counts from there, less a margin.
 * It does not count from the answer, which may have been delayed, nor from the end of the connection,
 * which the server may have noticed much earlier.
 *
 * Of two clocks the one that ran further counts: the monotonic clock stops while a machine sleeps, and
 * the wall clock may be set back. If either jumps forward, locks are given up early; if one goes back,
 * nothing changes.
 */
import type { ClientClock } from './environment.ts';

/** A point in time, by both clocks. */
export interface Moment {
  readonly monotonicMs: number;
  readonly wallMs: number;
}

export function momentOf(clock: ClientClock): Moment {
  return { monotonicMs: clock.now(), wallMs: clock.wallNow() };
}

/** Milliseconds since `moment`, by the clock that ran further. */
export function elapsedMs(clock: ClientClock, moment: Moment): number {
  return Math.max(clock.now() - moment.monotonicMs, clock.wallNow() - moment.wallMs);
}

const MAX_MARGIN_MS = 10_000;
const MIN_MARGIN_MS = 25;

/** In milliseconds. A shorter abandon timeout leaves no time in which a lock could be trusted. */
export const MIN_ABANDON_TIMEOUT_MS = 100;

/**
 * Milliseconds to subtract from a timeout of the server: for clocks that run at different rates, for
 * late timers, and for the work that has to stop.
 */
export function marginOf(timeMs: number): number {
  return Math.min(Math.max(timeMs / 10, MIN_MARGIN_MS), MAX_MARGIN_MS);
}

/** Milliseconds for which a lock with that `holdMs` may be trusted. */
export function holdTrustMs(holdMs: number): number {
  return holdMs - Math.min(holdMs / 10, MAX_MARGIN_MS);
}

export class Trust {
  readonly #clock: ClientClock;
  readonly #trustMs: number;
  #confirmedAt: Moment;

  /**
   * @param trustMs milliseconds of trust after an answered request was sent
   * @param sentAt when the first such request was sent
   */
  constructor(clock: ClientClock, trustMs: number, sentAt: Moment) {
    this.#clock = clock;
    this.#trustMs = trustMs;
    this.#confirmedAt = sentAt;
  }

  /** A request that was sent at that moment has been answered. Requests are answered in order. */
  confirm(sentAt: Moment): void {
    this.#confirmedAt = sentAt;
  }

  /** When the last answered request was sent. Whatever the server reports now happened after it. */
  get confirmedAt(): Moment {
    return this.#confirmedAt;
  }

  /** Milliseconds for which the session's locks may still be trusted; at 0 or below they may not. */
  get leftMs(): number {
    return this.#trustMs - elapsedMs(this.#clock, this.#confirmedAt);
  }
}
