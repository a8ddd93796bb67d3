/**
 * The session protocol: many locks at a time, a `ref` on every request, and a mistake costs an
 * error reply, not the connection. Text in, text out; it knows no socket.
 *
 * Every request is answered in order of arrival, before the next one is looked at. What becomes of
 * a lock later is reported when it happens. What each action does is in actions/.
 */
import type { Timer } from '../runtime/clock.ts';
import { Heartbeat } from '../session/heartbeat.ts';
import type { SessionLock } from '../session/lock-record.ts';
import { Session } from '../session/session.ts';
import type { LockChange, Peer, SessionEnd, SessionSettings } from '../session/session-host.ts';
import { answer, type Request } from './actions/table.ts';
import { Admission, needsSession, type Rejection } from './admission.ts';
import type { Role } from './auth.ts';
import type { Channel, Conversation, EndReason, ProtocolHost } from './channel.ts';
import { decodeRequest, type InvalidRequest, isInvalid } from './decode.ts';
import {
  DRAINING,
  ERROR_CODES,
  LINE_CUT_OFF,
  noWayToBegin,
  RequestError,
  SESSION_EVICTED,
  SHUTTING_DOWN,
  silent,
  TAKEN_OVER,
} from './errors.ts';
import { fastDecode } from './fast-decode.ts';
import { COSTLY_LENGTH } from './fields.ts';
import { type PartialEnvelope, ReplyWriter } from './replies.ts';
import type { RequestContext, SessionWishes } from './requests.ts';
import { Watching } from './watching.ts';

/** The namespace of a client that doesn't say `hello`. */
export const DEFAULT_NAMESPACE = 'default';

/** What a session is like whose client doesn't say otherwise in its `hello`. */
export type SessionDefaults = Pick<SessionSettings, 'namespace' | 'abandonTimeoutMs'>;

export class SessionProtocol implements Conversation, Peer, RequestContext {
  readonly host: ProtocolHost;
  readonly channel: Channel;
  readonly replies: ReplyWriter;
  readonly #defaults: SessionDefaults;
  readonly #admission: Admission;
  #session: Session | undefined;
  /** Made for the first path that is watched. */
  #watching: Watching | undefined;
  #heartbeat: Heartbeat | undefined;
  /** The client has sent a JSON object, be it a good request or not. */
  #hasSpoken = false;
  /** The transport knows that the client may stay. */
  #isWelcome = false;
  /** Runs while a client that showed a wrong token waits for the answer. */
  #rejecting: Timer | undefined;
  #ended = false;

