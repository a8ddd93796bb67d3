/**
 * What one connection has to say, gathered and written once.
 *
 *  - Answers, which are said while the connection's own input is taken in, wait until the loop has
 *    read all connections that had something: so first everything is read and then everything is
 *    answered. One after the other, the two stay in the processor's caches; in turns they throw each
 *    other out.
 *  - An answer that may wait does so for another turn: often there is more to say by then, and one write
 *    does for both.
 *  - News that may wait, what a connection watches, goes out with the answers: events come in crowds.
 *  - All else is news that somebody waits for, a lock that is acquired above all: it goes out at once,
 *    when whatever brought it about has been done.
 *
 * Bytes are kept as a byte string: see byte-string.ts.
 *
 * The buffer bounds what a peer that does not read can make the server hold: past `maxUnreadBytes`
 * it discards what it has and calls `overflow` once; the owner then cuts the connection. So it does
 * when all connections together would have too much (buffer-budget.ts).
 */
import type { Writable } from 'node:stream';
import type { Turns } from '../../runtime/clock.ts';
import { BufferAccount, type BufferBudget, FREE_BYTES } from './buffer-budget.ts';

/** More than this is not gathered, but written at once: it is enough to make a write worth it. */
const GATHERED_BYTES = 65_536;

/** Connections that are answered together at most: where there are thousands, the first need not wait. */
const ANSWERED_TOGETHER = 256;

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
  /** What has gathered may wait for another turn. */
  #mayWait = true;
  /** It will be flushed when what is done now has been done. */
  #isNews = false;
  /** It will be flushed when all sockets have been read, though it is no answer. */
  #isDeferred = false;
  #closed = false;

  /**
   * @param target where bytes go; assumed open until `close` or `finish` is called here
   * @param maxUnreadBytes bytes that may wait for the peer to read them
   * @param overflow called once, when more than that would wait, or too much for all connections
   */
  constructor(target: Writable, host: OutputHost, maxUnreadBytes: number, overflow: () => void) {
    this.#target = target;
    this.#queue = host.flushQueue;
    this.#account = new BufferAccount(host.budget);
    this.#maxUnreadBytes = maxUnreadBytes;
    this.#overflow = overflow;
  }

  /** Bytes that wait for the peer to read them. */
  get unreadBytes(): number {
    return this.#target.writableLength + this.#pending.length;
  }

  /** The connection's input is taken in: what is said until `answered` are answers. */
  answering(): void {
    this.#isAnswering = true;
  }

  answered(): void {
    this.#isAnswering = false;
    if (this.#pending !== '') this.#queue.flushAfterReading(this);
  }

  /**
   * Adds `bytes` (a byte string) to the next write; nothing happens once closed.
   *
   * @param mayWait whether it can wait for another turn
   */
  push(bytes: string, mayWait = false): void {
    if (this.#closed) return;
    this.#pending += bytes;
    this.#mayWait &&= mayWait;
    if (!this.#isAnswering && !this.#isNews) this.#schedule(mayWait);
    if (this.#pending.length > GATHERED_BYTES) this.flush();
    const { unreadBytes } = this;
    if (unreadBytes > this.#maxUnreadBytes || !this.#account.keep(unreadBytes)) {
      this.close();
      this.#overflow();
    }
  }

  /** Hands what has gathered to the socket. It does so by itself, too. */
  flush(): void {
    this.#isNews = false;
    this.#isDeferred = false;
    if (this.#pending === '') return;
    const bytes = this.#pending;
    this.#pending = '';
    this.#mayWait = true;
    const mayCount = this.#account.isCounted || bytes.length > FREE_BYTES;
    if (mayCount) this.#target.write(bytes, 'latin1', this.#written);
    else this.#target.write(bytes, 'latin1');
  }

  /** The peer has read some of what waited, or is gone. */
  readonly #written = (): void => {
    this.#account.keep(this.#target.destroyed ? 0 : this.unreadBytes);
  };

  /** The same, except that what may wait does so until the next turn. */
  flushUnlessItMayWait(): void {
    if (this.#mayWait && this.#pending !== '') {
      this.#mayWait = false;
      this.#queue.flushAfterReading(this);
    } else this.flush();
  }

  #schedule(mayWait: boolean): void {
    if (!mayWait) {
      this.#isNews = true;
      this.#queue.flushSoon(this);
    } else if (!this.#isDeferred) {
      this.#isDeferred = true;
      this.#queue.flushAfterReading(this);
    }
  }

  /** Writes what has gathered; later pushes are ignored. Ending the stream is left to the owner. */
  finish(): void {
    if (this.#closed) return;
    this.flush();
    this.#closed = true;
  }

  /** Forgets what has gathered; later pushes are ignored. The stream is left to the owner. */
  close(): void {
    this.#closed = true;
    this.#pending = '';
    this.#account.keep(0);
  }
}

/** The buffers of one server that have something to write, and when each kind of it is written. */
export class FlushQueue {
  readonly #turns: Turns;
  #withNews: OutputBuffer[] = [];
  #withAnswers: OutputBuffer[] = [];

  constructor(turns: Turns) {
    this.#turns = turns;
  }

  /** @param output is flushed when what is done now has been done */
  flushSoon(output: OutputBuffer): void {
    if (this.#withNews.push(output) === 1) this.#turns.soon(this.#flushNews);
  }

  /** @param output is flushed right after all sockets that have something have been read */
  flushAfterReading(output: OutputBuffer): void {
    const count = this.#withAnswers.push(output);
    if (count === 1) this.#turns.nextTurn(this.#flushAnswers);
    else if (count === ANSWERED_TOGETHER) this.#flushAnswers();
  }

  readonly #flushNews = (): void => {
    const buffers = this.#withNews;
    this.#withNews = [];
    for (const output of buffers) output.flush();
  };

  readonly #flushAnswers = (): void => {
    const buffers = this.#withAnswers;
    this.#withAnswers = [];
    for (const output of buffers) output.flushUnlessItMayWait();
  };
}
