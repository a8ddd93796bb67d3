/**
 * Extracts the token of an HTTP request or a WebSocket handshake. It can be in three places:
 *
 *     Authorization: Bearer TOKEN               programs
 *     ?token=TOKEN                              browsers, which can't set headers on a WebSocket
 *     Sec-WebSocket-Protocol: locktopus, locktopus.bearer.BASE64URL
 *                                               browsers, to keep the token out of the URL
 *
 * Header first, then the subprotocol, then the query. A token never appears in a response or a log.
 */
import { Buffer } from 'node:buffer';
import type { IncomingMessage } from 'node:http';
import { type AuthFailure, WRONG_TOKEN_DELAY_MS } from '../../protocol/auth.ts';
import { offeredSubprotocols } from '../websocket/handshake.ts';
import { type Page, parameterRepeated, sentence } from './pages.ts';
import { headerCount } from './request.ts';

/** The only subprotocol the server accepts. A browser disconnects if none it offers is accepted. */
const SUBPROTOCOL = 'locktopus';
/** Prefix of an offered subprotocol that only carries a token. */
const TOKEN_OFFER = 'locktopus.bearer.';
const BEARER = 'bearer ';

/** The error page for a request with several tokens in one place: it is not clear which one counts. */
export function tokenRepeated(request: IncomingMessage, url: URL): Page | undefined {
  if (headerCount(request, 'authorization') > 1) {
    return sentence(400, 'More than one Authorization header: send one.');
  }
  if (offeredSubprotocols(request).filter(isTokenOffer).length > 1) {
    return sentence(400, `More than one token among the subprotocols: offer one ${TOKEN_OFFER}...`);
  }
  return parameterRepeated(url, ['token']);
}

/** The token that the request carries, unchecked; undefined if there is none. */
export function tokenIn(request: IncomingMessage, query: URLSearchParams): string | undefined {
  return (
    bearerOf(request.headers.authorization) ?? offerOf(request) ?? query.get('token') ?? undefined
  );
}

/** The subprotocol to accept; undefined if the client does not offer it. */
export function chosenSubprotocol(request: IncomingMessage): string | undefined {
  return offeredSubprotocols(request).includes(SUBPROTOCOL) ? SUBPROTOCOL : undefined;
}

export function unauthorizedPage(failure: AuthFailure): Page {
  const what =
    failure === 'no_token'
      ? 'Authentication required: send a token'
      : 'Invalid token: send a valid one';
  const page = sentence(
    401,
    `${what} as "Authorization: Bearer TOKEN", or as ?token=TOKEN where headers can't be set.`,
    { 'WWW-Authenticate': 'Bearer' },
  );
  return failure === 'no_token' ? page : { ...page, lateMs: WRONG_TOKEN_DELAY_MS };
}

function isTokenOffer(name: string): boolean {
  return name.startsWith(TOKEN_OFFER);
}

function bearerOf(authorization: string | undefined): string | undefined {
  if (authorization?.slice(0, BEARER.length).toLowerCase() !== BEARER) return undefined;
  return authorization.slice(BEARER.length).trim();
}

function offerOf(request: IncomingMessage): string | undefined {
  const offer = offeredSubprotocols(request).find(isTokenOffer);
  if (offer === undefined) return undefined;
  return Buffer.from(offer.slice(TOKEN_OFFER.length), 'base64url').toString('utf8');
}
