/**
 * Gathers the output of one connection, so that many messages go out in one write.
 *
 *  - Replies, pushed while the connection's own input is processed, wait until the loop has read
 *    all readable sockets. Reading all and then writing all keeps the code of both in the
 *    processor's caches; alternating evicts it.
 *  - Replies that may wait do so for one more turn: often more output follows, and one write does.
 *  - Notifications that may wait, those of watches, do so for a turn: events come in bursts.
 *  - Other notifications, above all that a lock is acquired, have a client waiting for them. They
 *    go out in a microtask, once the code that causes them has finished.
 *  - One request may cause notifications on thousands of connections, and writing costs far more
 *    than causing them. So they are written to some connections at a time: the others have theirs
 *    in later turns, and between those all clients are served.
 *
 * Output is kept as a byte string: see byte-string.ts.
 *
 * With a store, output waits for a third thing: nothing is sent before what it depends on is stored
 * (`OutputGate`). Then nothing is written inside the code that causes it either, because a change
 * may be recorded after the output that reports it is pushed.
 *
 * Bounds what a peer that does not read makes the server keep: past `maxUnreadBytes`, with all that
 * waits for the store, the buffer discards its output and calls `overflow` once; the owner then cuts
 * the connection. One long answer does not count: no peer can read half of it before the other half
 * is pushed, and it would be cut by the same answer whenever it asks. The same happens when all
 * connections together exceed their budget (buffer-budget.ts), where everything counts.
 */
import { Buffer } from 'node:buffer';
import type { Writable } from 'node:stream';
import type { Turns } from '../../runtime/clock.ts';
import { BufferAccount, type BufferBudget, FREE_BYTES } from './buffer-budget.ts';

/** Past this size output is written at once: gathering more gains nothing. */
const GATHERED_BYTES = 65_536;

/** The same while the peer is behind: what is gathered costs more than its bytes, see `#writeBehind`. */
const GATHERED_BEHIND_BYTES = 4096;

/** Bytes of one connection's output that may wait for the store without counting as unread. */
const FREE_HELD_BACK_BYTES = 1024 * 1024;

/** Connections that are flushed together, at most. */
export interface FlushedTogether {
  /** With replies: bounds the delay of the first one. */
  readonly replies: number;
  /**
   * With notifications, in one turn: bounds the delay of everyone else. About 3 ms; without it a
   * release that lets 5,000 readers in takes 80 ms (node --import tsx test/bench/turns.ts).
   */
  readonly notifications: number;
}

const FLUSHED_TOGETHER: FlushedTogether = { replies: 256, notifications: 128 };

/** Holds output back until what it depends on is stored. */
export interface OutputGate {
  /**
   * Calls `job` once all changes so far are stored: at once, or later, in the order of calls.
   *
   * @param bytes of output that wait with it
   */
  whenStored(job: () => void, bytes?: number): void;
  /** The store is so slow that input should not be read now. */
  readonly isBehind: boolean;
  /** Calls `job` when `isBehind` may have changed. */
  whenCaughtUp(job: () => void): void;
}

/** What all output buffers of a server share. */
export interface OutputHost {
  readonly flushQueue: FlushQueue;
  readonly budget: BufferBudget;
  /** Undefined without a store. */
  readonly gate?: OutputGate | undefined;
}

export class OutputBuffer {
  readonly #target: Writable;
  readonly #queue: FlushQueue;
  readonly #gate: OutputGate | undefined;
  readonly #account: BufferAccount;
  readonly #maxUnreadBytes: number;
  readonly #overflow: () => void;
  readonly #released: () => void;
  #pending = '';
  /** Bytes that wait for the gate. */
  #heldBack = 0;
  #isAnswering = false;
  #isLongAnswer = false;
  /** Bytes of the last long answer. */
  #longAnswerBytes = 0;
  /** Bytes of the longest long answer, as far as they may be unread: they don't count. */
  #exemptBytes = 0;
  /** Writes that wait for earlier ones. While there are any, the peer is behind. */
  #writesBehind = 0;
  /** All pending output may wait for another turn. */
  #mayWait = true;
  /** A flush is scheduled by `flushSoon`. */
  #isFlushingSoon = false;
  /** A flush is scheduled by `flushLater`. */
  #isDeferred = false;
  /** Later pushes are ignored. */
  #closed = false;
  /** No output is written any more. */
  #isDiscarded = false;

