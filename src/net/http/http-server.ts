/**
 * HTTP on the shared port: serves the pages and upgrades handshakes to WebSocket. Parsing is left
 * to a `node:http` server that never listens: it is handed sockets that the acceptor has recognized
 * as HTTP. Checks Host and Origin, authenticates, and bounds time and memory per connection.
 *
 * At most one response is being produced per connection and turn; a response that closes the
 * connection waits for those before it.
 */
import { Buffer } from 'node:buffer';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Locality, Role } from '../../protocol/auth.ts';
import type { Channel, Conversation, ProtocolHost } from '../../protocol/channel.ts';
import { noMoreSessions, type RequestError } from '../../protocol/errors.ts';
import { DEFAULT_NAMESPACE, SessionProtocol } from '../../protocol/session-protocol.ts';
import { V1Protocol } from '../../protocol/v1-protocol.ts';
import type { Limits } from '../../runtime/limits.ts';
import type { AcceptedConnection } from '../listen/listener.ts';
import { closeGracefully, readAgain } from '../stream/graceful-close.ts';
import type { StreamHost } from '../stream/stream-host.ts';
import { WebSocketChannel } from '../websocket/channel.ts';
import { acceptHead, checkHandshake } from '../websocket/handshake.ts';
import { chosenSubprotocol, tokenIn, unauthorizedPage } from './credentials.ts';
import { handshakeQuery } from './handshake-query.ts';
import { checkOrigin, corsHeaders, isHostName, type OriginPolicy } from './origin-policy.ts';
import {
  draining,
  type Page,
  type PageHost,
  PROBED_PATHS,
  pageFor,
  sentence,
  V1_PATH,
  V2_PATH,
  WATCHED_PATHS,
} from './pages.ts';
import { PendingResponses } from './pending-responses.ts';
import { lengthOf, rawResponse } from './raw-response.ts';
import {
  hasBody,
  hostMistake,
  isProxied,
  isSpoken,
  type Target,
  targetOf,
  versionNotSpoken,
} from './request.ts';
import { RequestTimeout } from './request-timeout.ts';
import { HttpTurns } from './request-turns.ts';

export interface HttpHost extends ProtocolHost, PageHost {
  readonly streams: StreamHost;
  readonly originPolicy: OriginPolicy;
  /** Milliseconds (>= 1) between two pings of a WebSocket. */
  readonly pingIntervalMs: number;
  /** Called once for each WebSocket, after its handshake. */
  opened(channel: WebSocketChannel, connection: AcceptedConnection): void;
}

/** A request that has passed the checks of version, Host, Origin and capacity. */
interface Route {
  readonly url: URL;
  readonly locality: Locality;
}

/** A connection that speaks HTTP, until it closes or becomes a WebSocket. */
interface HttpConnection {
  readonly accepted: AcceptedConnection;
  readonly timeout: RequestTimeout;
  /** The error that answers its first request, if the server is full or not ready. */
  readonly rejected: RequestError | undefined;
}

export class HttpServer {
  readonly #host: HttpHost;
  readonly #server: Server;
  readonly #connections = new WeakMap<Duplex, HttpConnection>();
  readonly #turns: HttpTurns;
  readonly #responses: PendingResponses;

