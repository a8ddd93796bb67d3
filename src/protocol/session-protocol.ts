/**
 * The session protocol on one connection: admits the client, begins or resumes its session,
 * dispatches its requests to actions/, and notifies it of changes to its locks. Messages in, text out;
 * it knows no socket.
 *
 * Invariant: requests are answered in order of arrival, each before the next one is received. An
 * invalid request costs an error reply, not the connection, unless the connection has not sent a
 * JSON object yet or needs a token.
 */
import type { Timer } from '../runtime/clock.ts';
import type { Message } from '../runtime/message.ts';
import { Heartbeat } from '../session/heartbeat.ts';
import type { SessionLock } from '../session/lock-record.ts';
import { Session } from '../session/session.ts';
import type { LockChange, Peer, SessionEnd, SessionSettings } from '../session/session-host.ts';
import { keyOfName } from '../session/session-key.ts';
import { ACTIONS, answer, type Request } from './actions/table.ts';
import { Admission, needsSession, type Rejection } from './admission.ts';
import type { Role } from './auth.ts';
import type { Channel, Conversation, EndReason, ProtocolHost } from './channel.ts';
import { decodeRequest, type InvalidRequest, isInvalid } from './decode.ts';
import {
  DRAINING,
  ERROR_CODES,
  LINE_CUT_OFF,
  noWayToBegin,
  RESTARTING,
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

/** Settings of a session whose client chooses none in `hello`. */
export type SessionDefaults = Pick<SessionSettings, 'namespace' | 'abandonTimeoutMs'>;

export class SessionProtocol implements Conversation, Peer, RequestContext {
  readonly host: ProtocolHost;
  readonly channel: Channel;
  readonly replies: ReplyWriter;
  readonly #defaults: SessionDefaults;
  readonly #admission: Admission;
  #session: Session | undefined;
  /** Made for the first watched path. */
  #watching: Watching | undefined;
  #heartbeat: Heartbeat | undefined;
  /** The client has sent a JSON object, valid as a request or not. */
  #hasSpoken = false;
  /** `Channel.admitted` has been called. */
  #isAdmitted = false;
  /** Delays the answer to a wrong token. */
  #rejecting: Timer | undefined;
  #ended = false;

  /** @param role the role from a token checked earlier, such as in a handshake */
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

  /* Conversation: called by the transport. */

  receive(message: Message): void {
    if (this.#ended) return;
    this.#heartbeat?.heard();
    if (message.length >= COSTLY_LENGTH) this.channel.yieldTurn();
    const { limits } = this.host;
    const decoded = fastDecode(message, limits, 'session') ?? decodeRequest(message.text, limits);
    if (isInvalid(decoded)) {
      this.#refuse(decoded);
    } else {
      this.#hasSpoken = true;
      this.#answer(decoded);
    }
    if (!this.#isAdmitted) this.#admit();
  }

  inputError(error: RequestError): void {
    if (this.#ended) return;
    this.#heartbeat?.heard();
    if (ERROR_CODES[error.code].endsConnection === 'yes') this.#endWith('bad_input', error);
    else this.#refuse({ error, action: undefined, ref: undefined, isHello: false });
  }

  inputEnded(): void {
    // After a wrong token `#ended` is set already, and the delayed answer is still sent.
    if (!this.#ended) this.end('goodbye');
  }

  /** Ends a session that can't be resumed. One with a name may be meant to go on elsewhere. */
  clientDone(): void {
    if (!this.#ended && this.#session?.key === undefined) this.#session?.end();
  }

  onWritable(): void {
    // Output that was held back for the store is written after the end, too.
    if (!this.#ended) this.#watching?.onWritable();
  }

  lost(): void {
    this.#ended = true;
    this.#rejecting?.cancel();
    this.#leave();
  }

  serverDraining(): void {
    // A client without a role gets no answer but that.
    if (!this.#ended && this.#admission.isAdmitted) this.replies.notifyError(DRAINING);
  }

  shutDown(): void {
    if (this.#rejecting !== undefined) {
      this.#rejecting.cancel();
      this.channel.end('shutting_down');
    }
    const { journal } = this.host;
    this.#endWith('shutting_down', journal === undefined ? SHUTTING_DOWN : RESTARTING);
  }

  /* Peer: called by the session. */

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
        // The session has ended, with a store too.
        this.#endWith('shutting_down', SHUTTING_DOWN);
        this.#leave();
    }
  }

  /* RequestContext: called by the actions. */

  get isAdmin(): boolean {
    return this.#admission.isAdmin;
  }

  get begun(): Session | undefined {
    return this.#session;
  }

  get watching(): Watching {
    this.#watching ??= new Watching(this.channel, this.session().namespace, this.host);
    return this.#watching;
  }

  session(): Session {
    return this.#session ?? this.begin({});
  }

  begin({ namespace, abandonTimeoutMs, label, key }: SessionWishes): Session {
    const settings = {
      namespace: namespace ?? this.#defaults.namespace,
      abandonTimeoutMs: abandonTimeoutMs ?? this.#defaults.abandonTimeoutMs,
      client: this.channel.client,
      label,
      key,
    };
    this.#session = new Session(this.host, settings, this);
    return this.#session;
  }

  resume(name: string): Session | undefined {
    const session = this.host.registry.resumable(keyOfName(name));
    session?.resume(this, this.channel.client);
    this.#session = session;
    return session;
  }

  helloRefused(): void {
    this.#admission.helloRefused();
  }

  expectHeartbeat(heartbeatMs: number): void {
    const heldAgoMs = (): number => this.channel.heldAgoMs;
    this.#heartbeat = new Heartbeat(this.host.clock, heartbeatMs, heldAgoMs, () => {
      this.#endWith('silent', silent(heartbeatMs));
    });
  }

  end(reason: EndReason): void {
    this.#ended = true;
    this.channel.end(reason);
    // Not only when the socket closes: until then its waiting locks could be granted.
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
    // Nearly all traffic is these two, so the engine sees here which is called: 3.20 us of server
    // CPU a cycle instead of 3.33 by the table alone (npm run bench -- b).
    if (request.action === 'lock') ACTIONS.lock.answer(this, request);
    else if (request.action === 'release') ACTIONS.release.answer(this, request);
    else answer(this, request);
  }

  /** Answers with the rejection, after its delay, and ends the connection if it is final. */
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
    // A connection that does not begin with a JSON object may be a web page that was made to post
    // to this port, so it gets no second try.
    if (this.#hasSpoken) this.#refuseRequest(refused);
    else this.#endWith('bad_input', error === LINE_CUT_OFF ? error : noWayToBegin(error));
  }

  #refuseRequest(refused: InvalidRequest): void {
    const { error, action, isHello, token } = refused;
    // Once a session has begun, the client stays admitted.
    const rejection = this.#session === undefined ? this.#admission.checkToken(token) : undefined;
    if (rejection === undefined) {
      if (isHello) this.#admission.helloRefused();
      this.replies.error(refused, error);
    } else if (action === 'hello' && token === undefined) {
      // The hello may have been meant to carry a token, so its own error is the more useful answer.
      const message = `${error.message}; closing the connection`;
      this.replies.error(refused, new RequestError(error.code, message));
      this.end('unauthorized');
    } else {
      this.#reject(rejection, refused);
    }
  }

  #admit(): void {
    if (this.#ended || !this.#hasSpoken) return;
    this.#isAdmitted = true;
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
