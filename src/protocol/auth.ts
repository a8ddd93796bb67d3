/**
 * Authentication: gives a connection its role, by the token it sent and by where it comes from, and
 * by nothing else. An administrator may evict the locks and sessions of other clients.
 *
 *                          no token sent           token sent
 *     no tokens at all     client; admin if local  the same: the token is ignored
 *     client tokens only   no_token                client; admin by Unix socket; else wrong_token
 *     admin tokens too     no_token                client or admin; else wrong_token
 *     admin tokens only    client                  admin; else wrong_token
 *
 * Tokens are kept as digests. Each is compared in constant time, and none is skipped: the time of
 * an answer says nothing about how much of a guess was right.
 */
import type { Buffer } from 'node:buffer';
import { createHash, timingSafeEqual } from 'node:crypto';
import { RequestError } from './errors.ts';

/** What a connection may do. An admin may do all that a client may. */
export type Role = 'none' | 'client' | 'admin';

/** A role or, for `none`, the reason. */
export type Authentication =
  | { readonly role: 'client' | 'admin' }
  | { readonly role: 'none'; readonly failure: AuthFailure };

/**
 * Where a connection comes from: a Unix socket, a loopback address, or elsewhere. HTTP that was
 * forwarded by a proxy is remote, wherever the proxy runs.
 */
export type Locality = 'unix' | 'loopback' | 'remote';

/** Why a connection has no role. */
export type AuthFailure = 'no_token' | 'wrong_token';

/** The tokens that the server accepts. An admin token is also a client token. */
export interface Tokens {
  /** If empty, every connection is a client. */
  readonly client: readonly string[];
  /**
   * If empty, local clients are administrators; with client tokens, only those on a Unix socket.
   */
  readonly admin: readonly string[];
}

export const MIN_TOKEN_LENGTH = 16;
export const MAX_TOKEN_LENGTH = 256;

/** Milliseconds between a wrong token and the answer, which slows down guessing. */
export const WRONG_TOKEN_DELAY_MS = 1000;

/**
 * Most bytes in the first line if a token is required. Enough for a hello that escapes every
 * character (the head of an HTTP request has the same limit), and so few that unfinished lines cost
 * next to nothing.
 */
export const MAX_UNAUTHENTICATED_BYTES = 16 * 1024;

/** What is wrong with a configured token, as the end of a sentence that never quotes the token. */
export function tokenFault(token: string): string | undefined {
  if (token.startsWith('#')) return 'must not begin with #, as comments in a token file do';
  for (let i = 0; i < token.length; i++) {
    const code = token.charCodeAt(i);
    if (code <= 0x20 || code >= 0x7f) return 'must consist of printable ASCII without blanks';
  }
  if (token.length >= MIN_TOKEN_LENGTH && token.length <= MAX_TOKEN_LENGTH) return undefined;
  return `must have ${MIN_TOKEN_LENGTH} to ${MAX_TOKEN_LENGTH} characters, not ${token.length}`;
}

const BY_HELLO = 'send hello with a token first, as {"action":"hello","token":"..."}';

/**
 * The answer of the session protocol to a connection without a role.
 *
 * @param remedy what to do about it
 */
export function unauthorized(failure: AuthFailure, remedy = BY_HELLO): RequestError {
  const what = failure === 'no_token' ? 'authentication required' : 'invalid token';
  return new RequestError('unauthorized', `${what}: ${remedy}; closing the connection`);
}

const CLIENT: Authentication = { role: 'client' };
const ADMIN: Authentication = { role: 'admin' };
const NO_TOKEN: Authentication = { role: 'none', failure: 'no_token' };
const WRONG_TOKEN: Authentication = { role: 'none', failure: 'wrong_token' };

export class Auth {
  #client: readonly Buffer[];
  #admin: readonly Buffer[];

  constructor(tokens: Tokens) {
    this.#client = digestsOf(tokens.client);
    this.#admin = digestsOf(tokens.admin);
  }

  /** Replaces all tokens. Connections that have a role keep it. */
  replace(tokens: Tokens): void {
    const client = digestsOf(tokens.client);
    this.#admin = digestsOf(tokens.admin);
    this.#client = client;
  }

  /** Whether a connection without a token has no role. */
  get needsToken(): boolean {
    return this.#client.length > 0;
  }

  /**
   * @param token the token that the client sent, if any
   * @param locality where the connection comes from
   */
  authenticate(token: string | undefined, locality: Locality): Authentication {
    const asLocal = this.#trusts(locality) ? ADMIN : CLIENT;
    if (token === undefined) return this.needsToken ? NO_TOKEN : asLocal;
    if (!this.needsToken && this.#admin.length === 0) return asLocal;
    const digest = digestOf(token);
    const isAdmin = hasEqual(this.#admin, digest);
    const isClient = hasEqual(this.#client, digest);
    if (isAdmin) return ADMIN;
    return isClient ? asLocal : WRONG_TOKEN;
  }

  /** Says that a request is for administrators, and how to become one. */
  get forbiddenMessage(): string {
    if (this.#admin.length > 0) return 'administrators only: send hello with an admin token';
    const where = this.needsToken ? 'by a Unix socket' : 'from the machine of the server';
    return `administrators only: connect ${where}, not through a proxy, or start the server with --admin-token-file`;
  }

  /** Whether connections from `locality` are administrators without an admin token. */
  #trusts(locality: Locality): boolean {
    if (this.#admin.length > 0) return false;
    return locality === 'unix' || (locality === 'loopback' && !this.needsToken);
  }
}

function digestsOf(tokens: readonly string[]): Buffer[] {
  for (const token of tokens) {
    const fault = tokenFault(token);
    if (fault !== undefined) throw new RangeError(`a token ${fault}`);
  }
  return tokens.map(digestOf);
}

function digestOf(token: string): Buffer {
  return createHash('sha256').update(token, 'utf8').digest();
}

/** Compares with every digest, even after a match: see the top of the file. */
function hasEqual(digests: readonly Buffer[], digest: Buffer): boolean {
  let isFound = false;
  for (const known of digests) isFound = timingSafeEqual(known, digest) || isFound;
  return isFound;
}
