/**
 * What a client asks of the server, and what of it is in flight: the locks, calls and watches, the
 * unanswered requests for them on the present connection, and how long the answers let locks be trusted.
 */
import { Calls } from './calls.ts';
import type { ClientClock } from './environment.ts';
import {
  type LockLostError,
  LocktopusError,
  type LocktopusErrorCode,
  type RefusedError,
} from './errors.ts';
import { Heartbeat, type HeartbeatHost } from './heartbeat.ts';
import type { HeldLock, Holding } from './held-lock.ts';
import type { Link } from './link.ts';
import { Locks, type LocksHost } from './locks.ts';
import type { LockTerms } from './options.ts';
import {
  type Greeting,
  type MessageLimits,
  outOfTurn,
  type Reply,
  type ReplyError,
} from './replies.ts';
import { answerIfTooLarge, type Request, Unanswered } from './requests.ts';
import { type Moment, marginOf, momentOf, Trust } from './trust.ts';
import { Watches } from './watch.ts';

export interface ExchangeHost {
  /** Why there is no connection, if an attempt has failed. */
  readonly lastFailure: LocktopusError | undefined;
  /** The connection can't be relied on: it must be replaced. */
  drop(error: LocktopusError): void;
  /** An error that answers no request. Returns why the connection can't go on, if so. */
  unasked(error: ReplyError): LocktopusError | undefined;
  /** A held lock was lost. Runs the caller's handlers. */
  lockLost(holding: Holding, error: LockLostError): void;
  /** What the caller holds or awaits has changed. */
  changed(): void;
}

export class Exchange implements LocksHost, HeartbeatHost {
  readonly clock: ClientClock;
  readonly locks: Locks;
  readonly calls: Calls;
  readonly watches: Watches;
  readonly #host: ExchangeHost;
  readonly #heartbeat: Heartbeat;
  readonly #unanswered = new Unanswered();
  /** The connection, as long as there is a session on it, and what its server reads. */
  #link: Link | undefined;
  #limits: MessageLimits | undefined;
  /** Of the session, which outlives a connection. */
  #trust: Trust | undefined;
  #refs = 0;

  constructor(clock: ClientClock, host: ExchangeHost) {
    this.clock = clock;
    this.#host = host;
    this.locks = new Locks(this);
    this.calls = new Calls(this);
    this.watches = new Watches(this);
    this.#heartbeat = new Heartbeat(clock, this);
  }

  get isReady(): boolean {
    return this.#link !== undefined;
  }

  get isBusy(): boolean {
    return this.locks.isBusy || this.calls.isBusy || this.watches.isBusy;
  }

  get trust(): Trust | undefined {
    return this.#trust;
  }

  get trustLeftMs(): number {
    return this.#trust?.leftMs ?? 0;
  }

  get shortestHoldMs(): number {
    return this.locks.shortestHoldMs;
  }

  get oldestUnansweredAt(): Moment | undefined {
    return this.#unanswered.oldestAt;
  }

  get lastFailure(): LocktopusError | undefined {
    return this.#host.lastFailure;
  }

  /**
   * A new session has begun: sends everything that was asked for.
   *
   * @param sentAt when `hello` was sent
   */
  begin(link: Link, greeting: Greeting, sentAt: Moment): void {
    const { abandonTimeoutMs } = greeting;
    const trustMs = abandonTimeoutMs - marginOf(abandonTimeoutMs);
    this.#trust = new Trust(this.clock, trustMs, sentAt);
    this.#connected(link, greeting, sentAt);
    this.locks.begin();
    this.#sendOthers();
  }

  /**
   * The session was resumed: sends what was not answered.
   *
   * @param sentAt when `hello` was sent
   * @param list the locks of the session
   * @returns reports the losses; must be called last, since it runs the caller's handlers
   */
  resume(link: Link, greeting: Greeting, sentAt: Moment, list: readonly Reply[]): () => void {
    // What was granted while disconnected may have been granted right after the last confirmed request.
    const since = this.#trust?.confirmedAt ?? sentAt;
    this.#trust?.confirm(sentAt);
    this.#connected(link, greeting, sentAt);
    const reportLosses = this.locks.resume(list, since);
    this.#sendOthers();
    return reportLosses;
  }

