/**
 * The answers of HTTP that are on their way, by connection. Several can be, when a peer sends its
 * requests without waiting; `node:http` writes them one after the other as fast as the peer reads.
 *
 * What a peer that does not read can make the server keep is bounded: in bytes here, and in time by
 * the timeout of its connection (request-timeout.ts).
 */
import type { ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { BufferAccount, type BufferBudget } from '../stream/buffer-budget.ts';

/** What has not gone out yet on one connection. */
interface Unread {
  last: ServerResponse;
  bytes: number;
  readonly account: BufferAccount;
}

export class PendingResponses {
  readonly #maxUnreadBytes: number;
  readonly #budget: BufferBudget;
  readonly #unread = new WeakMap<Duplex, Unread>();

  /** @param maxUnreadBytes bytes of bodies that may wait for one peer to read them */
  constructor(maxUnreadBytes: number, budget: BufferBudget) {
    this.#maxUnreadBytes = maxUnreadBytes;
    this.#budget = budget;
  }

  /**
   * Another answer is about to go to `socket`.
   *
   * @param bytes in its body
   * @returns whether it may; otherwise too much waits for the peer already
   */
  add(socket: Duplex, response: ServerResponse, bytes: number): boolean {
    const unread = this.#unread.get(socket) ?? this.#begin(response);
    unread.last = response;
    unread.bytes += bytes;
    this.#unread.set(socket, unread);
    response.on('close', () => {
      unread.bytes -= bytes;
      unread.account.keep(unread.bytes);
      if (unread.last === response) this.#unread.delete(socket);
    });
    return unread.bytes <= this.#maxUnreadBytes && unread.account.keep(unread.bytes);
  }

  #begin(last: ServerResponse): Unread {
    return { last, bytes: 0, account: new BufferAccount(this.#budget) };
  }

  /** Whether some answer has not gone out whole. */
  isWaiting(socket: Duplex): boolean {
    return this.#unread.has(socket);
  }

  /**
   * Goes on with a socket that node:http has given up. Requests may have come before, in the same
   * packet, whose answers are still on their way: it keeps writing those, and nothing else may.
   */
  after(socket: Duplex, goOn: () => void): void {
    const unread = this.#unread.get(socket);
    if (unread === undefined) goOn();
    else unread.last.on('close', () => socket.destroyed || goOn());
  }
}
