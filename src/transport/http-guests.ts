/**
 * HTTP on the shared port: pages for people, and the way to WebSocket. The parsing is `node:http`'s,
 * by handing it the socket; a server of its own listens nowhere.
 */
import { Buffer } from 'node:buffer';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { mayEnter, type Standing } from '../protocol/access.ts';
import type { Channel, Conversation } from '../protocol/channel.ts';
import type { ConversationHost } from '../protocol/conversation-host.ts';
import { noMoreSessions, type Refusal } from '../protocol/refusal.ts';
import { DEFAULT_NAMESPACE, SessionConversation } from '../protocol/session-conversation.ts';
import { V1Conversation } from '../protocol/v1-conversation.ts';
import type { Limits } from '../session/limits.ts';
import { chosenSubprotocol, tokenIn, unauthorizedPage } from './credentials.ts';
import { type EndOptions, endGently } from './end-gently.ts';
import { HttpAnswers } from './http-answers.ts';
import { HttpDeadline } from './http-deadline.ts';
import {
  draining,
  OPEN_PATHS,
  type Page,
  type PageHost,
  pageFor,
  sentence,
  V1_PATH,
  V2_PATH,
} from './http-pages.ts';
import { CLOSE_TIMEOUT_MS } from './outbox.ts';
import { rawResponse } from './raw-response.ts';
import { sessionQuery } from './session-query.ts';
import { refuseVisitor, type VisitorRules } from './visitor-rules.ts';
import { acceptHead, checkHandshake } from './websocket/handshake.ts';
import { WebSocketChannel } from './websocket-channel.ts';

export interface HttpHost extends ConversationHost, PageHost {
  readonly visitors: VisitorRules;
  /** Milliseconds (>= 1) between two pings of a WebSocket. */
  readonly pingIntervalMs: number;
  /** Whether the peer of `socket` is on this machine. */
  isLocal(socket: Socket): boolean;
  /** Whether `socket` came by TCP where only this machine can reach the server. */
  isLoopback(socket: Socket): boolean;
  /** The peer of `socket` as people know it. */
  clientName(socket: Socket): string;
  /** A WebSocket was opened by `handshake`; called once for each. */
  opened(channel: WebSocketChannel, socket: Socket): void;
}

export class HttpGuests {
  readonly #host: HttpHost;
  readonly #server: Server;
  /** Sockets that were told no and are about to end. */
  readonly #refused = new WeakSet<Duplex>();
  readonly #deadlines = new WeakMap<Duplex, HttpDeadline>();
  readonly #answers: HttpAnswers;

