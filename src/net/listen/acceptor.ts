/**
 * Where connections are admitted: counts them, waits for the first bytes to tell what each one speaks,
 * and hands it over. What an open connection can cost before that is bounded, in number and in time.
 *
 * A connection beyond the limit is rejected in its own language, which takes its first bytes. Only a few
 * may be in that state at a time; the oldest gives way to a new one, one that has sent nothing first, so
 * those that do speak are heard: the probes of a full server, say. A client that sends nothing valid for
 * too long is told so too. HTTP has a timeout of its own for each request (request-timeout.ts).
 *
 * HTTP begins with the name of a method and a space, and a line of ours, or the blanks before it, leads
 * to `{`. What can become neither is rejected as soon as that is certain, without waiting for a line
 * end, which other protocols never send.
 */
import { Buffer } from 'node:buffer';
import { METHODS } from 'node:http';
import type { Socket } from 'node:net';
import type { Auth } from '../../protocol/auth.ts';
import { noWayToBegin, RequestError, tooManyConnections, tooSlow } from '../../protocol/errors.ts';
import { errorMessage } from '../../protocol/replies.ts';
import type { Clock, Timer } from '../../runtime/clock.ts';
import type { Limits } from '../../runtime/limits.ts';
import type { Counters } from '../../session/counters.ts';
import { closeGracefully, cutAfterTimeout } from '../stream/graceful-close.ts';
import type { AcceptedConnection } from './listener.ts';

/** Connections beyond the limit that wait to be told so. */
export const MAX_REJECTED = 100;

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
  /** A connection is not admitted, because there are as many as are allowed. */
  full(): void;
  /**
   * @param head what was read so far
   * @param firstMessageTimer to be cancelled as soon as something valid has come
   */
  acceptLines(connection: AcceptedConnection, head: Buffer, firstMessageTimer: Timer): LineClient;
  /** @param error what the first request is answered with, if there is no room for the connection */
  acceptHttp(connection: AcceptedConnection, head: Buffer, error?: RequestError): void;
}

export class Acceptor {
  readonly #host: AcceptorHost;
  readonly #admitted = new Set<Socket>();
  readonly #rejected = new Set<Socket>();
  /** Those of the rejected whose first bytes have not come. */
  readonly #silent = new Set<Socket>();
  #total = 0;
  #isStopped = false;

  constructor(host: AcceptorHost) {
    this.#host = host;
  }

  /** Connections that were admitted and are not closed. */
  get count(): number {
    return this.#admitted.size;
  }

  /** All connections that ever came. */
  get total(): number {
    return this.#total;
  }

  /** Every open socket, those that are being rejected too. */
  *sockets(): Generator<Socket> {
    yield* this.#admitted;
    yield* this.#rejected;
  }

  /** Whatever comes from now on is cut at once. */
  stop(): void {
    this.#isStopped = true;
  }

  accept(connection: AcceptedConnection): void {
    const { limits } = this.#host;
    this.#total++;
    if (this.#isStopped) {
      connection.socket.destroy();
    } else if (this.#admitted.size < limits.maxConnections) {
      this.#admit(connection);
    } else {
      this.#host.full();
      if (this.#rejected.size >= MAX_REJECTED) this.#cutOldest();
      this.#reject(connection);
    }
  }

  #cutOldest(): void {
    const [oldest] = this.#silent.size > 0 ? this.#silent : this.#rejected;
    if (oldest === undefined) return;
    this.#silent.delete(oldest);
    this.#rejected.delete(oldest);
    oldest.destroy();
  }

  #admit(connection: AcceptedConnection): void {
    const { clock, limits, auth } = this.#host;
    const { socket } = connection;
    let client: LineClient | undefined;
    // Where no token is required people type their first line; tokens are for programs.
    const firstMs = auth.needsToken ? limits.firstMessageMs : limits.firstLineMs;
    const firstMessageTimer = clock.setTimer(firstMs, () => {
      stop();
      if (client === undefined) this.#endWith(socket, tooSlow(firstMs));
      else client.firstMessageIsDue(firstMs);
    });
    keep(socket, this.#admitted);
    socket.on('close', () => firstMessageTimer.cancel());
    const stop = sniff(socket, (protocol, head) => {
      if (protocol === 'lines') {
        client = this.#host.acceptLines(connection, head, firstMessageTimer);
        return;
      }
      firstMessageTimer.cancel();
      if (protocol === 'http') this.#host.acceptHttp(connection, head);
      else this.#endWith(socket, protocol);
    });
  }

