/**
 * Keeps a session alive and notices when it isn't: pings well within the abandon timeout, checks the
 * clocks, and reports a connection on which no answer arrives.
 */

import type { ClientClock, Timer } from './environment.ts';
import { elapsedMs, type Moment, momentOf } from './trust.ts';

export interface HeartbeatHost {
  readonly isReady: boolean;
  /** Whether the caller awaits or holds anything. */
  readonly isBusy: boolean;
  /** Milliseconds for which the session's locks may be trusted. */
  readonly trustLeftMs: number;
  /** The shortest `holdMs` there is: when it began is only known to lie between two answers. */
  readonly shortestHoldMs: number;
  /** When the oldest unanswered request was sent. */
  readonly oldestUnansweredAt: Moment | undefined;
  ping(): void;
  /** No answer has arrived for too long. */
  silent(): void;
  /** Marks locks as lost that can't be trusted any more. */
  checkAll(): void;
}

/** Pings per abandon timeout; and at least one in so many milliseconds, for the proxies in between. */
const PINGS_PER_TIMEOUT = 5;
const MAX_PING_MS = 15_000;

/**
 * Milliseconds between two checks of the clocks while a lock is held: timers stop while a machine
 * sleeps, so the one for the end of the trust may fire too late.
 */
const LOOK_MS = 1000;

/** Milliseconds between two pings at least. */
const MIN_PING_MS = 10;

/** Milliseconds between two pings at most, for a session with that abandon timeout. */
export function pingEveryMs(abandonTimeoutMs: number): number {
  return Math.min(abandonTimeoutMs / PINGS_PER_TIMEOUT, MAX_PING_MS);
}

export class Heartbeat {
  readonly #clock: ClientClock;
  readonly #host: HeartbeatHost;
  #pingMs = MAX_PING_MS;
  #sentAt: Moment;
  /** By the monotonic clock alone: a wall clock that is set forward is no silence. */
  #heardMs = 0;
  #timer: Timer | undefined;
  #dueMs = 0;

  constructor(clock: ClientClock, host: HeartbeatHost) {
    this.#clock = clock;
    this.#host = host;
    this.#sentAt = momentOf(clock);
  }

  /** Pings from now on, until it is stopped. */
  start(abandonTimeoutMs: number): void {
    this.#pingMs = pingEveryMs(abandonTimeoutMs);
    this.#arm();
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  sent(at: Moment): void {
    this.#sentAt = at;
  }

  heard(): void {
    this.#heardMs = this.#clock.now();
  }

  /** A lock with that `holdMs` is held or awaited: checks more often if it is short. */
  quicken(holdMs = Number.POSITIVE_INFINITY): void {
    if (this.#timer === undefined) return;
    const withinMs = Math.min(LOOK_MS, holdMs / PINGS_PER_TIMEOUT);
    if (this.#dueMs > this.#clock.now() + withinMs) this.#arm();
  }

  #tick(): void {
    const lateMs = this.#clock.now() - this.#dueMs;
    const host = this.#host;
    host.checkAll();
    if (host.isReady) {
      // After a stall, input that has arrived is still to be read.
      if (lateMs < this.#pingMs / 2 && this.#isSilent()) host.silent();
      else if (elapsedMs(this.#clock, this.#sentAt) >= this.#everyMs()) host.ping();
    }
    // All of this runs the caller's handlers, which may have closed the client.
    if (this.#timer !== undefined) this.#arm();
  }

  #isSilent(): boolean {
    const { oldestUnansweredAt } = this.#host;
    if (oldestUnansweredAt === undefined) return false;
    const waitedMs = elapsedMs(this.#clock, oldestUnansweredAt);
    return Math.min(waitedMs, this.#clock.now() - this.#heardMs) > this.#pingMs;
  }

  #everyMs(): number {
    const holdMs = this.#host.shortestHoldMs / PINGS_PER_TIMEOUT;
    return Math.min(this.#pingMs, Math.max(MIN_PING_MS, holdMs));
  }

  #arm(): void {
    this.#timer?.cancel();
    const nowMs = this.#clock.now();
    const { isBusy, isReady, trustLeftMs } = this.#host;
    const everyMs = this.#everyMs();
    const pingMs = isReady ? everyMs - elapsedMs(this.#clock, this.#sentAt) : everyMs;
    const lookMs = isBusy ? Math.min(LOOK_MS, everyMs) : everyMs;
    const trustMs = trustLeftMs > 0 ? trustLeftMs : everyMs;
    const delayMs = Math.max(1, Math.min(pingMs, lookMs, trustMs));
    this.#dueMs = nowMs + delayMs;
    this.#timer = this.#clock.setTimer(delayMs, () => this.#tick());
  }
}