  /** @param role what the client may do by a token that it has shown before, if it has */
  constructor(host: ProtocolHost, channel: Channel, defaults?: SessionDefaults, role?: Role) {
    this.host = host;
    this.channel = channel;
    this.replies = new ReplyWriter(channel, host.counters);
    this.#admission = new Admission(host, channel, role);
    this.#defaults = defaults ?? {
      namespace: DEFAULT_NAMESPACE,
      abandonTimeoutMs: host.defaultAbandonTimeoutMs,
    };
  }

  /* What the transport calls. */

  receive(text: string): void {
    if (this.#ended) return;
    this.#heartbeat?.heard();
    if (text.length >= COSTLY_LENGTH) this.channel.yieldTurn();
    const { limits } = this.host;
    const decoded = fastDecode(text, limits) ?? decodeRequest(text, limits);
    if (isInvalid(decoded)) {
      this.#refuse(decoded);
    } else {
      this.#hasSpoken = true;
      this.#answer(decoded);
    }
    if (!this.#isWelcome) this.#welcome();
  }

  inputError(error: RequestError): void {
    if (this.#ended) return;
    this.#heartbeat?.heard();
    if (ERROR_CODES[error.code].endsConnection === 'yes') this.#endWith('bad_input', error);
    else this.#refuse({ error, action: undefined, ref: undefined, isHello: false });
  }

  inputEnded(): void {
    // A client that showed a wrong token still gets the answer.
    if (!this.#ended) this.end('goodbye');
  }

  onWritable(): void {
    this.#watching?.onWritable();
  }

  lost(): void {
    this.#ended = true;
    this.#rejecting?.cancel();
    this.#leave();
  }

  serverDraining(): void {
    // A client that is not admitted hears nothing but that.
    if (!this.#ended && this.#admission.isAdmitted) this.replies.notifyError(DRAINING);
  }

  shutDown(): void {
    if (this.#rejecting !== undefined) {
      this.#rejecting.cancel();
      this.channel.end('shutting_down');
    }
    this.#endWith('shutting_down', SHUTTING_DOWN);
  }

  /* What the session calls. */

  lockChanged(lock: SessionLock, change: LockChange): void {
    if (change === 'draining') this.replies.lockError(lock, DRAINING);
    else this.replies.lockChanged(lock, change);
  }

  sessionEnded(reason: SessionEnd): void {
    switch (reason) {
      case 'taken_over':
        this.#endWith('taken_over', TAKEN_OVER);
        break;
      case 'evicted':
        this.#endWith('evicted', SESSION_EVICTED);
        break;
      case 'draining':
        this.shutDown();
        this.#leave();
    }
  }

  /* What the actions call. */

  get isAdmin(): boolean {
    return this.#admission.isAdmin;
  }

  get begun(): Session | undefined {
    return this.#session;
  }

  get watching(): Watching {
    this.#watching ??= new Watching(this.channel, this.session().namespace);
    return this.#watching;
  }

  session(): Session {
    return this.#session ?? this.begin({});
  }

  begin({ namespace, abandonTimeoutMs, label, name }: SessionWishes): Session {
    const settings = {
      namespace: namespace ?? this.#defaults.namespace,
      abandonTimeoutMs: abandonTimeoutMs ?? this.#defaults.abandonTimeoutMs,
      client: this.channel.client,
      label,
      name,
    };
    this.#session = new Session(this.host, settings, this);
    return this.#session;
  }

  resume(name: string): Session | undefined {
    const session = this.host.registry.resumable(name);
    session?.resume(this, this.channel.client);
    this.#session = session;
    return session;
  }

  helloRefused(): void {
    this.#admission.helloRefused();
  }

  expectHeartbeat(heartbeatMs: number): void {
    this.#heartbeat = new Heartbeat(this.host.clock, heartbeatMs, () => {
      this.#endWith('silent', silent(heartbeatMs));
    });
  }

  end(reason: EndReason): void {
    this.#ended = true;
    this.channel.end(reason);
    // Not later, when the socket is gone: until then it could be granted what it waits for.
    if (reason !== 'shutting_down') this.#leave();
  }

  #answer(request: Request): void {
    if (this.#session === undefined) {
      const rejection = this.#admission.check(request);
      if (rejection !== undefined) {
        this.#reject(rejection, request);
        return;
      }
      if (needsSession(request)) this.begin({});
    }
    answer(this, request);
  }

  /** Says why the client can't begin, perhaps late, and perhaps as the last word. */
  #reject({ error, isFinal, delayMs }: Rejection, request: PartialEnvelope): void {
    if (request.action === 'hello') this.#admission.helloRefused();
    const say = (): void => {
      this.#rejecting = undefined;
      this.replies.error(request, error);
      if (isFinal) this.end('unauthorized');
    };
    if (delayMs === 0) {
      say();
      return;
    }
    this.#ended = true;
    this.#rejecting = this.host.clock.setTimer(delayMs, say);
  }

  #refuse(refused: InvalidRequest): void {
    const { error } = refused;
    this.#hasSpoken ||= ERROR_CODES[error.code].endsConnection !== 'only as the first message';
    // What begins with something else than a JSON object is no client of ours: perhaps a web page
    // that was made to post to this port. It gets no second try.
    if (this.#hasSpoken) this.#refuseRequest(refused);
    else this.#endWith('bad_input', error === LINE_CUT_OFF ? error : noWayToBegin(error));
  }

  #refuseRequest(refused: InvalidRequest): void {
    const { error, action, isHello, token } = refused;
    // With the session the client is admitted for good.
    const rejection = this.#session === undefined ? this.#admission.checkToken(token) : undefined;
    if (rejection === undefined) {
      if (isHello) this.#admission.helloRefused();
      this.replies.error(refused, error);
    } else if (action === 'hello' && token === undefined) {
      // Perhaps it meant to show a token; but there is no second try.
      const message = `${error.message}; closing the connection`;
      this.replies.error(refused, new RequestError(error.code, message));
      this.end('unauthorized');
    } else {
      this.#reject(rejection, refused);
    }
  }

  #welcome(): void {
    if (this.#ended || !this.#hasSpoken) return;
    this.#isWelcome = true;
    this.channel.admitted(this.host.limits.maxMessageBytes);
  }

  #endWith(reason: EndReason, error: RequestError): void {
    if (this.#ended) return;
    this.replies.notifyError(error);
    this.end(reason);
  }

  #leave(): void {
    this.#heartbeat?.stop();
    this.#watching?.stop();
    this.#session?.lose(this);
  }
}
