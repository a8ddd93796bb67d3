/**
 * The answers of HTTP that are on their way, by connection. Several can be, when a peer sends its
 * requests without waiting; `node:http` writes them one after the other as fast as the peer reads.
 *
 * What a peer that does not read can make the server keep is bounded: in bytes here, and in time by
 * the deadline of its connection (http-deadline.ts).
 */
import type { ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';

/** What has not gone out yet on one connection. */
interface Unread {
  last: ServerResponse;
  bytes: number;
}

export class PendingResponses {
  readonly #maxUnreadBytes: number;
  readonly #unread = new WeakMap<Duplex, Unread>();

  /** @param maxUnreadBytes bytes of bodies that may wait for one peer to read them */
  constructor(maxUnreadBytes: number) {
    this.#maxUnreadBytes = maxUnreadBytes;
  }

  /**
   * Another answer is about to go to `socket`.
   *
   * @param bytes in its body
   * @returns whether it may; otherwise too much waits for the peer already
   */
  add(socket: Duplex, response: ServerResponse, bytes: number): boolean {
    const unread = this.#unread.get(socket) ?? { last: response, bytes: 0 };
    unread.last = response;
    unread.bytes += bytes;
    this.#unread.set(socket, unread);
    response.on('close', () => {
      unread.bytes -= bytes;
      if (unread.last === response) this.#unread.delete(socket);
    });
    return unread.bytes <= this.#maxUnreadBytes;
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
