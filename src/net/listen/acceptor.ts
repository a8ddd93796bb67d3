/**
 * Admits connections: counts them, detects the protocol of each by its first bytes, and hands it to
 * the protocol's server. Bounds what a connection can cost before that, in number and in time.
 *
 * A connection beyond the limit gets an error in its own protocol, which takes its first bytes. At
 * most `MAX_REJECTED` connections are in that state. For one more the oldest is cut, preferably one
 * that has sent nothing, so that the probes of a full server are still answered. A client that
 * sends no valid message in time gets an error too. HTTP has its own timeout per request
 * (request-timeout.ts).
 *
 * HTTP begins with a method and a space; a line begins with `{`, after optional blanks. Input that
 * can become neither is rejected as soon as that is certain, without waiting for a line end: other
 * protocols may never send one.
 */
import { Buffer } from 'node:buffer';
import { METHODS } from 'node:http';
import type { Socket } from 'node:net';
import type { Auth } from '../../protocol/auth.ts';
import { noWayToBegin, RequestError, tooManyConnections, tooSlow } from '../../protocol/errors.ts';
import { errorMessage } from '../../protocol/replies.ts';
import { type Clock, setSendTimer, type Timer } from '../../runtime/clock.ts';
import type { Limits } from '../../runtime/limits.ts';
import type { Counters } from '../../session/counters.ts';
import { closeGracefully, cutAfterTimeout } from '../stream/graceful-close.ts';
import type { AcceptedConnection } from './listener.ts';

/** Connections beyond the limit that may be waiting for their error at a time. */
export const MAX_REJECTED = 100;

/** A connection of the line protocol. */
export interface LineClient {
  /** No valid message has arrived within `ms` milliseconds: sends the error and closes. */
  firstMessageIsDue(ms: number): void;
}

export interface AcceptorHost {
  readonly clock: Clock;
  readonly limits: Limits;
  readonly counters: Counters;
  readonly auth: Pick<Auth, 'needsToken'>;
  /** Called for each connection that is rejected at the connection limit. */
  full(): void;
  /** The error for all connections while the server is not ready; undefined once it is. */
  notReady(): RequestError | undefined;
  /**
   * @param head the bytes already read
   * @param firstMessageTimer to be cancelled at the first valid message, or at the end
   */
  acceptLines(connection: AcceptedConnection, head: Buffer, firstMessageTimer: Timer): LineClient;
  /** @param error answers the first request, if the server is full or not ready */
  acceptHttp(connection: AcceptedConnection, head: Buffer, error?: RequestError): void;
}

export class Acceptor {
  readonly #host: AcceptorHost;
  readonly #admitted = new Set<Socket>();
  readonly #rejected = new Set<Socket>();
  /** Those of `#rejected` that have sent nothing yet. */
  readonly #silent = new Set<Socket>();
  readonly #forget = forgetter(this.#admitted, this.#rejected, this.#silent);
  #total = 0;
  #isStopped = false;

  constructor(host: AcceptorHost) {
    this.#host = host;
  }

  /** Open connections that were admitted. */
  get count(): number {
    return this.#admitted.size;
  }

  /** Connections since the start, rejected ones included. */
  get total(): number {
    return this.#total;
  }

  /** Every open socket, those being rejected included. */
  *sockets(): Generator<Socket> {
    yield* this.#admitted;
    yield* this.#rejected;
  }

  /** Cuts new connections at once from now on. */
  stop(): void {
    this.#isStopped = true;
  }

