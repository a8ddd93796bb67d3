/**
 * Who is a client, and who an administrator, who may touch the locks of others. Decided by the token
 * that was shown and by where the connection comes from; nothing else is looked at.
 *
 *                          no token shown          token shown
 *     no tokens at all     client; admin if local  the same: it is not looked at
 *     client tokens only   no_token                client; admin by Unix socket; else wrong_token
 *     admin tokens too     no_token                client or admin; else wrong_token
 *     admin tokens only    client                  admin; else wrong_token
 *
 * Tokens are kept as digests, and all of them are compared in constant time: how long an answer
 * takes says nothing about how much of a guess was right.
 */
import type { Buffer } from 'node:buffer';
import { createHash, timingSafeEqual } from 'node:crypto';
import { RequestError } from './errors.ts';

/** What a connection may do: nothing, what a client may, or what an administrator may as well. */
export type Role = 'none' | 'client' | 'admin';

/** A role, and why it is none. */
export type Authentication =
  | { readonly role: 'client' | 'admin' }
  | { readonly role: 'none'; readonly failure: AuthFailure };

/**
 * Where a client is, as far as one can see: it came by a Unix socket, from a loopback address, or from
 * elsewhere. What came through a proxy is from elsewhere, wherever the proxy is.
 */
export type Locality = 'unix' | 'loopback' | 'remote';

/** Why a connection has no role. */
export type AuthFailure = 'no_token' | 'wrong_token';

/** A connection that shows one of these has a role; an admin token is a client token, too. */
export interface Tokens {
  /** None, and every connection is a client. */
  readonly client: readonly string[];
  /** None, and clients of this machine are administrators; with client tokens by Unix socket only. */
  readonly admin: readonly string[];
}

export const MIN_TOKEN_LENGTH = 16;
export const MAX_TOKEN_LENGTH = 256;

/** Milliseconds between a wrong token and the answer: guessing must not be quick. */
export const WRONG_TOKEN_DELAY_MS = 1000;

/**
 * Bytes in the first line where a token is wanted: room for a hello that spells everything by escapes,
 * as with the head of an HTTP request; and little enough that connections that never end theirs cost
 * next to nothing.
 */
export const MAX_UNAUTHENTICATED_BYTES = 16 * 1024;

/** What is wrong with a token that is to be accepted, as the end of a sentence. Never the token. */
export function tokenFault(token: string): string | undefined {
  if (token.startsWith('#')) return 'must not begin with #, as comments in a token file do';
  for (let i = 0; i < token.length; i++) {
    const code = token.charCodeAt(i);
    if (code <= 0x20 || code >= 0x7f) return 'must consist of printable ASCII without blanks';
  }
  if (token.length >= MIN_TOKEN_LENGTH && token.length <= MAX_TOKEN_LENGTH) return undefined;
  return `must have ${MIN_TOKEN_LENGTH} to ${MAX_TOKEN_LENGTH} characters, not ${token.length}`;
}

/** What a connection without a role is told in the session protocol. */
export function unauthorized(failure: AuthFailure): RequestError {
  const what = failure === 'no_token' ? 'this server wants a token' : 'this token is not known';
  return new RequestError(
    'unauthorized',
    `${what}: begin with {"action":"hello","token":"..."}; closing the connection`,
  );
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

  /** Other tokens from now on. Who has a role keeps it. */
  replace(tokens: Tokens): void {
    const client = digestsOf(tokens.client);
    this.#admin = digestsOf(tokens.admin);
    this.#client = client;
  }

  /** Whether there are no clients without a token. */
  get needsToken(): boolean {
    return this.#client.length > 0;
  }

  /**
   * @param token what was shown, if anything
   * @param locality where it comes from
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

  /** Why a client is no administrator, and what would make it one. */
  get forbiddenMessage(): string {
    if (this.#admin.length > 0) return 'this is for administrators: say hello with an admin token';
    const where = this.needsToken ? 'by a Unix socket' : 'from the machine of the server';
    return `this is for administrators: connect ${where}, not through a proxy, or start it with --admin-token-file`;
  }

  /** Whether clients that come from there are administrators without a token for that. */
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

/** Looks at all of them, found or not. */
function hasEqual(digests: readonly Buffer[], digest: Buffer): boolean {
  let isFound = false;
  for (const known of digests) isFound = timingSafeEqual(known, digest) || isFound;
  return isFound;
}