  /**
   * @param target assumed open until `close` or `finish` is called here
   * @param maxUnreadBytes bytes that the peer may leave unread
   * @param overflow called once, when that limit or the budget of all connections is exceeded
   * @param released called when output that waited for the store has been written
   */
  constructor(
    target: Writable,
    host: OutputHost,
    maxUnreadBytes: number,
    overflow: () => void,
    released: () => void = () => {},
  ) {
    this.#target = target;
    this.#queue = host.flushQueue;
    this.#gate = host.gate;
    this.#account = new BufferAccount(host.budget);
    this.#maxUnreadBytes = maxUnreadBytes;
    this.#overflow = overflow;
    this.#released = released;
  }

  /**
   * Bytes that wait for the peer to read. What waits for the store is no fault of the peer, but
   * past `FREE_HELD_BACK_BYTES` it counts, too.
   */
  get unreadBytes(): number {
    const { writableLength } = this.#target;
    if (this.#gate === undefined) return writableLength + this.#pending.length;
    const waiting = this.#pending.length + this.#heldBack;
    return writableLength + Math.max(0, waiting - FREE_HELD_BACK_BYTES);
  }

  /** Bytes that this buffer costs. */
  #keptBytes(): number {
    return this.#target.writableLength + this.#pending.length + this.#heldBack;
  }

  /** The connection's input is being processed: output until `answered` is replies. */
  answering(): void {
    this.#isAnswering = true;
  }

  /** Until `answered`, output is one answer that may be long. Of several, the longest is exempt. */
  longAnswer(): void {
    this.#isLongAnswer = true;
    this.#longAnswerBytes = 0;
  }

  answered(): void {
    this.#isAnswering = false;
    this.#isLongAnswer = false;
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
    const most = this.#writesBehind > 0 ? GATHERED_BEHIND_BYTES : GATHERED_BYTES;
    if (this.#pending.length > most) this.#flushFull();
    const kept = this.#keptBytes();
    if (this.#isLongAnswer) {
      this.#longAnswerBytes += bytes.length;
      this.#exemptBytes = Math.max(this.#exemptBytes, this.#longAnswerBytes);
    }
    if (this.#exemptBytes > kept) this.#exemptBytes = kept;
    if (kept - this.#exemptBytes > this.#maxUnreadBytes || !this.#account.keep(kept)) {
      this.close();
      this.#overflow();
    }
  }

  /** Writes the pending output now. Not required: every push schedules a flush. */
  flush(): void {
    this.#isFlushingSoon = false;
    this.#isDeferred = false;
    if (this.#pending === '') return;
    const isLittle = this.#pending.length <= GATHERED_BEHIND_BYTES;
    // It goes out when the writes before it have.
    if (isLittle && this.#writesBehind > 0 && !this.#closed) return;
    const bytes = this.#pending;
    this.#pending = '';
    this.#mayWait = true;
    if (this.#gate === undefined) this.#write(bytes);
    else this.#holdBack(bytes, this.#gate);
  }

  #holdBack(bytes: string, gate: OutputGate): void {
    this.#heldBack += bytes.length;
    gate.whenStored(() => {
      this.#heldBack -= bytes.length;
      if (this.#isDiscarded) return;
      this.#write(bytes);
      this.#released();
    }, bytes.length);
  }

  #write(bytes: string): void {
    if (this.#target.writableLength > 0) {
      this.#writeBehind(bytes);
      return;
    }
    const mayCount = this.#account.isCounted || bytes.length > FREE_BYTES;
    if (mayCount) this.#target.write(bytes, 'latin1', () => this.#written());
    else this.#target.write(bytes, 'latin1');
  }

  /**
   * The stream keeps `bytes`, so they must cost what they count: in a buffer, and not too few. As a
   * string they would stay a tree of their parts, which takes four times as much for short answers;
   * and each write costs half a kilobyte, which is many times an answer.
   */
  #writeBehind(bytes: string): void {
    this.#writesBehind++;
    this.#target.write(Buffer.from(bytes, 'latin1'), () => {
      this.#writesBehind--;
      this.#written();
      if (this.#writesBehind === 0 && !this.#target.destroyed) this.flush();
    });
  }

  /** A write has finished or failed. */
  #written(): void {
    this.#account.keep(this.#target.destroyed ? 0 : this.#keptBytes());
  }

  /** Like `flush`, except that output that may wait does so until the next turn. */
  flushUnlessItMayWait(): void {
    if (this.#mayWait && this.#pending !== '') {
      this.#mayWait = false;
      this.#queue.flushAfterReading(this);
    } else this.flush();
  }

  /** So much is pending that gathering more gains nothing. */
  #flushFull(): void {
    if (this.#gate === undefined) this.flush();
    else if (!this.#isFlushingSoon) this.#schedule(false);
  }

  #schedule(mayWait: boolean): void {
    if (!mayWait) {
      this.#isFlushingSoon = true;
      this.#queue.flushSoon(this);
    } else if (!this.#isDeferred) {
      this.#isDeferred = true;
      this.#queue.flushLater(this);
    }
  }

  /**
   * Writes all output and ignores later pushes.
   *
   * @param finished called when all is written: the owner ends the stream
   */
  finish(finished: () => void): void {
    this.#closed = true;
    if (this.#gate === undefined) {
      this.flush();
      finished();
      return;
    }
    const gate = this.#gate;
    this.#queue.soon(() => {
      this.flush();
      gate.whenStored(finished);
    });
  }

  /** Discards the pending output and ignores later pushes. The owner ends the stream. */
  close(): void {
    this.#closed = true;
    this.#isDiscarded = true;
    this.#pending = '';
    this.#account.keep(0);
  }
}

