/**
 * For how long what the server said may be believed. The server keeps what a session holds for the
 * abandon timeout, counted at the earliest from the moment at which it read the session's last
 * request. That moment is not known here, but it was not before the sending of a request that was
 * answered: from there this reckons, less a margin. Not from the answer, which may have been on its
 * way for long, and not from the end of a connection, which the server may have noticed much earlier.
 *
 * Two clocks are asked and the one that ran further counts: the monotonic one stands still while a
 * machine sleeps, the wall clock may be set back.
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

/** Shorter abandon timeouts leave no time in which a lock could be believed. */
export const MIN_ABANDON_TIMEOUT_MS = 100;

/**
 * What is taken off a time of the server's, in milliseconds: for clocks that don't run at quite the
 * same rate, for timers that are late, and for the work that has to stop.
 */
export function marginOf(timeMs: number): number {
  return Math.min(Math.max(timeMs / 10, MIN_MARGIN_MS), MAX_MARGIN_MS);
}

/** Milliseconds for which a lock with that `holdMs` may be believed in. */
export function holdTrustMs(holdMs: number): number {
  return holdMs - Math.min(holdMs / 10, MAX_MARGIN_MS);
}

export class Belief {
  readonly #clock: ClientClock;
  readonly #trustMs: number;
  #confirmedAt: Moment;

  /**
   * @param trustMs milliseconds from the sending of a request that was answered
   * @param sentAt when the first such request was sent
   */
  constructor(clock: ClientClock, trustMs: number, sentAt: Moment) {
    this.#clock = clock;
    this.#trustMs = trustMs;
    this.#confirmedAt = sentAt;
  }

  /** A request that was sent at that moment has been answered. */
  confirm(sentAt: Moment): void {
    if (sentAt.monotonicMs >= this.#confirmedAt.monotonicMs) this.#confirmedAt = sentAt;
  }

  /** The sending of the last request that was answered: what is heard now happened after it. */
  get confirmedAt(): Moment {
    return this.#confirmedAt;
  }

  /** Milliseconds for which the session's locks may still be believed in; none from 0 down. */
  get leftMs(): number {
    return this.#trustMs - elapsedMs(this.#clock, this.#confirmedAt);
  }
}
