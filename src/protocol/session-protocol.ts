/**
 * The session protocol: many locks at a time, a `ref` on every request, and a mistake costs an
 * error reply, not the connection. Text in, text out; it knows no socket.
 *
 * Every request is answered in order of arrival, before the next one is looked at. What becomes of
 * a lock later is told when it happens.
 */
import type { Timer } from '../runtime/clock.ts';
import { Heartbeat } from '../session/heartbeat.ts';
import type { Ref, SessionLock } from '../session/lock-record.ts';
import { Session } from '../session/session.ts';
import type { Peer, SessionSettings } from '../session/session-host.ts';
import { Admission, type Rejection, refOf } from './admission.ts';
import { Answers } from './answers.ts';
import type { Role } from './auth.ts';
import { type Channel, COSTLY_LENGTH, type Conversation, type EndReason } from './channel.ts';
import type { ProtocolHost } from './conversation-host.ts';
import { decodeRequest, type InvalidRequest, isInvalid } from './decode.ts';
import {
  DRAINING,
  helloNotFirst,
  LINE_CUT_OFF,
  NO_SUCH_SESSION,
  noWayToBegin,
  RequestError,
  SESSION_EVICTED,
  SHUTTING_DOWN,
  silent,
  TAKEN_OVER,
  tooSlow,
} from './errors.ts';
import { answerEvict } from './eviction.ts';
import { fastDecode } from './fast-decode.ts';
import { answerLock, answerRelease } from './lock-requests.ts';
import { Onlooker } from './onlooker.ts';
import type { Action, EvictRequest, HelloRequest, Request } from './requests.ts';
import { helloFields } from './session-fields.ts';
import { stateOf } from './session-locks.ts';

/** Where a client goes that doesn't say `hello`. */
export const DEFAULT_NAMESPACE = 'default';

/** What a session is like whose client doesn't say otherwise in its `hello`. */
export type SessionDefaults = Pick<SessionSettings, 'namespace' | 'abandonTimeoutMs'>;

export class SessionProtocol implements Conversation, Peer {
  readonly #host: ProtocolHost;
  readonly #channel: Channel;
  readonly #answers: Answers;
  readonly #defaults: SessionDefaults;
  #session: Session | undefined;
  readonly #onlooker: Onlooker;
  #heartbeat: Heartbeat | undefined;
  #hasSpoken = false;
  readonly #admission: Admission;
  /** Runs while somebody who showed a wrong token waits for the answer. */
  #turningAway: Timer | undefined;
  #ended = false;

