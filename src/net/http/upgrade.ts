/** Decides whether a request becomes a WebSocket, and which conversation it carries. No sockets. */
import type { IncomingMessage } from 'node:http';
import { type AuthFailure, type Locality, type Role, unauthorized } from '../../protocol/auth.ts';
import type { Channel, Conversation, ProtocolHost } from '../../protocol/channel.ts';
import { type ErrorCode, noMoreSessions, type RequestError } from '../../protocol/errors.ts';
import { errorMessage } from '../../protocol/replies.ts';
import { DEFAULT_NAMESPACE, SessionProtocol } from '../../protocol/session-protocol.ts';
import { V1Protocol } from '../../protocol/v1-protocol.ts';
import { CloseCode, encodeClose, encodeFrame, Opcode } from '../websocket/frame.ts';
import { acceptHead, checkHandshake } from '../websocket/handshake.ts';
import { chosenSubprotocol, unauthorizedPage } from './credentials.ts';
import { handshakeQuery } from './handshake-query.ts';
import { draining, type Page, sentence, V1_PATH, V2_PATH } from './pages.ts';
import { targetOf } from './request.ts';
import { type Router, type Sender, unavailable } from './router.ts';

/** A handshake that is accepted. */
export interface Upgrade {
  readonly locality: Locality;
  readonly converse: (channel: Channel) => Conversation;
  /** The response, as a byte string. */
  readonly response: string;
  /** The page that rejects it after all: asked for when its response is due. */
  refusal(): Page | undefined;
}

/**
 * A handshake that is accepted only to say why the client is not served. Nothing that the client sends
 * is read.
 */
export interface Farewell {
  /** The response, a message and the close frame, as a byte string. */
  readonly farewell: string;
  /** Milliseconds to wait before it is sent. Undefined: no wait. */
  readonly lateMs?: number;
}

/** The upgrade that `request` asks for, or what answers it instead. */
export function prepareUpgrade(
  request: IncomingMessage,
  sender: Sender,
  router: Router,
  host: ProtocolHost,
): Upgrade | Farewell | Page {
  const route = router.route(request, sender);
  if ('status' in route) return farewellTo(request, sender, route) ?? route;
  const { url, locality } = route;
  const isWebSocket = url.pathname === V1_PATH || url.pathname === V2_PATH;
  // An upgrade to an unsupported protocol, such as h2c, is ignored (RFC 9110, 7.8).
  if (!isWebSocket || request.method === 'OPTIONS') return router.page(request, sender);
  const authentication = router.authenticate(request, sender, route);
  if ('status' in authentication) return authentication;
  if (authentication.role === 'none') {
    return unauthorizedAt(url, request, authentication.failure, host);
  }
  const converse = conversationFor(url, authentication.role, host);
  if ('status' in converse) return converse;
  const handshake = checkHandshake(request);
  if ('status' in handshake) {
    return sentence(handshake.status, handshake.message, { ...handshake.headers });
  }
  return {
    locality,
    converse,
    response: acceptHead(handshake.accept, chosenSubprotocol(request)),
    refusal: () => (url.pathname === V1_PATH ? noSession(host) : undefined),
  };
}

/** What a client must know to go on: which server serves, or that this one will in a moment. */
const TOLD_IN_PROTOCOL: ReadonlySet<ErrorCode> = new Set(['not_owner', 'restarting']);

/**
 * A client of the session protocol is told that in it, as on lines: one in a browser can't read the
 * page of a handshake that failed.
 */
function farewellTo(request: IncomingMessage, sender: Sender, page: Page): Farewell | undefined {
  const { rejected } = sender;
  if (rejected === undefined || page.status !== 503) return undefined;
  if (!TOLD_IN_PROTOCOL.has(rejected.code)) return undefined;
  if (targetOf(request)?.url.pathname !== V2_PATH) return undefined;
  return farewell(request, rejected, CloseCode.goingAway);
}

/**
 * A client that offers the subprotocol `locktopus` at /v2 is told so in the session protocol, others by
 * the status: a client in a browser sees no status, and would take the server for one that is away.
 */
function unauthorizedAt(
  { pathname }: URL,
  request: IncomingMessage,
  failure: AuthFailure,
  host: ProtocolHost,
): Farewell | Page {
  const page = unauthorizedPage(failure);
  if (pathname !== V2_PATH || chosenSubprotocol(request) === undefined) return page;
  const error = unauthorized(failure, 'send a valid token with the handshake');
  const told = farewell(request, error, CloseCode.unauthorized);
  if (told === undefined) return page;
  host.counters.countError(error.code);
  return page.lateMs === undefined ? told : { ...told, lateMs: page.lateMs };
}

/** Undefined if the handshake is not valid. */
function farewell(
  request: IncomingMessage,
  error: RequestError,
  closeCode: number,
): Farewell | undefined {
  const handshake = checkHandshake(request);
  if ('status' in handshake) return undefined;
  const response = acceptHead(handshake.accept, chosenSubprotocol(request));
  const message = encodeFrame(Opcode.text, errorMessage(error));
  return { farewell: response + message + encodeClose(closeCode, '') };
}

/**
 * The page that rejects a v1 handshake while no session may begin. A v1 handshake always begins a
 * session; on /v2 a hello may resume one instead, so that is checked later.
 */
function noSession({ limits, registry }: ProtocolHost): Page | undefined {
  if (registry.isDraining) return draining();
  const code = registry.refuseSession(limits);
  return code === undefined ? undefined : unavailable(noMoreSessions(code, limits));
}

/** Makes the conversation for this path and query; or the page that rejects it. */
function conversationFor(
  url: URL,
  role: Role,
  host: ProtocolHost,
): ((channel: Channel) => Conversation) | Page {
  const query = handshakeQuery(url, host);
  if ('status' in query) return query;
  const { namespace, abandonTimeoutMs } = query;
  if (url.pathname === V1_PATH && namespace !== undefined) {
    return (channel) => new V1Protocol(host, channel, { namespace, abandonTimeoutMs });
  }
  const defaults = { namespace: namespace ?? DEFAULT_NAMESPACE, abandonTimeoutMs };
  return (channel) => new SessionProtocol(host, channel, defaults, role);
}