/** Schedules the flushes of all output buffers of a server. */
export class FlushQueue {
  readonly #turns: Turns;
  readonly #atMost: FlushedTogether;
  #withNotifications: OutputBuffer[] = [];
  #withReplies: OutputBuffer[] = [];
  #later: OutputBuffer[] = [];

  /** @param atMost each >= 1; the default is for all but tests */
  constructor(turns: Turns, atMost = FLUSHED_TOGETHER) {
    this.#turns = turns;
    this.#atMost = atMost;
  }

  /** Calls `job` when the code that runs now has finished. */
  soon(job: () => void): void {
    this.#turns.soon(job);
  }

  /** Flushes `output` when the code that runs now has finished, or later if there are many. */
  flushSoon(output: OutputBuffer): void {
    if (this.#withNotifications.push(output) === 1) this.#turns.soon(this.#flushNotifications);
  }

  /** Flushes `output` right after all readable sockets have been read. */
  flushAfterReading(output: OutputBuffer): void {
    const count = this.#withReplies.push(output);
    if (count === 1) this.#turns.nextTurn(this.#flushReplies);
    else if (count === this.#atMost.replies) this.#flushReplies();
  }

  /** Flushes `output` in the next turn, or in a later one if there are many. */
  flushLater(output: OutputBuffer): void {
    if (this.#later.push(output) === 1) this.#turns.nextTurn(this.#flushSome);
  }

  readonly #flushNotifications = (): void => {
    const buffers = this.#withNotifications;
    this.#withNotifications = [];
    let left = this.#atMost.notifications;
    for (const output of buffers) {
      if (left-- > 0) output.flush();
      else this.flushLater(output);
    }
  };

  readonly #flushReplies = (): void => {
    const buffers = this.#withReplies;
    this.#withReplies = [];
    for (const output of buffers) output.flushUnlessItMayWait();
  };

  readonly #flushSome = (): void => {
    const most = this.#atMost.notifications;
    for (const output of this.#later.slice(0, most)) output.flush();
    // Not before: as long as it is not empty, no other turn is asked for.
    this.#later = this.#later.slice(most);
    if (this.#later.length > 0) this.#turns.nextTurn(this.#flushSome);
  };
}