  #reject(connection: AcceptedConnection): void {
    const { clock, limits } = this.#host;
    const { socket } = connection;
    cutAfterTimeout(socket, clock);
    keep(socket, this.#rejected);
    keep(socket, this.#silent);
    sniff(socket, (protocol, head) => {
      this.#silent.delete(socket);
      const error = tooManyConnections(limits);
      if (protocol === 'http') this.#host.acceptHttp(connection, head, error);
      else this.#endWith(socket, error);
    });
  }

  /** Sends `error` as a line, and ends the connection. */
  #endWith(socket: Socket, error: RequestError): void {
    this.#host.counters.countError(error.code);
    socket.write(`${errorMessage(error)}\n`, 'latin1');
    closeGracefully(socket, this.#host.clock);
  }
}

/** Keeps `socket` among `others` until it closes. */
function keep(socket: Socket, others: Set<Socket>): void {
  others.add(socket);
  socket.on('close', () => others.delete(socket));
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
    else decide(UNKNOWN_PROTOCOL);
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

/** What a connection speaks; 'undecided' while it could still become one or the other. */
export type FirstBytes = 'http' | 'lines' | 'undecided' | RequestError;

const TLS_HELLO =
  'this looks like a TLS handshake, and plain text is expected here: connect without TLS, or have the server use it (--tls-cert and --tls-key)';
const TELNET = 'this looks like telnet option negotiation: connect with nc, which sends plain text';
const SOCKS = 'this looks like SOCKS, and the server is no proxy: connect to it directly';
const PROXY = 'this looks like the PROXY protocol: turn it off in the proxy';
const LOWER_CASE = 'the method of an HTTP request is written in capitals';

/** How other protocols begin that end up on this port, and the sentence that answers them. */
const FOREIGN: ReadonlyMap<string, string> = new Map([
  ['\x16\x03', TLS_HELLO],
  ['\xef\xbb\xbf', 'this begins with a byte order mark (BOM): send UTF-8 without one'],
  ['\xff\xfe', 'this looks like UTF-16, or telnet: send UTF-8, without a byte order mark (BOM)'],
  ['\xfe\xff', 'this looks like UTF-16: send UTF-8, without a byte order mark (BOM)'],
  ...['\xff\xfb', '\xff\xfc', '\xff\xfd'].map(answeredBy(TELNET)),
  ...['\x04\x01', '\x04\x02', '\x05\x01', '\x05\x02', '\x05\x03'].map(answeredBy(SOCKS)),
  // The second version of the PROXY protocol begins with line ends, which count as blanks.
  ...['PROXY ', '\0\r\nQUIT\n'].map(answeredBy(PROXY)),
  ['HTTP/', 'this looks like the answer to an HTTP request, not a request'],
  ['SSH-', 'this looks like SSH'],
  ...['EHLO', 'HELO'].map(answeredBy('this looks like SMTP')),
  ['*', 'this looks like the protocol of Redis'],
  ['\x10', 'this looks like MQTT'],
  ['AMQP', 'this looks like AMQP'],
  ['\0\0\0', 'this looks like the protocol of a database'],
  ...METHODS.map((method) => `${method.toLowerCase()} `).map(answeredBy(LOWER_CASE)),
]);

function answeredBy(sentence: string): (start: string) => readonly [string, string] {
  return (start) => [start, sentence];
}

/** `PRI` begins HTTP/2, which is answered in words that its clients may show. */
const HTTP_STARTS: readonly string[] = [...METHODS, 'PRI'].map((method) => `${method} `);
const FOREIGN_STARTS: readonly string[] = [...FOREIGN.keys()];
const LONGEST = Math.max(...[...HTTP_STARTS, ...FOREIGN_STARTS].map((start) => start.length));

/** The answer to bytes that can become nothing that is spoken here. */
const UNKNOWN_PROTOCOL = unknownProtocol('this is neither HTTP nor a JSON object');

/** @param bytes all that has come, without the blanks at its beginning */
export function firstBytes(bytes: Buffer): FirstBytes {
  const text = bytes.toString('latin1', 0, LONGEST);
  if (text.startsWith('{')) return 'lines';
  if (HTTP_STARTS.some((start) => text.startsWith(start))) return 'http';
  for (const [start, sentence] of FOREIGN) {
    if (text.startsWith(start)) return unknownProtocol(sentence);
  }
  const mayBecome = (start: string): boolean => start.startsWith(text);
  const isOpen = HTTP_STARTS.some(mayBecome) || FOREIGN_STARTS.some(mayBecome);
  return isOpen ? 'undecided' : UNKNOWN_PROTOCOL;
}

/** `bytes` from the first on that is none of the blanks which may stand before a JSON text. */
export function withoutBlanks(bytes: Buffer): Buffer {
  const start = bytes.findIndex((byte) => !BLANKS.has(byte));
  return bytes.subarray(start === -1 ? bytes.length : start);
}

const BLANKS: ReadonlySet<number> = new Set([0x20, 0x09, 0x0a, 0x0d]);

function unknownProtocol(sentence: string): RequestError {
  return noWayToBegin(new RequestError('bad_json', sentence));
}
