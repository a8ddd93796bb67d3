/**
 * Tracks the HTTP responses that are not fully sent, by connection. A peer that pipelines requests
 * can have several; `node:http` writes them in order, as fast as the peer reads.
 *
 * Bounds what a peer that does not read makes the server keep: in bytes here, and in time by the
 * timeout of its connection (request-timeout.ts).
 */
import type { ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { BufferAccount, type BufferBudget } from '../stream/buffer-budget.ts';

/** The unsent responses of one connection. */
interface Unread {
  last: ServerResponse;
  bytes: number;
  readonly account: BufferAccount;
}

export class PendingResponses {
  readonly #maxUnreadBytes: number;
  readonly #budget: BufferBudget;
  readonly #unread = new WeakMap<Duplex, Unread>();

  /** @param maxUnreadBytes body bytes that one connection may leave unread */
  constructor(maxUnreadBytes: number, budget: BufferBudget) {
    this.#maxUnreadBytes = maxUnreadBytes;
    this.#budget = budget;
  }

  /**
   * Counts a response that is about to be written to `socket`.
   *
   * @param bytes length of its body
   * @returns false if that exceeds a limit; the caller then closes the connection instead
   */
  add(socket: Duplex, response: ServerResponse, bytes: number): boolean {
    const unread = this.#unread.get(socket) ?? this.#begin(response);
    const isOnly = unread.bytes === 0;
    unread.last = response;
    unread.bytes += bytes;
    this.#unread.set(socket, unread);
    response.on('close', () => {
      unread.bytes -= bytes;
      unread.account.keep(unread.bytes);
      if (unread.last === response) this.#unread.delete(socket);
    });
    // A long page must be readable, whatever the limit.
    return (isOnly || unread.bytes <= this.#maxUnreadBytes) && unread.account.keep(unread.bytes);
  }

  #begin(last: ServerResponse): Unread {
    return { last, bytes: 0, account: new BufferAccount(this.#budget) };
  }

  /** Whether a response is not fully sent. */
  isWaiting(socket: Duplex): boolean {
    return this.#unread.has(socket);
  }

  /**
   * Calls `goOn` once all responses to earlier requests are sent, unless the socket is destroyed
   * meanwhile. Until then node:http still writes to the socket, although it has detached from its
   * input.
   */
  after(socket: Duplex, goOn: () => void): void {
    const unread = this.#unread.get(socket);
    if (unread === undefined) goOn();
    else unread.last.on('close', () => socket.destroyed || goOn());
  }
}
