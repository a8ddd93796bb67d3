/**
 * Time and the turns of the event loop. All code that waits takes a `Clock` from its caller, so
 * that a test can run hours in a moment and replay them exactly.
 */
import { performance } from 'node:perf_hooks';

export interface Timer {
  /** Ends the timer; no effect once it has fired. */
  cancel(): void;
}

/** The turns of the event loop. Jobs run in the order of the calls. */
export interface Turns {
  /** Calls `job` when the current callback has returned, before the next event. */
  soon(job: () => void): void;
  /** Calls `job` after all sockets with input in this turn have been read. */
  nextTurn(job: () => void): void;
}

/** Resolves in the next turn. */
export function nextTurn(turns: Turns): Promise<void> {
  return new Promise((resolve) => turns.nextTurn(resolve));
}

export interface Clock extends Turns {
  /** Milliseconds since an arbitrary origin; monotonic. */
  now(): number;
  /**
   * Calls `callback` once, `delayMs` milliseconds (>= 0, no upper bound) from now, unless
   * cancelled: never earlier, and not before the input that had arrived by then has been read.
   */
  setTimer(delayMs: number, callback: () => void): Timer;
  /**
   * A connection has been accepted, so more may wait to be. For clocks that wait for input.
   *
   * @param backlog how many the listen queue holds at most
   */
  arrived?(backlog: number): void;
  /**
   * When input that may have arrived was last left unread on purpose, by `now`; -Infinity if never.
   * Without it: never.
   */
  inputHeldMs?(): number;
}

/**
 * Milliseconds that a client has left to send a message, of `ms` since `sinceMs`. They count anew
 * from when its input was last left unread: until then it may have waited for an answer.
 */
export function leftToSend(clock: Clock, sinceMs: number, ms: number): number {
  return Math.max(sinceMs, clock.inputHeldMs?.() ?? sinceMs) + ms - clock.now();
}

/** Calls `expired` once a client has had `ms` milliseconds from now to send a message. */
export function setSendTimer(clock: Clock, ms: number, expired: () => void): Timer {
  const sinceMs = clock.now();
  const arm = (delayMs: number): Timer =>
    clock.setTimer(delayMs, () => {
      const leftMs = leftToSend(clock, sinceMs, ms);
      if (leftMs > 0) timer = arm(leftMs);
      else expired();
    });
  let timer = arm(ms);
  return { cancel: () => timer.cancel() };
}

/** The longest delay of `setTimeout`, which fires at once for a longer one. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

/*
 * After a stall the event loop runs timers before it reads the input that arrived meanwhile. A
 * message that arrived in time must be processed before its client is expired, so a timer that is
 * due still waits for two things.
 *
 * If the timer is late, so are the server's answers, and a client may need one before it can send
 * its message: in a WebSocket or TLS handshake. So the timer waits as long again as it is late, up
 * to MAX_GRACE_MS.
 *
 * Then it lets turns of the loop pass. A connection is accepted in one turn and its input is read
 * in the next: hence TURNS_OF_GRACE. But libuv accepts only one connection per turn, so turns that
 * accept one do not count. At most as many connections had arrived as the listen queues hold;
 * after as many turns all later ones are new, and must not delay the timer for ever. A server
 * usually listens on two addresses at most: hence QUEUES.
 */
const TURNS_OF_GRACE = 2;
const QUEUES = 2;
const MAX_GRACE_MS = 1000;

/** Milliseconds that a timer may be late without a stall. */
const USUAL_DELAY_MS = 20;

/** Connections accepted so far in this process. */
let arrivals = 0;

/** The backlog of the longest listen queue so far; at first the one that Node chooses. */
let longestQueue = 511;

class SystemTimer implements Timer {
  readonly #callback: () => void;
  readonly #dueMs: number;
  #timeout: NodeJS.Timeout;
  #immediate: NodeJS.Immediate | undefined;

  constructor(delayMs: number, callback: () => void) {
    this.#callback = callback;
    this.#dueMs = performance.now() + delayMs;
    this.#timeout = this.#arm(delayMs);
  }

  cancel(): void {
    clearTimeout(this.#timeout);
    clearImmediate(this.#immediate);
  }

  #arm(delayMs: number): NodeJS.Timeout {
    return setTimeout(() => this.#fire(), Math.min(delayMs, MAX_TIMEOUT_MS));
  }

  #fire(): void {
    const lateMs = performance.now() - this.#dueMs;
    if (lateMs < 0) {
      // `setTimeout` counts integral milliseconds from the start of a turn: up to one too few.
      this.#timeout = this.#arm(-lateMs);
      return;
    }
    if (lateMs <= USUAL_DELAY_MS) {
      this.#waitTurns(TURNS_OF_GRACE);
      return;
    }
    const graceMs = Math.min(lateMs, MAX_GRACE_MS);
    this.#timeout = setTimeout(() => this.#waitTurns(TURNS_OF_GRACE), graceMs);
  }

  /**
   * @param turns how many turns without a new connection must pass
   * @param waited how many turns of any kind have passed
   */
  #waitTurns(turns: number, waited = 0): void {
    const arrivalsBefore = arrivals;
    this.#immediate = setImmediate(() => {
      const left = arrivals === arrivalsBefore ? turns - 1 : TURNS_OF_GRACE;
      if (left === 0 || waited >= QUEUES * longestQueue) this.#callback();
      else this.#waitTurns(left, waited + 1);
    });
  }
}

/** A clock that goes on from another reading, such as the last one of an earlier process. */
export class ShiftedClock implements Clock {
  readonly #clock: Clock;
  #shiftMs = 0;
  #inputHeldMs = (): number => Number.NEGATIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @param inputHeldMs see `Clock` */
  holdsInput(inputHeldMs: () => number): void {
    this.#inputHeldMs = inputHeldMs;
  }

  inputHeldMs(): number {
    return this.#inputHeldMs();
  }

  /** It is `nowMs` milliseconds now. */
  continueFrom(nowMs: number): void {
    this.#shiftMs = nowMs - this.#clock.now();
  }

  now(): number {
    return this.#clock.now() + this.#shiftMs;
  }

  setTimer(delayMs: number, callback: () => void): Timer {
    return this.#clock.setTimer(delayMs, callback);
  }

  arrived(backlog: number): void {
    this.#clock.arrived?.(backlog);
  }

  soon(job: () => void): void {
    this.#clock.soon(job);
  }

  nextTurn(job: () => void): void {
    this.#clock.nextTurn(job);
  }
}

/** The clock of this process. */
export const systemClock: Clock = {
  now: () => performance.now(),
  setTimer: (delayMs, callback) => new SystemTimer(delayMs, callback),
  arrived: (backlog) => {
    arrivals++;
    longestQueue = Math.max(longestQueue, backlog);
  },
  soon: (job) => queueMicrotask(job),
  nextTurn: (job) => void setImmediate(job),
};