  /** The connection has ended, but not the session. */
  disconnected(): void {
    this.#link = undefined;
    // What is asked for is known to `locks`, `calls` and `watches`.
    this.#unanswered.clear();
  }

  /**
   * The session has ended, and its locks are lost.
   *
   * @param refusal rejects the waits as well, which otherwise go on in the next session
   */
  sessionGone(code: LocktopusErrorCode, message: string, refusal?: RefusedError): void {
    this.disconnected();
    this.#trust = undefined;
    this.locks.sessionGone(code, message, refusal);
  }

  /** Rejects everything that is awaited. Held locks stay. */
  refuseAll(error: Error): void {
    this.locks.refuseAll(error);
    this.calls.refuseAll(error);
    this.watches.close(error);
  }

  /** Ends everything: held locks are lost, and what is awaited is rejected. */
  close(error: LocktopusError): void {
    this.#heartbeat.stop();
    this.disconnected();
    this.locks.sessionGone(error.code, error.message, error);
    this.refuseAll(error);
  }

  /** Takes a message. Returns why the connection can't go on, if so. */
  received(reply: Reply): LocktopusError | undefined {
    this.#heartbeat.heard();
    const { action, ref, error } = reply;
    if (ref === undefined) {
      if (error !== undefined) return this.#host.unasked(error);
      return action === 'watch' ? this.watches.heard(reply) : outOfTurn(reply);
    }
    const answer = this.#unanswered.answer(reply, (sentAt) => this.#trust?.confirm(sentAt));
    if (answer !== 'none') return answer === 'answer' ? undefined : answer;
    return action === 'lock' ? this.locks.heard(reply) : outOfTurn(reply);
  }

  lock(terms: LockTerms, signal: AbortSignal | undefined): Promise<HeldLock> {
    const lock = this.locks.ask(terms, signal);
    if (terms.holdMs !== undefined) this.#heartbeat.quicken(terms.holdMs);
    return lock;
  }

  nextRef(): number {
    return ++this.#refs;
  }

  send(request: Request): void {
    if (this.#link === undefined || this.#limits === undefined) return;
    const message = request.message();
    const text = JSON.stringify(message);
    const refusal = answerIfTooLarge(request, message, text, this.#limits);
    if (refusal !== undefined) {
      request.answered(refusal);
      return;
    }
    // The moment is taken before the sending, so that it is before the server reads the request.
    const sentAt = momentOf(this.clock);
    this.#unanswered.add(request, sentAt);
    this.#heartbeat.sent(sentAt);
    this.#link.sendText(text);
  }

  ping(): void {
    const ref = this.nextRef();
    const message = (): object => ({ action: 'ping', ref });
    this.send({ ref, action: 'ping', message, answered: () => 'done' });
  }

  silent(): void {
    this.#host.drop(
      new LocktopusError(
        'unreachable',
        'the server has stopped answering, though the connection is open',
      ),
    );
  }

  doubt(): void {
    this.#host.drop(
      new LocktopusError('unconfirmed', 'a lock was granted too late to be relied on'),
    );
  }

  check(): void {
    if (this.trustLeftMs > 0 || this.#trust === undefined) return;
    if (this.locks.loseAll() && this.isReady) this.silent();
  }

  checkAll(): void {
    this.locks.checkHolds();
    this.check();
  }

  lockLost(holding: Holding, error: LockLostError): void {
    this.#host.lockLost(holding, error);
  }

  changed(): void {
    if (this.isBusy) this.#heartbeat.quicken();
    this.#host.changed();
  }

  #connected(link: Link, greeting: Greeting, sentAt: Moment): void {
    this.#link = link;
    this.#limits = greeting.limits;
    this.#heartbeat.sent(sentAt);
    this.#heartbeat.start(greeting.abandonTimeoutMs);
  }

  #sendOthers(): void {
    // A lock that was granted too late ends the connection.
    if (!this.isReady) return;
    this.calls.sendAll();
    this.watches.begin();
  }
}
