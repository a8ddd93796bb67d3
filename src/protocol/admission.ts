/**
 * The checks before the first request of a connection: is the client authenticated, and is there
 * capacity for a session? This file decides the answer; the conversation sends it and ends the
 * connection.
 */
import type { Limits } from '../runtime/limits.ts';
import type { Request } from './actions/table.ts';
import {
  type Auth,
  type Authentication,
  type Locality,
  MAX_UNAUTHENTICATED_BYTES,
  type Role,
  unauthorized,
  WRONG_TOKEN_DELAY_MS,
} from './auth.ts';
import type { Channel, ProtocolHost } from './channel.ts';
import { DRAINING, HELLO_REFUSED, noMoreSessions, type RequestError } from './errors.ts';

/** Why a first request is not carried out. */
export interface Rejection {
  readonly error: RequestError;
  /** The connection ends with the answer, so that a token can't be tried again on it. */
  readonly isFinal: boolean;
  /** Milliseconds before the answer, during which no further input is processed. */
  readonly delayMs: number;
}

export class Admission {
  readonly #host: ProtocolHost;
  readonly #client: string;
  readonly #locality: Locality;
  #authentication: Authentication;
  /** The last `hello` was refused, and none has been accepted since. */
  #isHelloRefused = false;

  /** @param role the role from a token checked earlier, such as in a handshake */
  constructor(host: ProtocolHost, { client, locality }: Channel, role: Role = 'none') {
    this.#host = host;
    this.#client = client;
    this.#locality = locality;
    this.#authentication = role === 'none' ? host.auth.authenticate(undefined, locality) : { role };
  }

  get isAdmitted(): boolean {
    return this.#authentication.role !== 'none';
  }

  get isAdmin(): boolean {
    return this.#authentication.role === 'admin';
  }

  /**
   * A `hello` was refused, for any reason. The client may have sent requests behind it for the
   * session that it asked for: these must not run in another session.
   */
  helloRefused(): void {
    this.#isHelloRefused = true;
  }

  /** Why `request`, the first of a session, must be rejected; undefined if it is accepted. */
  check(request: Request): Rejection | undefined {
    const token = request.action === 'hello' ? request.token : undefined;
    const failure = this.checkToken(token);
    if (failure !== undefined) return failure;
    if (this.#isHelloRefused && needsSession(request)) {
      return { error: HELLO_REFUSED, isFinal: false, delayMs: 0 };
    }
    return this.#checkCapacity(request);
  }

  /** Authenticates by `token` if there is one; the rejection if the client still has no role. */
  checkToken(token: string | undefined): Rejection | undefined {
    if (token !== undefined) {
      this.#authentication = this.#host.auth.authenticate(token, this.#locality);
    }
    const authentication = this.#authentication;
    if (authentication.role !== 'none') return undefined;
    const { failure } = authentication;
    // Counted now, not with the answer: a client that guesses may close before the delay is over.
    this.#host.authFailed(failure, this.#client);
    const delayMs = failure === 'wrong_token' ? WRONG_TOKEN_DELAY_MS : 0;
    return { error: unauthorized(failure), isFinal: true, delayMs };
  }

  #checkCapacity(request: Request): Rejection | undefined {
    const isResumed = request.action === 'hello' && request.session !== undefined;
    if (request.action === 'bye' || isResumed) return undefined;
    const { registry, limits } = this.#host;
    // An administrator may still look for what holds the drain up, and evict it.
    if (registry.isDraining && !this.isAdmin) {
      return { error: DRAINING, isFinal: false, delayMs: 0 };
    }
    const code = registry.refuseSession(limits);
    if (code === undefined) return undefined;
    return { error: noMoreSessions(code, limits), isFinal: false, delayMs: 0 };
  }
}

/** Whether `request` begins a default session if none has begun; `hello` begins its own. */
export function needsSession({ action }: Request): boolean {
  return action !== 'hello' && action !== 'bye';
}

/** Most bytes in the first line: fewer if a token is required. */
export function maxFirstMessageBytes(auth: Auth, { maxMessageBytes }: Limits): number {
  return auth.needsToken ? Math.min(maxMessageBytes, MAX_UNAUTHENTICATED_BYTES) : maxMessageBytes;
}
