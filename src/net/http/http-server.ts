/**
 * HTTP on the shared port: serves the pages and upgrades handshakes to WebSocket. Parsing is left
 * to a `node:http` server that never listens: it is handed sockets that the acceptor has recognized
 * as HTTP. Bounds time and memory per connection; what a request gets is decided by router.ts.
 *
 * At most one response is being produced per connection and turn; a response that closes the
 * connection waits for those before it.
 */
import { Buffer } from 'node:buffer';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { RequestError } from '../../protocol/errors.ts';
import type { Limits } from '../../runtime/limits.ts';
import type { AcceptedConnection } from '../listen/listener.ts';
import { closeGracefully, readAgain } from '../stream/graceful-close.ts';
import type { StreamHost } from '../stream/stream-host.ts';
import { WebSocketChannel } from '../websocket/channel.ts';
import { isListing, type Page, sentence } from './pages.ts';
import { PendingResponses } from './pending-responses.ts';
import { lengthOf, rawResponse } from './raw-response.ts';
import { hasBody, isSpoken, versionNotSpoken } from './request.ts';
import { RequestTimeout } from './request-timeout.ts';
import { HttpTurns } from './request-turns.ts';
import { Router, type RouterHost, type Sender } from './router.ts';
import { prepareUpgrade } from './upgrade.ts';

export interface HttpHost extends RouterHost {
  readonly streams: StreamHost;
  /** Milliseconds (>= 1) between two pings of a WebSocket. */
  readonly pingIntervalMs: number;
  /** Called once for each WebSocket, after its handshake. */
  opened(channel: WebSocketChannel, connection: AcceptedConnection): void;
}

/** A connection that speaks HTTP, until it closes or becomes a WebSocket. */
interface HttpConnection extends Sender {
  readonly accepted: AcceptedConnection;
  readonly timeout: RequestTimeout;
}

export class HttpServer {
  readonly #host: HttpHost;
  readonly #server: Server;
  readonly #router: Router;
  readonly #connections = new WeakMap<Duplex, HttpConnection>();
  readonly #turns: HttpTurns;
  readonly #responses: PendingResponses;

