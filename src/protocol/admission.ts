/**
 * What a connection must pass before its first request is carried out: has it shown a token, if one
 * is wanted, and is there capacity for a session. It says what is to be answered; answering, and ending
 * the connection, is the conversation's.
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
  /** A client without a token gets no second try: the connection ends with the answer. */
  readonly isFinal: boolean;
  /** Milliseconds until the answer is given, in which nothing else is looked at. */
  readonly delayMs: number;
}

export class Admission {
  readonly #host: ProtocolHost;
  readonly #client: string;
  readonly #locality: Locality;
  #authentication: Authentication;
  /** The last `hello` was refused, and none has been accepted since. */
  #isHelloRefused = false;

  /** @param role what the client may do by a token that it has shown before, if it has */
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
   * A `hello` was refused, for whatever reason. The client may have sent more behind it, which it
   * means for the session that it asked for: that must not run in another one.
   */
  helloRefused(): void {
    this.#isHelloRefused = true;
  }

  /** What stands against `request`, which would be the first of a session. */
  check(request: Request): Rejection | undefined {
    const token = request.action === 'hello' ? request.token : undefined;
    const failure = this.checkToken(token);
    if (failure !== undefined) return failure;
    if (this.#isHelloRefused && needsSession(request)) {
      return { error: HELLO_REFUSED, isFinal: false, delayMs: 0 };
    }
    return this.#checkCapacity(request);
  }

  /** What stands against a client that now shows `token`, or nothing more, whatever it asks for. */
  checkToken(token: string | undefined): Rejection | undefined {
    if (token !== undefined) {
      this.#authentication = this.#host.auth.authenticate(token, this.#locality);
    }
    const authentication = this.#authentication;
    if (authentication.role !== 'none') return undefined;
    const { failure } = authentication;
    // Now, not with the answer: a client that guesses may not wait for that.
    this.#host.authFailed(failure, this.#client);
    const delayMs = failure === 'wrong_token' ? WRONG_TOKEN_DELAY_MS : 0;
    return { error: unauthorized(failure), isFinal: true, delayMs };
  }

  #checkCapacity(request: Request): Rejection | undefined {
    const isResumed = request.action === 'hello' && request.session !== undefined;
    if (request.action === 'bye' || isResumed) return undefined;
    const { registry, limits } = this.#host;
    if (registry.isDraining) return { error: DRAINING, isFinal: false, delayMs: 0 };
    const code = registry.refuseSession(limits);
    if (code === undefined) return undefined;
    return { error: noMoreSessions(code, limits), isFinal: false, delayMs: 0 };
  }
}

/** Whether a session begins with `request` if there is none: `hello` begins its own, `bye` none. */
export function needsSession({ action }: Request): boolean {
  return action !== 'hello' && action !== 'bye';
}

/** Bytes that the first message on lines may have: few where a token is wanted. */
export function maxFirstMessageBytes(auth: Auth, { maxMessageBytes }: Limits): number {
  return auth.needsToken ? Math.min(maxMessageBytes, MAX_UNAUTHENTICATED_BYTES) : maxMessageBytes;
}
