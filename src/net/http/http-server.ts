/**
 * HTTP on the shared port: pages for people, and the way to WebSocket. The parsing is `node:http`'s,
 * by handing it the socket; a server of its own listens nowhere.
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
  /** A WebSocket was opened; called once for each. */
  opened(channel: WebSocketChannel, connection: AcceptedConnection): void;
}

/** A request that may be looked at. */
interface Visit {
  readonly url: URL;
  readonly locality: Locality;
}

/** A connection that speaks HTTP, until it closes or becomes a WebSocket. */
interface HttpConnection {
  readonly accepted: AcceptedConnection;
  readonly timeout: RequestTimeout;
  /** What its first request is answered with, if there is no room for it. */
  readonly full: RequestError | undefined;
}

export class HttpServer {
  readonly #host: HttpHost;
  readonly #server: Server;
  readonly #connections = new WeakMap<Duplex, HttpConnection>();
  readonly #turns: HttpTurns;
  readonly #answers: PendingResponses;

  constructor(host: HttpHost) {
    this.#host = host;
    this.#turns = new HttpTurns(host.streams.turnQueue);
    this.#answers = new PendingResponses(host.limits.maxUnreadBytes, host.streams.budget);
    this.#server = createServer({
      keepAlive: true,
      noDelay: true,
      // node:http would refuse a request without Host itself, and with no word about why.
      requireHostHeader: false,
      // It would close a connection that is not used for five seconds, whatever the deadline says.
      keepAliveTimeout: 0,
    });
    // Bounded in bytes alone: behind as many headers as it keeps by default, node:http drops all others
    // without a word, and with them a second Host, an X-Forwarded-For, or that there is a body.
    this.#server.maxHeadersCount = 0;
    this.#server.on('request', (request, response) => this.#answer(request, response));
    // Without a listener node:http asks for the body, which is not going to be read.
    this.#server.on('checkContinue', (request, response) => this.#answer(request, response));
    this.#server.on('upgrade', (request, socket, head) => {
      this.#takeOver(socket, () => this.#upgrade(request, socket, head));
    });
    // Without a listener node:http cuts these off unanswered.
    this.#server.on('connect', (request, socket) => {
      this.#takeOver(socket, () => this.#refuse(socket, this.#page(request)));
    });
    this.#server.on('checkExpectation', (request, response) => {
      this.#answer(request, response, () => sentence(417, 'Leave out the header Expect.'));
    });
    this.#server.on('clientError', (error, socket) => {
      this.#turns.take(socket, () => this.#rejectMalformed(error, socket));
    });
  }

  /**
   * Takes over a connection whose first bytes, already read, are HTTP's.
   *
   * @param full there is no room for it: its first request is answered with this, and it ends. Probes
   *   and metrics are answered all the same: the server is full, not broken.
   */
  accept(accepted: AcceptedConnection, head: Buffer, full?: RequestError): void {
    const { clock, limits } = this.#host;
    const { socket } = accepted;
    const timeout = new RequestTimeout(socket, clock, limits.firstMessageMs, (isIdle) => {
      // A peer that does not read what it asked for hears nothing else, either.
      if (this.#answers.isWaiting(socket)) socket.destroy();
      else if (isIdle) closeGracefully(socket, clock);
      else this.#refuse(socket, tooLate(limits));
    });
    this.#connections.set(socket, { accepted, timeout, full });
    socket.unshift(head);
    this.#server.emit('connection', socket);
  }

  #connectionOf(socket: Duplex): HttpConnection {
    const connection = this.#connections.get(socket);
    if (connection === undefined)
      throw new Error('a request came on a socket that was not accepted');
    return connection;
  }

  /** Goes on with a socket that node:http has just given up. */
  #takeOver(socket: Duplex, act: () => void): void {
    readAgain(socket);
    // One that was about to end is read to its end all the same; node:http has stopped that.
    if (this.#turns.isOver(socket)) socket.resume();
    else this.#turns.take(socket, act);
  }

  /** @param pageOf undefined for what the request asks for */
  #answer(request: IncomingMessage, response: ServerResponse, pageOf?: () => Page): void {
    const { method, socket } = request;
    this.#turns.take(socket, () => {
      this.#connectionOf(socket).timeout.requestCame();
      const page = pageOf?.() ?? this.#page(request);
      if (this.#isLast(request, page)) {
        // What comes of its body is thrown away: while it is kept, node:http reads no further.
        request.resume();
        this.#refuse(socket, page, method);
        return;
      }
      const body = method === 'HEAD' || page.body === '' ? undefined : Buffer.from(page.body);
      if (this.#answers.add(socket, response, body?.length ?? 0)) respond(response, page, body);
      else socket.destroy();
    });
  }

  /**
   * Whether nothing can come behind this request: a body that may break, or never end, must not make
   * for a second answer.
   */
  #isLast(request: IncomingMessage, { lateMs }: Page): boolean {
    if (lateMs !== undefined || this.#connectionOf(request.socket).full !== undefined) return true;
    return hasBody(request) || !isSpoken(request);
  }

  #page(request: IncomingMessage): Page {
    const visit = this.#visitOf(request);
    if ('status' in visit) return visit;
    const { url } = visit;
    const { method = 'GET', headers } = request;
    // Before a page shows its token its browser asks whether it may, and shows none there.
    const isOpen = PROBED_PATHS.has(url.pathname) || method === 'OPTIONS';
    const entry = isOpen ? undefined : this.#authenticate(request, visit);
    const page = typeof entry === 'object' ? entry : pageFor(method, url, this.#host);
    const cors = corsHeaders(this.#host.originPolicy, headers.origin, method === 'OPTIONS');
    return { ...page, headers: { ...page.headers, ...cors } };
  }

  /** Where a request leads, or why nothing of the kind is answered. The same for every way of HTTP. */
  #visitOf(request: IncomingMessage): Visit | Page {
    if (!isSpoken(request)) return versionNotSpoken();
    const { headers, socket } = request;
    const target = targetOf(request);
    const isProbe = target !== undefined && PROBED_PATHS.has(target.url.pathname);
    // A probe may name the server by whatever address it knows, and the answer says next to nothing.
    const mistake =
      hostMistake(request) ?? (isProbe ? undefined : this.#checkOrigin(request, target));
    if (mistake !== undefined) return mistake;
    if (target === undefined) return sentence(400, 'The target of this request is not a path.');
    const { url } = target;
    const { full, accepted } = this.#connectionOf(socket);
    if (full !== undefined && !WATCHED_PATHS.has(url.pathname)) {
      this.#host.counters.countError(full.code);
      return noRoom(full);
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

  /** What the client may do, or the page that says why it is not admitted. */
  #authenticate(request: IncomingMessage, { url, locality }: Visit): Role | Page {
    const { auth } = this.#host;
    const authentication = auth.authenticate(tokenIn(request, url.searchParams), locality);
    if (authentication.role !== 'none') return authentication.role;
    const { failure } = authentication;
    this.#host.authFailed(failure, this.#connectionOf(request.socket).accepted.name);
    return unauthorizedPage(failure);
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    this.#turns.end(socket);
    const visit = this.#visitOf(request);
    if ('status' in visit) {
      this.#refuse(socket, visit, request.method);
      return;
    }
    const { url, locality } = visit;
    const isWebSocket = url.pathname === V1_PATH || url.pathname === V2_PATH;
    if (!isWebSocket || request.method === 'OPTIONS') {
      // A client may offer a protocol that isn't spoken here (h2c, say): it gets HTTP/1.1.
      this.#refuse(socket, this.#page(request), request.method);
      return;
    }
    const entry = this.#authenticate(request, visit);
    const converse = typeof entry === 'object' ? entry : this.#conversationFor(url, entry);
    if ('status' in converse) {
      this.#refuse(socket, converse);
      return;
    }
    const handshake = checkHandshake(request);
    if ('status' in handshake) {
      this.#refuse(socket, sentence(handshake.status, handshake.message, { ...handshake.headers }));
      return;
    }
    const { accepted, timeout } = this.#connectionOf(socket);
    this.#answers.after(socket, () => {
      timeout.stop();
      const noSession = url.pathname === V1_PATH ? this.#checkCapacity() : undefined;
      if (noSession !== undefined) {
        this.#refuse(socket, noSession);
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
   * Why no session may begin now, if so. With a handshake of v1 one does; at /v2 one may be resumed,
   * which shows when it says hello.
   */
  #checkCapacity(): Page | undefined {
    const { limits, registry } = this.#host;
    if (registry.isDraining) return draining();
    const code = registry.refuseSession(limits);
    return code === undefined ? undefined : noRoom(noMoreSessions(code, limits));
  }

  /** What makes the conversation that a handshake with this path and query asks for. */
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

  /** Answers what node:http could not parse, if the peer can still read it. */
  #rejectMalformed(error: NodeJS.ErrnoException, socket: Duplex): void {
    if (!socket.writable) {
      socket.destroy();
    } else if (error.code === 'HPE_HEADER_OVERFLOW') {
      this.#refuse(socket, sentence(431, 'The head of this request is too long.'));
    } else if (error.code === 'HPE_INVALID_EOF_STATE') {
      this.#refuse(
        socket,
        sentence(400, 'This request was cut off: the input ended before it did.'),
      );
    } else if (isOtherVersion(error)) {
      this.#refuse(socket, versionNotSpoken());
    } else {
      this.#refuse(socket, sentence(400, `This is not valid HTTP: ${error.message}.`));
    }
  }

  /** Answers what came last on this connection, and ends it. */
  #refuse(socket: Duplex, page: Page, method?: string): void {
    this.#turns.end(socket);
    this.#answers.after(socket, () => {
      this.#connectionOf(socket).timeout.stop();
      const { status, body, lateMs } = page;
      const refuse = (): void => {
        socket.write(rawResponse({ status, headers: headersOf(page), body }, method === 'HEAD'));
        closeGracefully(socket, this.#host.clock);
      };
      if (lateMs === undefined) {
        refuse();
        return;
      }
      socket.pause();
      const timer = this.#host.clock.setTimer(lateMs, refuse);
      socket.on('close', () => timer.cancel());
    });
  }
}

/** Of a version that is well-formed but not spoken, and of the preface of HTTP/2. */
function isOtherVersion({ code, message }: NodeJS.ErrnoException): boolean {
  // A missing CR behind the version has the same code.
  const isInvalid = code === 'HPE_INVALID_VERSION' && message.includes('Invalid HTTP version');
  return isInvalid || code === 'HPE_PAUSED_H2_UPGRADE';
}

/** What a line would be told in small letters, as a page. */
function noRoom({ message }: RequestError): Page {
  const text = `${message.charAt(0).toUpperCase()}${message.slice(1)}.`;
  return sentence(503, text, { 'Retry-After': '1' });
}

function tooLate({ firstMessageMs }: Limits): Page {
  return sentence(408, `No request was complete after ${firstMessageMs} ms.`);
}

/** @param body undefined for none, as a HEAD is answered */
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