  constructor(host: HttpHost) {
    this.#host = host;
    this.#router = new Router(host);
    this.#turns = new HttpTurns(host.streams.turnQueue, host.streams.clock);
    this.#responses = new PendingResponses(host.limits.maxUnreadBytes, host.streams.budget);
    this.#server = createServer({
      keepAlive: true,
      noDelay: true,
      // node:http would reject a request without Host itself, without saying why.
      requireHostHeader: false,
      // The default closes idle connections after five seconds; RequestTimeout decides that here.
      keepAliveTimeout: 0,
    });
    // Headers are bounded in bytes alone. Past its default count node:http silently drops headers,
    // which could hide a second Host, an X-Forwarded-For or a Content-Length.
    this.#server.maxHeadersCount = 0;
    this.#server.on('request', (request, response) => this.#answer(request, response));
    // Without this listener node:http would ask for the body, which is never read.
    this.#server.on('checkContinue', (request, response) => this.#answer(request, response));
    this.#server.on('upgrade', (request, socket, head) => {
      this.#takeOver(socket, () => this.#upgrade(request, socket, head));
    });
    // Without this listener node:http closes the connection without a response.
    this.#server.on('connect', (request, socket) => {
      this.#takeOver(socket, () => this.#answerAndClose(socket, this.#page(request)));
    });
    this.#server.on('checkExpectation', (request, response) => {
      this.#answer(request, response, () =>
        sentence(417, 'The Expect header is not supported: leave it out.'),
      );
    });
    this.#server.on('clientError', (error, socket) => {
      this.#turns.take(socket, () => this.#rejectMalformed(error, socket));
    });
  }

  /**
   * Takes over a connection that has begun with an HTTP request.
   *
   * @param head the bytes already read
   * @param rejected set if the server is full or not ready: the first request gets this error and
   *   the connection closes. Probes and metrics are still answered: the server is not broken.
   */
  accept(accepted: AcceptedConnection, head: Buffer, rejected?: RequestError): void {
    const { clock, limits } = this.#host;
    const { socket } = accepted;
    const timeout = new RequestTimeout(socket, clock, limits.firstMessageMs, (isIdle) => {
      // A peer that has not read its responses would not read this one either.
      if (this.#responses.isWaiting(socket)) socket.destroy();
      else if (isIdle) closeGracefully(socket, clock);
      else this.#answerAndClose(socket, tooLate(limits));
    });
    this.#connections.set(socket, { accepted, timeout, rejected });
    socket.unshift(head);
    this.#server.emit('connection', socket);
  }

  #connectionOf(socket: Duplex): HttpConnection {
    const connection = this.#connections.get(socket);
    if (connection === undefined) throw new Error('request on a socket that was not accepted');
    return connection;
  }

  /** Continues with a socket that node:http has just detached from. */
  #takeOver(socket: Duplex, act: () => void): void {
    readAgain(socket);
    // A closing connection must still be drained; node:http has stopped reading it.
    if (this.#turns.isOver(socket)) socket.resume();
    else this.#turns.take(socket, act);
  }

  #page(request: IncomingMessage): Page {
    return this.#router.page(request, this.#connectionOf(request.socket));
  }

  /** @param pageOf makes the page; by default the one that the request asks for */
  #answer(request: IncomingMessage, response: ServerResponse, pageOf?: () => Page): void {
    const { method, socket } = request;
    const isCostly = isListing(request.url ?? '');
    if (isCostly) this.#connectionOf(socket).timeout.requestCame();
    const answer = (): void => {
      this.#connectionOf(socket).timeout.requestCame();
      const page = pageOf?.() ?? this.#page(request);
      if (this.#isLast(request, page)) {
        // Discard the body: node:http stops reading the socket while body bytes are buffered.
        request.resume();
        this.#answerAndClose(socket, page, method);
        return;
      }
      const body = method === 'HEAD' || page.body === '' ? undefined : Buffer.from(page.body);
      if (this.#responses.add(socket, response, body?.length ?? 0)) respond(response, page, body);
      else socket.destroy();
    };
    this.#turns.take(socket, answer, isCostly);
  }

  /**
   * Whether the connection closes after this response. A request with a body is always the last: a
   * body that is malformed or never ends must not cause a second response.
   */
  #isLast(request: IncomingMessage, { lateMs }: Page): boolean {
    if (lateMs !== undefined || this.#connectionOf(request.socket).rejected !== undefined)
      return true;
    return hasBody(request) || !isSpoken(request);
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    this.#turns.end(socket);
    const connection = this.#connectionOf(socket);
    const upgrade = prepareUpgrade(request, connection, this.#router, this.#host);
    if ('status' in upgrade) {
      this.#answerAndClose(socket, upgrade, request.method);
      return;
    }
    if ('farewell' in upgrade) {
      this.#sendAndClose(socket, Buffer.from(upgrade.farewell, 'latin1'), upgrade.lateMs);
      return;
    }
    this.#responses.after(socket, () => {
      connection.timeout.stop();
      const refusal = upgrade.refusal();
      if (refusal !== undefined) {
        this.#answerAndClose(socket, refusal);
        return;
      }
      socket.write(upgrade.response, 'latin1');
      const { accepted } = connection;
      const { locality, converse } = upgrade;
      this.#connections.delete(socket);
      const channel = new WebSocketChannel(accepted, head, this.#host, locality, converse);
      this.#host.opened(channel, accepted);
    });
  }

  /** Answers a request that node:http could not parse, if the socket is still writable. */
  #rejectMalformed(error: NodeJS.ErrnoException, socket: Duplex): void {
    if (!socket.writable) {
      socket.destroy();
    } else if (error.code === 'HPE_HEADER_OVERFLOW') {
      this.#answerAndClose(socket, sentence(431, 'The request head is too long.'));
    } else if (error.code === 'HPE_INVALID_EOF_STATE') {
      this.#answerAndClose(
        socket,
        sentence(400, 'Incomplete request: the connection was closed before its end.'),
      );
    } else if (isOtherVersion(error)) {
      this.#answerAndClose(socket, versionNotSpoken());
    } else {
      this.#answerAndClose(socket, sentence(400, `Invalid HTTP request: ${error.message}.`));
    }
  }

  /** Sends the last response of the connection, after any pending ones, and closes it. */
  #answerAndClose(socket: Duplex, page: Page, method?: string): void {
    const { status, body, lateMs } = page;
    const response = { status, headers: headersOf(page), body };
    const text = rawResponse(response, method === 'HEAD');
    this.#sendAndClose(socket, Buffer.from(text), lateMs);
  }

  /** @param lateMs milliseconds to wait before it is sent; undefined for no wait */
  #sendAndClose(socket: Duplex, bytes: Buffer, lateMs: number | undefined): void {
    this.#turns.end(socket);
    this.#responses.after(socket, () => {
      this.#connectionOf(socket).timeout.stop();
      const send = (): void => {
        socket.write(bytes);
        closeGracefully(socket, this.#host.clock);
      };
      if (lateMs === undefined) {
        send();
        return;
      }
      socket.pause();
      const timer = this.#host.clock.setTimer(lateMs, send);
      socket.on('close', () => timer.cancel());
    });
  }
}

/** Whether the version is well-formed but unsupported, or the input is the HTTP/2 preface. */
function isOtherVersion({ code, message }: NodeJS.ErrnoException): boolean {
  // A missing CR after the version has the same code.
  const isInvalid = code === 'HPE_INVALID_VERSION' && message.includes('Invalid HTTP version');
  return isInvalid || code === 'HPE_PAUSED_H2_UPGRADE';
}

function tooLate({ firstMessageMs }: Limits): Page {
  return sentence(408, `No complete request within ${firstMessageMs} ms.`);
}

/** @param body undefined to send none, as in the response to a HEAD */
function respond(response: ServerResponse, page: Page, body: Buffer | undefined): void {
  response.writeHead(page.status, { ...headersOf(page), ...lengthOf(page) });
  response.end(body);
}

function headersOf({ contentType, headers }: Page): Record<string, string> {
  return {
    ...(contentType === undefined ? {} : { 'Content-Type': contentType }),
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
    ...headers,
  };
}