  constructor(host: HttpHost) {
    this.#host = host;
    this.#answers = new HttpAnswers(host.limits.maxUnreadBytes);
    this.#server = createServer({
      keepAlive: true,
      noDelay: true,
      // node:http would refuse a request without Host itself, and with no word about why.
      requireHostHeader: false,
      // It would close a connection that is not used for five seconds, whatever the deadline says.
      keepAliveTimeout: 0,
    });
    this.#server.on('request', (request, response) => {
      this.#answer(request, response, () => this.#page(request));
    });
    this.#server.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head));
    // Without a listener node:http cuts these off unanswered.
    this.#server.on('connect', (request, socket) => this.#refuse(socket, this.#page(request)));
    this.#server.on('checkExpectation', (request, response) => {
      this.#answer(request, response, () => sentence(417, 'Leave out the header Expect.'));
    });
    this.#server.on('clientError', (error, socket) => this.#refuseGarbage(error, socket));
  }

  /** Takes over a connection whose first bytes, already read, are HTTP's. */
  accept(socket: Socket, head: Buffer): void {
    const { clock, limits } = this.#host;
    const deadline = new HttpDeadline(socket, clock, limits.firstMessageMs, (isIdle) => {
      // Whoever does not read what it asked for hears nothing else, either.
      if (this.#answers.isWaiting(socket)) socket.destroy();
      else if (isIdle) endGently(socket, this.#ending());
      else this.#refuse(socket, tooLate(limits));
    });
    this.#deadlines.set(socket, deadline);
    socket.unshift(head);
    this.#server.emit('connection', socket);
  }

  /** Answers the request that `head` begins, for which there is no room, and ends the connection. */
  turnAway(socket: Socket, head: Buffer, refusal: Refusal): void {
    const isHead = head.toString('latin1', 0, 5) === 'HEAD ';
    this.#refuse(socket, noRoom(refusal), isHead ? 'HEAD' : 'GET');
  }

  #answer(request: IncomingMessage, response: ServerResponse, pageOf: () => Page): void {
    const { method, socket } = request;
    // What comes behind a guess is not looked at.
    if (this.#refused.has(socket)) return;
    this.#deadlines.get(socket)?.requestCame();
    const page = pageOf();
    const body = method === 'HEAD' ? undefined : Buffer.from(page.body);
    if (!this.#answers.add(socket, response, body?.length ?? 0)) {
      socket.destroy();
      return;
    }
    if (page.lateMs === undefined) respond(response, page, body);
    else this.#answerLate(socket, response, page.lateMs, () => respond(response, page, body));
  }

  /** Lets a guesser wait for the last answer that it gets. */
  #answerLate(socket: Socket, response: ServerResponse, lateMs: number, answer: () => void): void {
    this.#refused.add(socket);
    this.#deadlines.get(socket)?.stop();
    socket.pause();
    const timer = this.#host.clock.setTimer(lateMs, () => {
      this.#deadlines.get(socket)?.requestCame();
      response.setHeader('Connection', 'close');
      answer();
      socket.resume();
    });
    response.on('close', () => timer.cancel());
  }

  #page(request: IncomingMessage): Page {
    if (request.httpVersion === '1.1' && request.headers.host === undefined) {
      return sentence(400, 'The header Host is missing.');
    }
    const refusal = this.#refuseVisitor(request);
    if (refusal !== undefined) return refusal;
    const url = targetOf(request);
    if (url === undefined) return sentence(400, 'The target of this request is not a path.');
    const entry = OPEN_PATHS.has(url.pathname) ? undefined : this.#enter(request, url);
    if (typeof entry === 'object') return entry;
    return pageFor(request.method ?? 'GET', url, this.#host);
  }

  #refuseVisitor({ headers, socket }: IncomingMessage): Page | undefined {
    const { visitors } = this.#host;
    const isLoopback = this.#host.isLoopback(socket);
    const why = refuseVisitor(visitors, headers.origin, headers.host, isLoopback);
    return why === undefined ? undefined : sentence(403, why);
  }

  /** What the visitor may do, or the refusal of one who may not even enter. */
  #enter(request: IncomingMessage, url: URL): Standing | Page {
    const { access } = this.#host;
    const { socket } = request;
    const token = tokenIn(request, url.searchParams);
    const standing = access.judge(token, this.#host.isLocal(socket));
    if (mayEnter(standing)) return standing;
    this.#host.turnedAway(standing, this.#host.clientName(socket));
    return unauthorizedPage(standing);
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const url = targetOf(request);
    if (url?.pathname !== V1_PATH && url?.pathname !== V2_PATH) {
      // A client may offer a protocol that isn't spoken here (h2c, say): it gets HTTP/1.1.
      this.#refuse(socket, this.#page(request), request.method);
      return;
    }
    const entry = this.#refuseVisitor(request) ?? this.#enter(request, url);
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
    this.#answers.after(socket, () => {
      this.#deadlines.get(socket)?.stop();
      const noSession = url.pathname === V1_PATH ? this.#refuseSession() : undefined;
      if (noSession !== undefined) {
        this.#refuse(socket, noSession);
        return;
      }
      const tcp = request.socket;
      const client = this.#host.clientName(tcp);
      const isLocal = this.#host.isLocal(tcp);
      tcp.write(acceptHead(handshake.accept, chosenSubprotocol(request)), 'latin1');
      this.#host.opened(
        new WebSocketChannel(tcp, head, this.#host, client, isLocal, converse),
        tcp,
      );
    });
  }

  /**
   * Why no session may begin now, if so. With a handshake of v1 one does; at /v2 one may be resumed,
   * which shows when it says hello.
   */
  #refuseSession(): Page | undefined {
    const { drain, limits, namespaces } = this.#host;
    if (drain.isOn) return draining();
    const code = namespaces.refuseSession(limits);
    return code === undefined ? undefined : noRoom(noMoreSessions(code, limits));
  }

  /** What makes the conversation that a handshake with this path and query asks for. */
  #conversationFor(url: URL, standing: Standing): ((channel: Channel) => Conversation) | Page {
    const host = this.#host;
    const query = sessionQuery(url, host);
    if ('status' in query) return query;
    const { namespace, abandonTimeoutMs } = query;
    if (url.pathname === V1_PATH && namespace !== undefined) {
      return (channel) => new V1Conversation(host, channel, { namespace, abandonTimeoutMs });
    }
    const defaults = { namespace: namespace ?? DEFAULT_NAMESPACE, abandonTimeoutMs };
    return (channel) => new SessionConversation(host, channel, defaults, standing);
  }

  /** Answers what node:http could not parse, as far as somebody is there to read it. */
  #refuseGarbage(error: NodeJS.ErrnoException, socket: Duplex): void {
    // What comes after something that can't be parsed can't either; that one is answered already.
    if (this.#refused.has(socket)) return;
    if (!socket.writable) {
      socket.destroy();
    } else if (error.code === 'HPE_HEADER_OVERFLOW') {
      this.#refuse(socket, sentence(431, 'The head of this request is too long.'));
    } else {
      this.#refuse(socket, sentence(400, `This is not valid HTTP: ${error.message}.`));
    }
  }

  /** Answers what came last on this connection, and ends it. */
  #refuse(socket: Duplex, page: Page, method?: string): void {
    this.#refused.add(socket);
    this.#answers.after(socket, () => {
      this.#deadlines.get(socket)?.stop();
      const { status, body, lateMs } = page;
      const refuse = (): void => {
        socket.write(rawResponse({ status, headers: headersOf(page), body }, method === 'HEAD'));
        endGently(socket, this.#ending());
      };
      if (lateMs === undefined) {
        refuse();
        return;
      }
      const timer = this.#host.clock.setTimer(lateMs, refuse);
      socket.on('close', () => timer.cancel());
    });
  }

  #ending(): EndOptions {
    return { clock: this.#host.clock, closeTimeoutMs: CLOSE_TIMEOUT_MS };
  }
}

