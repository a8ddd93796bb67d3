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
import type { Refusal } from '../protocol/refusal.ts';
import { tooManyConnections, tooSlow } from '../protocol/refusal.ts';
import { errorReply } from '../protocol/replies.ts';
import type { Clock, Timer } from '../session/clock.ts';
import type { Counters } from '../session/counters.ts';
import type { Limits } from '../session/limits.ts';
import { protocolOf } from './first-bytes.ts';
import { CLOSE_TIMEOUT_MS } from './outbox.ts';

/** Connections beyond the limit that wait to be told so. */
export const MAX_TURNED_AWAY = 100;

/** A connection of the line protocol. */
export interface LineGuest {
  /** Nothing valid has come in all the time there was: says so and ends. */
  firstMessageIsDue(): void;
}

export interface EntranceHost {
  readonly clock: Clock;
  readonly limits: Limits;
  readonly counters: Counters;
  /** Somebody is not let in, because there are as many as may be. */
  full(): void;
  /**
   * @param head what was read so far
   * @param patience to be cancelled as soon as something valid has come
   */
  acceptLines(socket: Socket, head: Buffer, patience: Timer): LineGuest;
  acceptHttp(socket: Socket, head: Buffer): void;
  /** Answers the HTTP request that `socket` begins with: there is no room. */
  refuseHttp(socket: Socket, head: Buffer, refusal: Refusal): void;
}

export class Entrance {
  readonly #host: EntranceHost;
  readonly #inside = new Set<Socket>();
  readonly #turnedAway = new Set<Socket>();

  constructor(host: EntranceHost) {
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
  welcome(socket: Socket): void {
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
    const { clock, limits } = this.#host;
    let guest: LineGuest | undefined;
    const patience = clock.setTimer(limits.firstMessageMs, () => {
      if (guest === undefined) this.#endWith(socket, tooSlow(limits));
      else guest.firstMessageIsDue();
    });
    keep(socket, this.#inside, patience);
    sniff(socket, (protocol, head) => {
      if (protocol === 'lines') {
        guest = this.#host.acceptLines(socket, head, patience);
        return;
      }
      patience.cancel();
      this.#host.acceptHttp(socket, head);
    });
  }

  #turnAway(socket: Socket): void {
    const { clock, limits, counters } = this.#host;
    const timer = clock.setTimer(CLOSE_TIMEOUT_MS, () => socket.destroy());
    keep(socket, this.#turnedAway, timer);
    sniff(socket, (protocol, head) => {
      const refusal = tooManyConnections(limits);
      if (protocol === 'lines') {
        this.#endWith(socket, refusal);
        return;
      }
      counters.refused(refusal.code);
      this.#host.refuseHttp(socket, head, refusal);
    });
  }

  /** Says `refusal` as a line, and ends the connection; what still comes is read and ignored. */
  #endWith(socket: Socket, refusal: Refusal): void {
    const { clock, counters } = this.#host;
    counters.refused(refusal.code);
    const timer = clock.setTimer(CLOSE_TIMEOUT_MS, () => socket.destroy());
    socket.on('close', () => timer.cancel());
    socket.removeAllListeners('data');
    socket.resume();
    socket.end(`${errorReply(undefined, undefined, refusal)}\n`);
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

/** Reads until the first bytes tell what the guest speaks. */
function sniff(socket: Socket, known: (protocol: 'http' | 'lines', head: Buffer) => void): void {
  let head: Buffer | undefined;
  const onEnd = (): void => void socket.destroy();
  const onData = (chunk: Buffer): void => {
    head = head === undefined ? chunk : Buffer.concat([head, chunk]);
    const protocol = protocolOf(head);
    if (protocol === 'undecided') return;
    socket.off('data', onData);
    socket.off('end', onEnd);
    known(protocol, head);
  };
  socket.on('data', onData);
  socket.on('end', onEnd);
}