  constructor(host: HttpHost) {
    this.#host = host;
    this.#turns = new HttpTurns(host.streams.turnQueue);
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

  /** @param pageOf makes the page; by default the one that the request asks for */
  #answer(request: IncomingMessage, response: ServerResponse, pageOf?: () => Page): void {
    const { method, socket } = request;
    this.#turns.take(socket, () => {
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
    });
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

  #page(request: IncomingMessage): Page {
    const route = this.#routeOf(request);
    if ('status' in route) return route;
    const { url } = route;
    const { method = 'GET', headers } = request;
    // A CORS preflight carries no token.
    const isOpen = PROBED_PATHS.has(url.pathname) || method === 'OPTIONS';
    const roleOrPage = isOpen ? undefined : this.#authenticate(request, route);
    const page = typeof roleOrPage === 'object' ? roleOrPage : pageFor(method, url, this.#host);
    const cors = corsHeaders(this.#host.originPolicy, headers.origin, method === 'OPTIONS');
    return { ...page, headers: { ...page.headers, ...cors } };
  }

  /** The checks that every request has to pass, upgrades too; the error page if one fails. */
  #routeOf(request: IncomingMessage): Route | Page {
    if (!isSpoken(request)) return versionNotSpoken();
    const { headers, socket } = request;
    const target = targetOf(request);
    const isProbe = target !== undefined && PROBED_PATHS.has(target.url.pathname);
    // A probe may use any address as Host, and its response reveals nothing.
    const mistake =
      hostMistake(request) ?? (isProbe ? undefined : this.#checkOrigin(request, target));
    if (mistake !== undefined) return mistake;
    if (target === undefined) return sentence(400, 'The request target must be a path.');
    const { url } = target;
    const { rejected, accepted } = this.#connectionOf(socket);
    if (rejected !== undefined && !WATCHED_PATHS.has(url.pathname)) {
      this.#host.counters.countError(rejected.code);
      return unavailable(rejected);
    }
    return { url, locality: isProxied(headers) ? 'remote' : accepted.locality };
  }

  #checkOrigin({ headers, socket }: IncomingMessage, target?: Target): Page | undefined {
    const { originPolicy } = this.#host;
    const { isLoopback } = this.#connectionOf(socket).accepted;
    const host = target === undefined ? headers.host : target.host;
    const why = checkOrigin(originPolicy, headers.origin, host, isLoopback);
    if (why === undefined) return undefined;
    const isName = host === undefined || isHostName(host);
    return isName ? sentence(403, why) : sentence(400, 'The Host header is not a valid name.');
  }

  /** The client's role, or the page that rejects it. */
  #authenticate(request: IncomingMessage, { url, locality }: Route): Role | Page {
    const { auth } = this.#host;
    const authentication = auth.authenticate(tokenIn(request, url.searchParams), locality);
    if (authentication.role !== 'none') return authentication.role;
    const { failure } = authentication;
    this.#host.authFailed(failure, this.#connectionOf(request.socket).accepted.name);
    return unauthorizedPage(failure);
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    this.#turns.end(socket);
    const route = this.#routeOf(request);
    if ('status' in route) {
      this.#answerAndClose(socket, route, request.method);
      return;
    }
    const { url, locality } = route;
    const isWebSocket = url.pathname === V1_PATH || url.pathname === V2_PATH;
    if (!isWebSocket || request.method === 'OPTIONS') {
      // An upgrade to an unsupported protocol, such as h2c, is ignored (RFC 9110, 7.8).
      this.#answerAndClose(socket, this.#page(request), request.method);
      return;
    }
    const roleOrPage = this.#authenticate(request, route);
    const converse =
      typeof roleOrPage === 'object' ? roleOrPage : this.#conversationFor(url, roleOrPage);
    if ('status' in converse) {
      this.#answerAndClose(socket, converse);
      return;
    }
    const handshake = checkHandshake(request);
    if ('status' in handshake) {
      this.#answerAndClose(
        socket,
        sentence(handshake.status, handshake.message, { ...handshake.headers }),
      );
      return;
    }
    const { accepted, timeout } = this.#connectionOf(socket);
    this.#responses.after(socket, () => {
      timeout.stop();
      const noSession = url.pathname === V1_PATH ? this.#checkCapacity() : undefined;
      if (noSession !== undefined) {
        this.#answerAndClose(socket, noSession);
        return;
      }
      socket.write(acceptHead(handshake.accept, chosenSubprotocol(request)), 'latin1');
      this.#host.opened(
        new WebSocketChannel(accepted, head, this.#host, locality, converse),
        accepted,
      );
    });
  }

  /**
   * The page that rejects a v1 handshake while no session may begin. A v1 handshake always begins a
   * session; on /v2 a hello may resume one instead, so that is checked later.
   */
  #checkCapacity(): Page | undefined {
    const { limits, registry } = this.#host;
    if (registry.isDraining) return draining();
    const code = registry.refuseSession(limits);
    return code === undefined ? undefined : unavailable(noMoreSessions(code, limits));
  }

  /**
   * Returns the factory of the conversation for this path and query, or the page that rejects it.
   */
  #conversationFor(url: URL, role: Role): ((channel: Channel) => Conversation) | Page {
    const host = this.#host;
    const query = handshakeQuery(url, host);
    if ('status' in query) return query;
    const { namespace, abandonTimeoutMs } = query;
    if (url.pathname === V1_PATH && namespace !== undefined) {
      return (channel) => new V1Protocol(host, channel, { namespace, abandonTimeoutMs });
    }
    const defaults = { namespace: namespace ?? DEFAULT_NAMESPACE, abandonTimeoutMs };
    return (channel) => new SessionProtocol(host, channel, defaults, role);
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
    this.#turns.end(socket);
    this.#responses.after(socket, () => {
      this.#connectionOf(socket).timeout.stop();
      const { status, body, lateMs } = page;
      const send = (): void => {
        socket.write(rawResponse({ status, headers: headersOf(page), body }, method === 'HEAD'));
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

/** The error as a page; its message, lower-case in the line protocol, becomes a sentence. */
function unavailable({ message }: RequestError): Page {
  const text = `${message.charAt(0).toUpperCase()}${message.slice(1)}.`;
  return sentence(503, text, { 'Retry-After': '1' });
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