  accept(connection: AcceptedConnection): void {
    const { limits } = this.#host;
    this.#total++;
    if (this.#isStopped) {
      connection.socket.destroy();
      return;
    }
    const notReady = this.#host.notReady();
    if (notReady !== undefined) {
      this.#reject(connection, notReady);
    } else if (this.#admitted.size < limits.maxConnections) {
      this.#admit(connection);
    } else {
      this.#host.full();
      this.#reject(connection, tooManyConnections(limits));
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
    // Without tokens people may type their first line, which takes longer than a program does.
    const firstMs = auth.needsToken ? limits.firstMessageMs : limits.firstLineMs;
    const firstMessageTimer = setSendTimer(clock, firstMs, () => {
      stop();
      if (client === undefined) this.#endWith(socket, tooSlow(firstMs));
      else client.firstMessageIsDue(firstMs);
    });
    this.#keep(socket, this.#admitted);
    const closed = (): void => firstMessageTimer.cancel();
    socket.on('close', closed);
    const stop = sniff(socket, (protocol, head) => {
      // From here on the connection cancels the timer: this listener would keep alive what began it.
      socket.off('close', closed);
      if (protocol === 'lines') {
        client = this.#host.acceptLines(connection, head, firstMessageTimer);
        return;
      }
      firstMessageTimer.cancel();
      if (protocol === 'http') this.#host.acceptHttp(connection, head);
      else this.#endWith(socket, protocol);
    });
  }

  #reject(connection: AcceptedConnection, error: RequestError): void {
    if (this.#rejected.size >= MAX_REJECTED) this.#cutOldest();
    const { clock } = this.#host;
    const { socket } = connection;
    cutAfterTimeout(socket, clock);
    this.#keep(socket, this.#rejected);
    this.#silent.add(socket);
    sniff(socket, (protocol, head) => {
      this.#silent.delete(socket);
      if (protocol === 'http') this.#host.acceptHttp(connection, head, error);
      else this.#endWith(socket, error);
    });
  }

  /** Keeps `socket` in `others` until it closes. */
  #keep(socket: Socket, others: Set<Socket>): void {
    others.add(socket);
    socket.on('close', this.#forget);
  }

  /** Sends `error` as a line, and ends the connection. */
  #endWith(socket: Socket, error: RequestError): void {
    this.#host.counters.countError(error.code);
    socket.write(`${errorMessage(error)}\n`, 'latin1');
    closeGracefully(socket, this.#host.clock);
  }
}

/** A listener for the end of sockets, one for all of them, that removes each from all `sets`. */
function forgetter(...sets: Set<Socket>[]): (this: Socket) => void {
  return function () {
    for (const sockets of sets) sockets.delete(this);
  };
}

/**
 * Reads until the first bytes identify the protocol, or show that it is not supported. Leading
 * blanks are dropped, so only a few bytes are kept meanwhile.
 *
 * @param known called once, unless the peer closes without having sent anything
 * @returns a function that stops reading without a decision
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

/** The protocol of a connection; 'undecided' while more bytes are needed to tell. */
export type FirstBytes = 'http' | 'lines' | 'undecided' | RequestError;

const TLS_HELLO =
  'this looks like a TLS handshake, but the server expects plain text: connect without TLS, or enable TLS on the server (--tls-cert and --tls-key)';
const TELNET = 'this looks like telnet option negotiation: connect with nc, which sends plain text';
const SOCKS = 'this looks like SOCKS, but the server is not a proxy: connect to it directly';
const PROXY = 'this looks like the PROXY protocol: turn it off in the proxy';
const LOWER_CASE = 'the method of an HTTP request must be in capitals';

/**
 * First bytes of unsupported protocols that often reach this port, and the message each one gets.
 */
const FOREIGN: ReadonlyMap<string, string> = new Map([
  ['\x16\x03', TLS_HELLO],
  ['\xef\xbb\xbf', 'this begins with a byte order mark (BOM): send UTF-8 without one'],
  ['\xff\xfe', 'this looks like UTF-16, or telnet: send UTF-8, without a byte order mark (BOM)'],
  ['\xfe\xff', 'this looks like UTF-16: send UTF-8, without a byte order mark (BOM)'],
  ...['\xff\xfb', '\xff\xfc', '\xff\xfd'].map(answeredBy(TELNET)),
  ...['\x04\x01', '\x04\x02', '\x05\x01', '\x05\x02', '\x05\x03'].map(answeredBy(SOCKS)),
  // Version 2 of the PROXY protocol begins with line ends, which are dropped as blanks.
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

/** `PRI` begins HTTP/2, which is rejected over HTTP: its clients may display that. */
const HTTP_STARTS: readonly string[] = [...METHODS, 'PRI'].map((method) => `${method} `);
const FOREIGN_STARTS: readonly string[] = [...FOREIGN.keys()];
const LONGEST = Math.max(...[...HTTP_STARTS, ...FOREIGN_STARTS].map((start) => start.length));

/** The error for input that is neither supported nor recognized. */
const UNKNOWN_PROTOCOL = unknownProtocol('this is neither HTTP nor a JSON object');

/** @param bytes everything received so far, without leading blanks */
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

/** `bytes` without the leading whitespace that JSON allows. */
export function withoutBlanks(bytes: Buffer): Buffer {
  const start = bytes.findIndex((byte) => !BLANKS.has(byte));
  return bytes.subarray(start === -1 ? bytes.length : start);
}

const BLANKS: ReadonlySet<number> = new Set([0x20, 0x09, 0x0a, 0x0d]);

function unknownProtocol(sentence: string): RequestError {
  return noWayToBegin(new RequestError('bad_json', sentence));
}
