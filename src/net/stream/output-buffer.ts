/**
 * Gathers the output of one connection, so that many messages go out in one write.
 *
 *  - Replies, pushed while the connection's own input is processed, wait until the loop has read
 *    all readable sockets. Reading all and then writing all keeps the code of both in the
 *    processor's caches; alternating evicts it.
 *  - Replies that may wait do so for one more turn: often more output follows, and one write does.
 *  - Notifications that may wait, those of watches, go out with the replies: events come in bursts.
 *  - Other notifications, above all that a lock is acquired, have a client waiting for them. They
 *    go out in a microtask, once the code that causes them has finished.
 *
 * Output is kept as a byte string: see byte-string.ts.
 *
 * Bounds what a peer that does not read makes the server keep: past `maxUnreadBytes` the buffer
 * discards its output and calls `overflow` once; the owner then cuts the connection. The same
 * happens when all connections together exceed their budget (buffer-budget.ts).
 */
import type { Writable } from 'node:stream';
import type { Turns } from '../../runtime/clock.ts';
import { BufferAccount, type BufferBudget, FREE_BYTES } from './buffer-budget.ts';

/** Past this size output is written at once: gathering more gains nothing. */
const GATHERED_BYTES = 65_536;

/** Connections whose replies are flushed together, at most: bounds the delay of the first one. */
const FLUSHED_TOGETHER = 256;

/** What all output buffers of a server share. */
export interface OutputHost {
  readonly flushQueue: FlushQueue;
  readonly budget: BufferBudget;
}

export class OutputBuffer {
  readonly #target: Writable;
  readonly #queue: FlushQueue;
  readonly #account: BufferAccount;
  readonly #maxUnreadBytes: number;
  readonly #overflow: () => void;
  #pending = '';
  #isAnswering = false;
  /** All pending output may wait for another turn. */
  #mayWait = true;
  /** A flush is scheduled by `flushSoon`. */
  #isFlushingSoon = false;
  /** A flush of notifications is scheduled by `flushAfterReading`. */
  #isDeferred = false;
  #closed = false;

  /**
   * @param target assumed open until `close` or `finish` is called here
   * @param maxUnreadBytes bytes that the peer may leave unread
   * @param overflow called once, when that limit or the budget of all connections is exceeded
   */
  constructor(target: Writable, host: OutputHost, maxUnreadBytes: number, overflow: () => void) {
    this.#target = target;
    this.#queue = host.flushQueue;
    this.#account = new BufferAccount(host.budget);
    this.#maxUnreadBytes = maxUnreadBytes;
    this.#overflow = overflow;
  }

  /** Bytes that are not sent yet. */
  get unreadBytes(): number {
    return this.#target.writableLength + this.#pending.length;
  }

  /** The connection's input is being processed: output until `answered` is replies. */
  answering(): void {
    this.#isAnswering = true;
  }

  answered(): void {
    this.#isAnswering = false;
    if (this.#pending !== '') this.#queue.flushAfterReading(this);
  }

  /**
   * Adds `bytes` (a byte string) to the next write; ignored once closed.
   *
   * @param mayWait whether it may wait for another turn
   */
  push(bytes: string, mayWait = false): void {
    if (this.#closed) return;
    this.#pending += bytes;
    this.#mayWait &&= mayWait;
    if (!this.#isAnswering && !this.#isFlushingSoon) this.#schedule(mayWait);
    if (this.#pending.length > GATHERED_BYTES) this.flush();
    const { unreadBytes } = this;
    if (unreadBytes > this.#maxUnreadBytes || !this.#account.keep(unreadBytes)) {
      this.close();
      this.#overflow();
    }
  }

  /** Writes the pending output now. Not required: every push schedules a flush. */
  flush(): void {
    this.#isFlushingSoon = false;
    this.#isDeferred = false;
    if (this.#pending === '') return;
    const bytes = this.#pending;
    this.#pending = '';
    this.#mayWait = true;
    const mayCount = this.#account.isCounted || bytes.length > FREE_BYTES;
    if (mayCount) this.#target.write(bytes, 'latin1', this.#written);
    else this.#target.write(bytes, 'latin1');
  }

  /** A write has finished or failed. */
  readonly #written = (): void => {
    this.#account.keep(this.#target.destroyed ? 0 : this.unreadBytes);
  };

  /** Like `flush`, except that output that may wait does so until the next turn. */
  flushUnlessItMayWait(): void {
    if (this.#mayWait && this.#pending !== '') {
      this.#mayWait = false;
      this.#queue.flushAfterReading(this);
    } else this.flush();
  }

  #schedule(mayWait: boolean): void {
    if (!mayWait) {
      this.#isFlushingSoon = true;
      this.#queue.flushSoon(this);
    } else if (!this.#isDeferred) {
      this.#isDeferred = true;
      this.#queue.flushAfterReading(this);
    }
  }

  /** Writes the pending output and ignores later pushes. The owner ends the stream. */
  finish(): void {
    if (this.#closed) return;
    this.flush();
    this.#closed = true;
  }

  /** Discards the pending output and ignores later pushes. The owner ends the stream. */
  close(): void {
    this.#closed = true;
    this.#pending = '';
    this.#account.keep(0);
  }
}

/** Schedules the flushes of all output buffers of a server. */
export class FlushQueue {
  readonly #turns: Turns;
  #withNotifications: OutputBuffer[] = [];
  #withReplies: OutputBuffer[] = [];

  constructor(turns: Turns) {
    this.#turns = turns;
  }

  /** Flushes `output` when the code that runs now has finished. */
  flushSoon(output: OutputBuffer): void {
    if (this.#withNotifications.push(output) === 1) this.#turns.soon(this.#flushNotifications);
  }

  /** Flushes `output` right after all readable sockets have been read. */
  flushAfterReading(output: OutputBuffer): void {
    const count = this.#withReplies.push(output);
    if (count === 1) this.#turns.nextTurn(this.#flushReplies);
    else if (count === FLUSHED_TOGETHER) this.#flushReplies();
  }

  readonly #flushNotifications = (): void => {
    const buffers = this.#withNotifications;
    this.#withNotifications = [];
    for (const output of buffers) output.flush();
  };

  readonly #flushReplies = (): void => {
    const buffers = this.#withReplies;
    this.#withReplies = [];
    for (const output of buffers) output.flushUnlessItMayWait();
  };
}
