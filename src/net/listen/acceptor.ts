/**
 * Where connections come in: counts them, waits for the first bytes to tell what each one speaks,
 * and hands it over. What it costs to let somebody in is bounded here, in number and in time.
 *
 * A connection beyond the limit is told so in its own language, which takes its first bytes; only a
 * few may be in that state at a time, all others are cut at once. A client that says nothing valid
 * for too long is told so too. HTTP has a deadline of its own for each request (http-guests.ts).
 */
import { Buffer } from 'node:buffer';
import type { Socket } from 'node:net';
import type { Auth } from '../../protocol/auth.ts';
import { type RequestError, tooManyConnections, tooSlow } from '../../protocol/errors.ts';
import { errorReply } from '../../protocol/replies.ts';
import type { Clock, Timer } from '../../runtime/clock.ts';
import type { Limits } from '../../runtime/limits.ts';
import type { Counters } from '../../session/counters.ts';
import { CLOSE_TIMEOUT_MS } from '../stream/output-buffer.ts';
import { firstBytes, NOTHING_KNOWN, withoutBlanks } from './first-bytes.ts';

/** Connections beyond the limit that wait to be told so. */
export const MAX_TURNED_AWAY = 100;

/** A connection of the line protocol. */
export interface LineClient {
  /** Nothing valid has come within `ms` milliseconds, which is all the time there was: says so and ends. */
  firstMessageIsDue(ms: number): void;
}

export interface AcceptorHost {
  readonly clock: Clock;
  readonly limits: Limits;
  readonly counters: Counters;
  readonly auth: Pick<Auth, 'needsToken'>;
  /** Somebody is not let in, because there are as many as may be. */
  full(): void;
  /**
   * @param head what was read so far
   * @param patience to be cancelled as soon as something valid has come
   */
  acceptLines(socket: Socket, head: Buffer, firstMessageTimer: Timer): LineClient;
  acceptHttp(socket: Socket, head: Buffer): void;
  /** Answers the HTTP request that `socket` begins with, if that can be: there is no room. */
  rejectHttp(socket: Socket, head: Buffer, error: RequestError): void;
}

export class Acceptor {
  readonly #host: AcceptorHost;
  readonly #inside = new Set<Socket>();
  readonly #turnedAway = new Set<Socket>();

  constructor(host: AcceptorHost) {
    this.#host = host;
  }

  /** Connections that were let in and are not closed. */
  get count(): number {
    return this.#inside.size;
  }

  /** Every open socket, those that are being turned away too. */
  *sockets(): Generator<Socket> {
    yield* this.#inside;
    yield* this.#turnedAway;
  }

  /** @param socket just accepted, with an `error` listener, half-open allowed */
  accept(socket: Socket): void {
    const { limits } = this.#host;
    if (this.#inside.size < limits.maxConnections) {
      this.#admit(socket);
      return;
    }
    this.#host.full();
    if (this.#turnedAway.size < MAX_TURNED_AWAY) this.#turnAway(socket);
    else socket.destroy();
  }

  #admit(socket: Socket): void {
    const { clock, limits, auth } = this.#host;
    let guest: LineClient | undefined;
    // Where no token is wanted people type their first line; tokens are for programs.
    const firstMs = auth.needsToken ? limits.firstMessageMs : limits.firstLineMs;
    const firstMessageTimer = clock.setTimer(firstMs, () => {
      stop();
      if (guest === undefined) this.#endWith(socket, tooSlow(firstMs));
      else guest.firstMessageIsDue(firstMs);
    });
    keep(socket, this.#inside, firstMessageTimer);
    const stop = sniff(socket, (protocol, head) => {
      if (protocol === 'lines') {
        guest = this.#host.acceptLines(socket, head, firstMessageTimer);
        return;
      }
      firstMessageTimer.cancel();
      if (protocol === 'http') this.#host.acceptHttp(socket, head);
      else this.#endWith(socket, protocol);
    });
  }

  #turnAway(socket: Socket): void {
    const { clock, limits } = this.#host;
    const timer = clock.setTimer(CLOSE_TIMEOUT_MS, () => socket.destroy());
    keep(socket, this.#turnedAway, timer);
    sniff(socket, (protocol, head) => {
      const error = tooManyConnections(limits);
      if (protocol !== 'http') {
        this.#endWith(socket, error);
        return;
      }
      this.#host.rejectHttp(socket, head, error);
    });
  }

  /** Says `refusal` as a line, and ends the connection; what still comes is read and ignored. */
  #endWith(socket: Socket, error: RequestError): void {
    const { clock, counters } = this.#host;
    counters.countError(error.code);
    const timer = clock.setTimer(CLOSE_TIMEOUT_MS, () => socket.destroy());
    socket.on('close', () => timer.cancel());
    socket.removeAllListeners('data');
    socket.resume();
    socket.end(`${errorReply(undefined, undefined, error)}\n`);
  }
}

/** Keeps `socket` among `others`, and `timer` running, until it closes. */
function keep(socket: Socket, others: Set<Socket>, timer: Timer): void {
  others.add(socket);
  socket.on('close', () => {
    others.delete(socket);
    timer.cancel();
  });
}

/**
 * Reads until the first bytes tell what the peer speaks, or that it is nothing that is spoken here. The
 * blanks before them are dropped, so what is kept meanwhile is a few bytes.
 *
 * @returns ends the reading, without a decision
 */
function sniff(
  socket: Socket,
  known: (protocol: 'http' | 'lines' | RequestError, head: Buffer) => void,
): () => void {
  let head: Buffer = Buffer.alloc(0);
  const stop = (): void => {
    socket.off('data', onData);
    socket.off('end', onEnd);
  };
  const decide = (protocol: 'http' | 'lines' | RequestError): void => {
    stop();
    known(protocol, head);
  };
  const onEnd = (): void => {
    if (head.length === 0) socket.destroy();
    else decide(NOTHING_KNOWN);
  };
  const onData = (chunk: Buffer): void => {
    head = withoutBlanks(head.length === 0 ? chunk : Buffer.concat([head, chunk]));
    const protocol = firstBytes(head);
    if (protocol !== 'undecided') decide(protocol);
  };
  socket.on('data', onData);
  socket.on('end', onEnd);
  return stop;
}
