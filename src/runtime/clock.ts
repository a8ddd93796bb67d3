/**
 * Time and the turns of the event loop, handed in from outside. Everything that waits asks a `Clock`,
 * so that a test can drive hours in a moment and replay them exactly.
 */

export interface Timer {
  /** Ends the timer; no effect once it has fired. */
  cancel(): void;
}

/** The turns of the event loop. Jobs run in the order in which they were given. */
export interface Turns {
  /** Calls `job` when the current callback has returned, before the next event. */
  soon(job: () => void): void;
  /** Calls `job` once every socket that has input in this turn has been read. */
  nextTurn(job: () => void): void;
}

export interface Clock extends Turns {
  /** Milliseconds since an arbitrary origin; never goes back when the wall clock is set. */
  now(): number;
  /**
   * Calls `callback` once, `delayMs` milliseconds (>= 0, any size) from now, unless cancelled: not
   * earlier, and not before the input that had arrived by then has been read.
   */
  setTimer(delayMs: number, callback: () => void): Timer;
  /** A connection has been accepted: others may wait behind it. For clocks that care for input. */
  arrived?(): void;
}

/** The longest delay `setTimeout` takes; it fires at once for anything longer. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

/*
 * When the event loop was stalled, timers run before the input that has arrived meanwhile. Whoever
 * spoke in time is to be heard before being expired, so a timer that is due still waits for two
 * things.
 *
 * If it is late, so are the server's answers, and a client may need one before it can say what
 * counts: the handshake of WebSocket, or of TLS. So it waits as long again as it is late, up to
 * MAX_GRACE_MS.
 *
 * Then it lets turns of the loop pass. In one turn a connection is accepted, in the next what it
 * sent is read: that is TURNS_OF_GRACE. But libuv accepts only one connection in a turn, so a
 * turn in which one arrived counts for nothing. Those that had arrived are as many as the queue of
 * the listening socket holds (511 in Node); past MAX_TURNS it is newcomers who arrive, and they
 * can't put the timer off for ever.
 */
const TURNS_OF_GRACE = 2;
const MAX_TURNS = 1024;
const MAX_GRACE_MS = 1000;

/** Milliseconds that a timer may be late without anything being wrong. */
const USUAL_DELAY_MS = 20;

/** Connections accepted so far in this process. */
let arrivals = 0;

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
      // `setTimeout` counts whole milliseconds from the beginning of a turn: up to one too few.
      this.#timeout = this.#arm(-lateMs);
      return;
    }
    if (lateMs <= USUAL_DELAY_MS) {
      this.#waitTurns(TURNS_OF_GRACE, MAX_TURNS);
      return;
    }
    const graceMs = Math.min(lateMs, MAX_GRACE_MS);
    this.#timeout = setTimeout(() => this.#waitTurns(TURNS_OF_GRACE, MAX_TURNS), graceMs);
  }

  /**
   * @param turns to pass without a connection that arrives
   * @param turnsAtMost to pass in any case
   */
  #waitTurns(turns: number, turnsAtMost: number): void {
    const arrivalsBefore = arrivals;
    this.#immediate = setImmediate(() => {
      const left = arrivals === arrivalsBefore ? turns - 1 : TURNS_OF_GRACE;
      if (left === 0 || turnsAtMost === 1) this.#callback();
      else this.#waitTurns(left, turnsAtMost - 1);
    });
  }
}

/** The machine's own time. */
export const systemClock: Clock = {
  now: () => performance.now(),
  setTimer: (delayMs, callback) => new SystemTimer(delayMs, callback),
  arrived: () => {
    arrivals++;
  },
  soon: (job) => queueMicrotask(job),
  nextTurn: (job) => void setImmediate(job),
};