/** What a line would be told in small letters, as a page. */
function noRoom({ message }: Refusal): Page {
  const text = `${message.charAt(0).toUpperCase()}${message.slice(1)}.`;
  return sentence(503, text, { 'Retry-After': '1' });
}

function tooLate({ firstMessageMs }: Limits): Page {
  return sentence(408, `No request was complete after ${firstMessageMs} ms.`);
}

/** @param body undefined for none, as a HEAD is answered */
function respond(response: ServerResponse, page: Page, body: Buffer | undefined): void {
  const length = body?.length ?? Buffer.byteLength(page.body);
  response.writeHead(page.status, { ...headersOf(page), 'Content-Length': length });
  response.end(body);
}

function headersOf({ contentType, headers }: Page): Record<string, string> {
  return {
    'Content-Type': contentType,
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
    ...headers,
  };
}

/** The path and query that were asked for; undefined for `*`, an authority, or nonsense. */
function targetOf({ url }: IncomingMessage): URL | undefined {
  if (url === undefined || !(url.startsWith('/') || url.startsWith('http'))) return undefined;
  // Only path and query are used; the base stands in for the host, which has its own header.
  const absolute = url.startsWith('/') ? `http://localhost${url}` : url;
  return URL.canParse(absolute) ? new URL(absolute) : undefined;
}