  /** @param standing what the client may do by a token that it has shown before, if it has */
  constructor(host: ProtocolHost, channel: Channel, defaults?: SessionDefaults, role?: Role) {
    this.#host = host;
    this.#channel = channel;
    this.#answers = new Answers(channel, host.counters);
    this.#admission = new Admission(host, channel, role);
    this.#onlooker = new Onlooker(host, channel, this.#answers);
    this.#defaults = defaults ?? {
      namespace: DEFAULT_NAMESPACE,
      abandonTimeoutMs: host.defaultAbandonTimeoutMs,
    };
  }

  receive(text: string): void {
    if (this.#ended) return;
    this.#heartbeat?.heard();
    if (text.length >= COSTLY_LENGTH) this.#channel.yieldTurn();
    const { limits } = this.#host;
    const decoded = fastDecode(text, limits) ?? decodeRequest(text, limits);
    if (isInvalid(decoded)) {
      this.#refuse(decoded);
    } else {
      this.#hasSpoken = true;
      this.#answer(decoded);
    }
  }

  receiveGarbage(error: RequestError): void {
    if (this.#ended) return;
    this.#heartbeat?.heard();
    this.#refuse({ error, action: undefined, ref: undefined });
  }

  /** Bytes that the next message may have: few, until the client has shown a token if one is wanted. */
  get maxMessageBytes(): number {
    return this.#admission.maxMessageBytes;
  }

  /** A message that is longer than that, so that it can't be told from the next: says so, and ends. */
  tooLong(): void {
    this.#endWith('bad_input', this.#admission.tooLong());
  }

  /** Whether the client has sent a JSON object, be it a good request or not. */
  get hasSpoken(): boolean {
    return this.#hasSpoken;
  }

  /**
   * The time for a first message is over.
   *
   * @param ms milliseconds that it was
   * @param isInLine whether a line has begun that has no end
   */
  firstMessageIsDue(ms = this.#host.limits.firstMessageMs, isInLine = false): void {
    this.#endWith('bad_input', tooSlow(ms, isInLine));
  }

  /** The client has ended its side in the midst of a line; `lost` follows. */
  lineCutOff(): void {
    if (!this.#ended) this.#answers.error(undefined, undefined, LINE_CUT_OFF);
  }

  acquired(lock: SessionLock): void {
    this.#answers.lock(lock, 'acquired');
  }

  timedOut(lock: SessionLock): void {
    this.#answers.lock(lock, 'timeout');
  }

  expired(lock: SessionLock): void {
    this.#answers.lock(lock, 'expired');
  }

  turnedAway(lock: SessionLock): void {
    this.#answers.lockError(lock, DRAINING);
  }

  dismissed(): void {
    this.shutDown();
    this.#leave();
  }

  lockEvicted(lock: SessionLock): void {
    this.#answers.lock(lock, 'evicted');
  }

  sessionEvicted(): void {
    this.#endWith('evicted', SESSION_EVICTED);
  }

  takenOver(): void {
    this.#endWith('taken_over', TAKEN_OVER);
  }

  onWritable(): void {
    this.#onlooker.onWritable();
  }

  lost(): void {
    this.#ended = true;
    this.#turningAway?.cancel();
    this.#leave();
  }

  serverDraining(): void {
    // A stranger hears nothing but that it is one.
    if (!this.#ended && this.#admission.isAdmitted)
      this.#answers.error(undefined, undefined, DRAINING);
  }

  shutDown(): void {
    if (this.#turningAway !== undefined) {
      this.#turningAway.cancel();
      this.#channel.end('shutting_down');
    }
    this.#endWith('shutting_down', SHUTTING_DOWN);
  }

  #answer(request: Request): void {
    const rejection = this.#session === undefined ? this.#admission.check(request) : undefined;
    if (rejection !== undefined) {
      this.#turnAway(rejection, request.action, refOf(request));
      return;
    }
    switch (request.action) {
      case 'lock':
        answerLock(this.#current(), request, this.#host.limits, this.#channel, this.#answers);
        break;
      case 'release':
        answerRelease(this.#current(), request, this.#answers);
        break;
      case 'hello':
        this.#hello(request);
        break;
      case 'bye':
        this.#answers.fields('bye', request.ref, {});
        this.#session?.end();
        this.#end('goodbye');
        break;
      case 'evict':
        this.#evict(request);
        break;
      default:
        this.#onlooker.answer(request, this.#current().namespace);
    }
  }

  #evict(request: EvictRequest): void {
    const { namespace } = this.#current();
    const { isAdmin } = this.#admission;
    answerEvict(request, namespace, isAdmin, this.#host, this.#channel, this.#answers);
  }

  /** Says why it can't come in, perhaps late, and perhaps as the last word. */
  #turnAway(rejection: Rejection, action: Action | undefined, ref: Ref | undefined): void {
    const { error, isFinal, delayMs } = rejection;
    if (action === 'hello') this.#admission.helloRefused();
    const say = (): void => {
      this.#turningAway = undefined;
      this.#answers.error(action, ref, error);
      if (isFinal) this.#end('unauthorized');
    };
    if (delayMs === 0) {
      say();
      return;
    }
    this.#ended = true;
    this.#channel.stopListening();
    this.#turningAway = this.#host.clock.setTimer(delayMs, say);
  }

  #hello(request: HelloRequest): void {
    if (this.#session !== undefined) {
      const { name } = this.#session.namespace;
      this.#answers.error('hello', request.ref, helloNotFirst(name));
      return;
    }
    const session =
      request.session === undefined ? this.#begin(request) : this.#resume(request.session);
    if (session === undefined) {
      this.#admission.helloRefused();
      this.#answers.error('hello', request.ref, NO_SUCH_SESSION);
      return;
    }
    this.#promise(request.heartbeatMs);
    const fields = helloFields(session, request, this.#host.limits);
    this.#answers.fields('hello', request.ref, fields);
    if (request.session === undefined) return;
    for (const lock of session.locks) this.#answers.lock(lock, stateOf(lock));
    // Whoever comes back may have missed that.
    if (this.#host.drain.isOn) this.serverDraining();
  }

  #begin({ namespace, abandonTimeoutMs, label }: HelloRequest): Session {
    return this.#open({
      namespace: namespace ?? this.#defaults.namespace,
      abandonTimeoutMs: abandonTimeoutMs ?? this.#defaults.abandonTimeoutMs,
      label,
      name: this.#host.newName(),
    });
  }

  #resume(name: string): Session | undefined {
    const session = this.#host.resumable.get(name);
    session?.resume(this, this.#channel.client);
    this.#session = session;
    return session;
  }

  /** From here on the client must be heard at least every `heartbeatMs` milliseconds. */
  #promise(heartbeatMs: number | undefined): void {
    if (heartbeatMs === undefined) return;
    this.#heartbeat = new Heartbeat(this.#host.clock, heartbeatMs, () => {
      this.#endWith('silent', silent(heartbeatMs));
    });
  }

  #refuse(refused: InvalidRequest): void {
    const { error } = refused;
    this.#hasSpoken ||= !NOT_A_MESSAGE.has(error.code);
    if (this.#hasSpoken) {
      this.#rejectMessage(refused);
      return;
    }
    // What begins with something else than a JSON object is no client of ours: perhaps a web page
    // that was made to post to this port. It gets no second try.
    this.#endWith('bad_input', noWayToBegin(error));
  }

  #rejectMessage({ error, action, ref, token }: InvalidRequest): void {
    // Once in, nobody is judged any more.
    const rejection = this.#session === undefined ? this.#admission.checkToken(token) : undefined;
    if (rejection === undefined) {
      if (action === 'hello') this.#admission.helloRefused();
      this.#answers.error(action, ref, error);
    } else if (action === 'hello' && token === undefined) {
      // Perhaps it meant to show a token; but there is no second try.
      const message = `${error.message}; closing the connection`;
      this.#answers.error(action, ref, new RequestError(error.code, message));
      this.#end('unauthorized');
    } else {
      this.#turnAway(rejection, action, ref);
    }
  }

  #current(): Session {
    return this.#session ?? this.#open(this.#defaults);
  }

  #open(settings: Omit<SessionSettings, 'client'>): Session {
    const { client } = this.#channel;
    this.#session = new Session(this.#host, { ...settings, client }, this);
    return this.#session;
  }

  #endWith(reason: EndReason, error: RequestError): void {
    if (this.#ended) return;
    this.#answers.error(undefined, undefined, error);
    this.#end(reason);
  }

  #end(reason: EndReason): void {
    this.#ended = true;
    this.#channel.end(reason);
    // Not later, when the socket is gone: until then it could be granted what it waits for.
    if (reason !== 'shutting_down') this.#leave();
  }

  #leave(): void {
    this.#heartbeat?.stop();
    this.#onlooker.stop();
    this.#session?.lose(this);
  }
}

const NOT_A_MESSAGE: ReadonlySet<string> = new Set(['bad_json', 'bad_utf8']);
