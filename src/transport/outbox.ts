/**
 * What one connection has to say, gathered over a turn of the event loop and written once. Whoever
 * reads from the connection holds the outbox while it does, and flushes it then; what is said at
 * other times goes out at the end of the turn.
 *
 * Bytes are kept as a *byte string*: a string whose every character is one byte (0-255). Joining
 * those is cheap, their length is the number of bytes, and Node writes them without a copy of ours.
 *
 * The outbox bounds what a peer that does not read can make the server hold: past `maxUnreadBytes`
 * it discards what it has and calls `overflow` once; the owner then cuts the connection.
 */
import { Buffer } from 'node:buffer';
import type { Writable } from 'node:stream';

/** Milliseconds given to a peer to read what is left and to close its side, before it is cut. */
export const CLOSE_TIMEOUT_MS = 5000;

/** The UTF-8 encoding of `text` as a byte string. Lone surrogates become U+FFFD. */
export function toByteString(text: string): string {
  for (let i = 0; i < text.length; i++) {
    if (text.charCodeAt(i) > 0x7f) return Buffer.from(text, 'utf8').toString('latin1');
  }
  return text;
}

export class Outbox {
  readonly #target: Writable;
  readonly #maxUnreadBytes: number;
  readonly #overflow: () => void;
  #pending = '';
  #held = false;
  #closed = false;

  /**
   * @param target where bytes go; assumed open until `close` or `end` is called here
   * @param maxUnreadBytes bytes that may wait for the peer to read them
   * @param overflow called once, when more than that would wait
   */
  constructor(target: Writable, maxUnreadBytes: number, overflow: () => void) {
    this.#target = target;
    this.#maxUnreadBytes = maxUnreadBytes;
    this.#overflow = overflow;
  }

  /** Bytes that wait for the peer to read them. */
  get unreadBytes(): number {
    return this.#target.writableLength + this.#pending.length;
  }

  /** Adds `bytes` (a byte string) to this turn's write; nothing happens once closed. */
  push(bytes: string): void {
    if (this.#closed) return;
    if (this.#pending === '' && !this.#held) flushLater(this);
    this.#pending += bytes;
    if (this.unreadBytes > this.#maxUnreadBytes) {
      this.close();
      this.#overflow();
    }
  }

  /** Until the next `flush`, which is the caller's to call, everything gathers. */
  hold(): void {
    this.#held = true;
  }

  /** Hands what has gathered to the socket. Unless held, it does so by itself after the turn. */
  flush(): void {
    this.#held = false;
    if (this.#pending === '') return;
    const bytes = this.#pending;
    this.#pending = '';
    this.#target.write(bytes, 'latin1');
  }

  /** Writes what has gathered, then ends the stream; later pushes are ignored. */
  end(): void {
    if (this.#closed) return;
    this.flush();
    this.#closed = true;
    this.#target.end();
  }

  /** Forgets what has gathered; later pushes are ignored. The stream is left to the owner. */
  close(): void {
    this.#closed = true;
    this.#pending = '';
  }
}

let waiting: Outbox[] = [];

/** One microtask flushes every outbox that spoke in this turn, in the order in which they first did. */
function flushLater(outbox: Outbox): void {
  if (waiting.push(outbox) === 1) queueMicrotask(flushWaiting);
}

function flushWaiting(): void {
  const outboxes = waiting;
  waiting = [];
  for (const outbox of outboxes) outbox.flush();
}
