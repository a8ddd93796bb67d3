/**
 * What a connection must pass before its first request is carried out: has it shown a token, if one
 * is wanted, and is there room for a session. It says what is to be answered; answering, and ending
 * the connection, is the conversation's.
 */
import type { Ref } from '../session/lock-record.ts';
import {
  isAdmitted,
  type Locality,
  MAX_UNAUTHENTICATED_BYTES,
  type Role,
  unauthorized,
  WRONG_TOKEN_DELAY_MS,
} from './auth.ts';
import type { Channel } from './channel.ts';
import type { ProtocolHost } from './conversation-host.ts';
import { DRAINING, HELLO_REFUSED, noMoreSessions, RequestError } from './errors.ts';
import type { Request } from './requests.ts';

/** Why a first request is not carried out. */
export interface Rejection {
  readonly error: RequestError;
  /** A stranger gets no second try: the connection ends with the answer. */
  readonly isFinal: boolean;
  /** Milliseconds until the answer is given, in which nothing else is looked at. */
  readonly delayMs: number;
}

export class Admission {
  readonly #host: ProtocolHost;
  readonly #client: string;
  readonly #locality: Locality;
  #role: Role;
  /** The last `hello` was refused, and none has been accepted since. */
  #isHelloRefused = false;

  /** @param standing what the client may do by a token that it has shown before, if it has */
  constructor(host: ProtocolHost, channel: Channel, role: Role | undefined) {
    this.#host = host;
    this.#client = channel.client;
    this.#locality = channel.locality;
    this.#role = role ?? host.auth.authenticate(undefined, channel.locality);
  }

  get isAdmitted(): boolean {
    return isAdmitted(this.#role);
  }

  get isAdmin(): boolean {
    return this.#role === 'admin';
  }

  /** Bytes that the next message may have: few, until a token is shown where one is wanted. */
  get maxMessageBytes(): number {
    const { maxMessageBytes } = this.#host.limits;
    return this.isAdmitted ? maxMessageBytes : Math.min(maxMessageBytes, MAX_UNAUTHENTICATED_BYTES);
  }

  /** The refusal of a line that is longer than that. */
  tooLong(): RequestError {
    const until = this.isAdmitted ? '' : ' until a token is shown';
    const message = `a line may have at most ${this.maxMessageBytes} bytes${until}; closing the connection`;
    return new RequestError('message_too_long', message);
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
    const { action } = request;
    const token = action === 'hello' ? request.token : undefined;
    const failure = this.checkToken(token);
    if (failure !== undefined) return failure;
    if (this.#isHelloRefused && action !== 'hello' && action !== 'bye') {
      return { error: HELLO_REFUSED, isFinal: false, delayMs: 0 };
    }
    return this.#checkCapacity(request);
  }

  /** What stands against a client that now shows `token`, or nothing more, whatever it asks for. */
  checkToken(token: string | undefined): Rejection | undefined {
    if (token !== undefined) this.#role = this.#host.auth.authenticate(token, this.#locality);
    const role = this.#role;
    if (isAdmitted(role)) return undefined;
    // Now, not with the answer: who guesses need not wait for that.
    this.#host.turnedAway(role, this.#client);
    const delayMs = role === 'wrong_token' ? WRONG_TOKEN_DELAY_MS : 0;
    return { error: unauthorized(role), isFinal: true, delayMs };
  }

  #checkCapacity(request: Request): Rejection | undefined {
    if (!needsNewSession(request)) return undefined;
    const { namespaces, limits, drain } = this.#host;
    if (drain.isOn) return { error: DRAINING, isFinal: false, delayMs: 0 };
    const code = namespaces.refuseSession(limits);
    if (code === undefined) return undefined;
    return { error: noMoreSessions(code, limits), isFinal: false, delayMs: 0 };
  }
}

/** Whether what comes first on a connection begins a session: all but a goodbye and a resume. */
function needsNewSession(request: Request): boolean {
  if (request.action === 'hello') return request.session === undefined;
  return request.action !== 'bye';
}

export function refOf(request: Request): Ref | undefined {
  return request.action === 'lock' ? request.terms.ref : request.ref;
}
