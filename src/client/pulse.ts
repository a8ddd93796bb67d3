/**
 * Keeps a session alive, and notices when it isn't: pings before the server could think that nobody is
 * there, looks at the clocks, and takes a connection for broken on which no answer comes.
 */
import { elapsedMs, type Moment } from './belief.ts';
import type { ClientClock, Timer } from './environment.ts';

export interface PulseHost {
  readonly isReady: boolean;
  /** Whether the caller awaits or holds anything. */
  readonly isBusy: boolean;
  /** Milliseconds for which the session may be believed in. */
  readonly trustLeftMs: number;
  /** Milliseconds of the shortest hold there is: its time is reckoned from answers, too. */
  readonly shortestHoldMs: number;
  /** When the oldest request without an answer was sent. */
  readonly oldestUnansweredAt: Moment | undefined;
  ping(): void;
  /** Nothing has come for too long. */
  silent(): void;
  /** Loses what can't be believed in any more. */
  checkAll(): void;
}

/** Pings in an abandon timeout, and milliseconds between two of them at most, for what is on the way. */
const PINGS_PER_TIMEOUT = 5;
const MAX_PING_MS = 15_000;

/**
 * Milliseconds between two looks at the clocks while a lock is held: timers stand still while a
 * machine sleeps, so the one that was set for the end of a belief may come too late.
 */
const LOOK_MS = 1000;

/** Milliseconds between two pings at least. */
const MIN_PING_MS = 10;

/** Milliseconds between two pings at most, for a session with that abandon timeout. */
export function pingEveryMs(abandonTimeoutMs: number): number {
  return Math.min(abandonTimeoutMs / PINGS_PER_TIMEOUT, MAX_PING_MS);
}

export class Pulse {
  readonly #clock: ClientClock;
  readonly #host: PulseHost;
  #pingMs = MAX_PING_MS;
  #sentMs = 0;
  #heardMs = 0;
  #timer: Timer | undefined;
  #dueMs = 0;

  constructor(clock: ClientClock, host: PulseHost) {
    this.#clock = clock;
    this.#host = host;
  }

  /** From now on, until it is stopped. */
  start(abandonTimeoutMs: number): void {
    this.#pingMs = pingEveryMs(abandonTimeoutMs);
    this.#arm();
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  sent(): void {
    this.#sentMs = this.#clock.now();
  }

  heard(): void {
    this.#heardMs = this.#clock.now();
  }

  /** Something is held or awaited whose time is so short: looks more often. */
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
      // What has come while the process was held up has yet to be read.
      if (lateMs < this.#pingMs / 2 && this.#isSilent()) host.silent();
      else if (this.#clock.now() - this.#sentMs >= this.#everyMs()) host.ping();
    }
    // All of this runs code of the caller's, who may have closed the client.
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
    const pingMs = isReady ? this.#sentMs + everyMs - nowMs : everyMs;
    const lookMs = isBusy ? Math.min(LOOK_MS, everyMs) : everyMs;
    const beliefMs = trustLeftMs > 0 ? trustLeftMs : everyMs;
    const delayMs = Math.max(1, Math.min(pingMs, lookMs, beliefMs));
    this.#dueMs = nowMs + delayMs;
    this.#timer = this.#clock.setTimer(delayMs, () => this.#tick());
  }
}
