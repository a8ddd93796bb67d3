/**
 * What a connection must pass before its first request is carried out: has it shown a token, if one
 * is wanted, and is there room for a session. It says what is to be answered; answering, and ending
 * the connection, is the conversation's.
 */
import type { Ref } from '../session/lock-record.ts';
import {
  type Locality,
  MAX_STRANGER_BYTES,
  mayEnter,
  type Standing,
  unauthorized,
  WRONG_TOKEN_DELAY_MS,
} from './auth.ts';
import type { Channel } from './channel.ts';
import type { ConversationHost } from './conversation-host.ts';
import { DRAINING, HELLO_REFUSED, noMoreSessions, Refusal } from './errors.ts';
import type { Request } from './requests.ts';

/** Why a first request is not carried out. */
export interface NoEntry {
  readonly refusal: Refusal;
  /** A stranger gets no second try: the connection ends with the answer. */
  readonly isFinal: boolean;
  /** Milliseconds until the answer is given, in which nothing else is looked at. */
  readonly delayMs: number;
}

export class Entry {
  readonly #host: ConversationHost;
  readonly #client: string;
  readonly #locality: Locality;
  #standing: Standing;
  /** The last `hello` was refused, and none has been accepted since. */
  #isHelloRefused = false;

  /** @param standing what the client may do by a token that it has shown before, if it has */
  constructor(host: ConversationHost, channel: Channel, standing: Standing | undefined) {
    this.#host = host;
    this.#client = channel.client;
    this.#locality = channel.locality;
    this.#standing = standing ?? host.access.judge(undefined, channel.locality);
  }

  get mayEnter(): boolean {
    return mayEnter(this.#standing);
  }

  get isAdmin(): boolean {
    return this.#standing === 'admin';
  }

  /** Bytes that the next message may have: few, until a token is shown where one is wanted. */
  get maxMessageBytes(): number {
    const { maxMessageBytes } = this.#host.limits;
    return this.mayEnter ? maxMessageBytes : Math.min(maxMessageBytes, MAX_STRANGER_BYTES);
  }

  /** The refusal of a line that is longer than that. */
  tooLong(): Refusal {
    const until = this.mayEnter ? '' : ' until a token is shown';
    const message = `a line may have at most ${this.maxMessageBytes} bytes${until}; closing the connection`;
    return new Refusal('message_too_long', message);
  }

  /**
   * A `hello` was refused, for whatever reason. The client may have sent more behind it, which it
   * means for the session that it asked for: that must not run in another one.
   */
  helloRefused(): void {
    this.#isHelloRefused = true;
  }

  /** What stands against `request`, which would be the first of a session. */
  judge(request: Request): NoEntry | undefined {
    const { action } = request;
    const token = action === 'hello' ? request.token : undefined;
    const stranger = this.judgeStranger(token);
    if (stranger !== undefined) return stranger;
    if (this.#isHelloRefused && action !== 'hello' && action !== 'bye') {
      return { refusal: HELLO_REFUSED, isFinal: false, delayMs: 0 };
    }
    return this.#judgeRoom(request);
  }

  /** What stands against a client that now shows `token`, or nothing more, whatever it asks for. */
  judgeStranger(token: string | undefined): NoEntry | undefined {
    if (token !== undefined) this.#standing = this.#host.access.judge(token, this.#locality);
    const standing = this.#standing;
    if (mayEnter(standing)) return undefined;
    // Now, not with the answer: who guesses need not wait for that.
    this.#host.turnedAway(standing, this.#client);
    const delayMs = standing === 'wrong_token' ? WRONG_TOKEN_DELAY_MS : 0;
    return { refusal: unauthorized(standing), isFinal: true, delayMs };
  }

  #judgeRoom(request: Request): NoEntry | undefined {
    if (!needsNewSession(request)) return undefined;
    const { namespaces, limits, drain } = this.#host;
    if (drain.isOn) return { refusal: DRAINING, isFinal: false, delayMs: 0 };
    const code = namespaces.refuseSession(limits);
    if (code === undefined) return undefined;
    return { refusal: noMoreSessions(code, limits), isFinal: false, delayMs: 0 };
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
