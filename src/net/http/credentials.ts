/**
 * The token of an HTTP request or a WebSocket handshake, in whichever of three places it is:
 *
 *     Authorization: Bearer TOKEN               programs
 *     ?token=TOKEN                              browsers, which can't set headers on a WebSocket
 *     Sec-WebSocket-Protocol: locktopus, locktopus.bearer.BASE64URL      the same, out of the URL
 *
 * The first that is there counts. A token is never repeated in an answer or a log.
 */
import { Buffer } from 'node:buffer';
import type { IncomingMessage } from 'node:http';
import { type AuthFailure, WRONG_TOKEN_DELAY_MS } from '../../protocol/auth.ts';
import { offeredSubprotocols } from '../websocket/handshake.ts';
import { type Page, sentence } from './pages.ts';

/** The only subprotocol that is ever agreed to. A browser hangs up if none of its offers is. */
const SUBPROTOCOL = 'locktopus';
/** Begins an offer that stands for nothing but the token behind it. */
const TOKEN_OFFER = 'locktopus.bearer.';
const BEARER = 'bearer ';

/** What the visitor shows as its token; undefined if nothing. */
export function tokenIn(request: IncomingMessage, query: URLSearchParams): string | undefined {
  return (
    bearerOf(request.headers.authorization) ?? offerOf(request) ?? query.get('token') ?? undefined
  );
}

/** The subprotocol to be agreed to, if the client has offered it. */
export function chosenSubprotocol(request: IncomingMessage): string | undefined {
  return offeredSubprotocols(request).includes(SUBPROTOCOL) ? SUBPROTOCOL : undefined;
}

export function unauthorizedPage(role: AuthFailure): Page {
  const what = role === 'no_token' ? 'This server wants a token' : 'This token is not known';
  const page = sentence(
    401,
    `${what}. Send it as "Authorization: Bearer TOKEN", or as ?token=TOKEN where headers can't be set.`,
    { 'WWW-Authenticate': 'Bearer' },
  );
  return role === 'no_token' ? page : { ...page, lateMs: WRONG_TOKEN_DELAY_MS };
}

function bearerOf(authorization: string | undefined): string | undefined {
  if (authorization?.slice(0, BEARER.length).toLowerCase() !== BEARER) return undefined;
  return authorization.slice(BEARER.length).trim();
}

function offerOf(request: IncomingMessage): string | undefined {
  const offer = offeredSubprotocols(request).find((name) => name.startsWith(TOKEN_OFFER));
  if (offer === undefined) return undefined;
  return Buffer.from(offer.slice(TOKEN_OFFER.length), 'base64url').toString('utf8');
}
