/**
 * A client's session: begun, kept alive, resumed when a connection breaks, and replaced by a new one when
 * it has ended, after all locks that it held have been reported as lost.
 *
 *     seeking --> greeting --> ready --> closing --> closed
 *        ^            |          |
 *        +------------+----------+  the connection breaks
 */

import { Calls } from './calls.ts';
import { Connector, type ConnectorEvents } from './connector.ts';
import type { ClientClock, Environment } from './environment.ts';
import {
  ClientClosedError,
  type LockLostError,
  LocktopusError,
  ProtocolError,
  RefusedError,
  UnreachableError,
} from './errors.ts';
import type { Emitter } from './events.ts';
import { type Greeted, Handshake } from './handshake.ts';
import { Heartbeat, type HeartbeatHost, pingEveryMs } from './heartbeat.ts';
import type { HeldLock, Holding } from './held-lock.ts';
import type { Link } from './link.ts';
import type { LockHost, LockTerms } from './lock-entry.ts';
import { Locks } from './locks.ts';
import { type ClientOptions, DEFAULT_CONNECT_TIMEOUT_MS } from './options.ts';
import { type Greeting, outOfTurn, type Reply, type ReplyError } from './replies.ts';
import { type Request, Unanswered } from './requests.ts';
import { type Moment, marginOf, momentOf, Trust } from './trust.ts';
import type { Target } from './url.ts';
import { Watches } from './watch.ts';

/** Milliseconds for which `close` waits for the answer to `bye`. */
const GOODBYE_MS = 5000;

/** Errors of `hello` that a retry won't change. */
const FINAL_CODES: ReadonlySet<string> = new Set([
  'unauthorized',
  'forbidden',
  'bad_request',
  'segment_too_long',
  'message_too_long',
  'unknown_action',
]);

export class Session implements ConnectorEvents, LockHost, HeartbeatHost {
  readonly clock: ClientClock;
  readonly locks: Locks;
  readonly calls: Calls;
  readonly watches: Watches;
  readonly #environment: Environment;
  readonly #options: ClientOptions;
  readonly #namespace: string | undefined;
  readonly #events: Emitter;
  readonly #connector: Connector;
  readonly #heartbeat: Heartbeat;
  readonly #unanswered = new Unanswered();
  #state: 'seeking' | 'greeting' | 'ready' | 'closing' | 'closed' = 'seeking';
  #link: Link | undefined;
  #handshake: Handshake | undefined;
  #greeting: Greeting | undefined;
  /** Whether the session of the greeting may still exist on the server. */
  #isResumable = false;
  #trust: Trust | undefined;
  #lastFailure: LocktopusError | undefined;
  #refs = 0;
  #starting: { resolve(): void; reject(error: unknown): void } | undefined;
  #closed: Promise<void> | undefined;
  #finishClosing: (() => void) | undefined;
  #isAlive = false;

  constructor(environment: Environment, target: Target, options: ClientOptions, events: Emitter) {
    this.#environment = environment;
    this.#options = options;
    this.#namespace = options.namespace ?? target.namespace;
    this.#events = events;
    this.clock = environment.clock;
    this.locks = new Locks(this);
    this.calls = new Calls(this);
    this.watches = new Watches(this);
    this.#heartbeat = new Heartbeat(this.clock, this);
    const { token, connectTimeoutMs: attemptMs = DEFAULT_CONNECT_TIMEOUT_MS } = options;
    const settings = { addresses: target.addresses, token, attemptMs };
    this.#connector = new Connector(environment, settings, this);
  }

  /** Resolves when the first session has begun. Rejects if every address fails, and stays closed. */
  start(signal: AbortSignal | undefined): Promise<void> {
    if (signal?.aborted) return Promise.reject(signal.reason);
    return new Promise((resolve, reject) => {
      const abort = (): void => this.#giveUp(signal?.reason);
      const done = (): void => {
        signal?.removeEventListener('abort', abort);
        this.#starting = undefined;
      };
      this.#starting = {
        resolve: () => resolve(done()),
        reject: (error) => {
          done();
          reject(error);
        },
      };
      signal?.addEventListener('abort', abort, { once: true });
      this.changed();
      this.#connector.start();
    });
  }

  get isReady(): boolean {
    // The server may have ended the session while the connection is still open.
    return this.#state === 'ready' && this.#isResumable;
  }

  get isClosed(): boolean {
    return this.#state === 'closing' || this.#state === 'closed';
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
    return this.#lastFailure;
  }

  /** The greeting of the current session, or of the last one. */
  get greeting(): Greeting | undefined {
    return this.#greeting;
  }

  lock(terms: LockTerms, signal: AbortSignal | undefined): Promise<HeldLock> {
    if (this.isClosed) return Promise.reject(new ClientClosedError());
    const lock = this.locks.ask(terms, signal);
    if (terms.holdMs !== undefined) this.#heartbeat.quicken(terms.holdMs);
    return lock;
  }

  nextRef(): number {
    return ++this.#refs;
  }

  send(request: Request): void {
    if (!this.isReady) return;
    // The moment is taken before the sending, so that it is before the server reads the request.
    this.#unanswered.add(request, momentOf(this.clock));
    this.#heartbeat.sent();
    this.#link?.send(request.message());
  }

  ping(): void {
    const ref = this.nextRef();
    const message = (): object => ({ action: 'ping', ref });
    this.send({ ref, action: 'ping', message, answered: () => 'done' });
  }

  silent(): void {
    this.#connector.drop(
      new LocktopusError(
        'unreachable',
        'the server has stopped answering, though the connection is open',
      ),
    );
  }

  doubt(): void {
    this.#connector.drop(
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

  lockLost(lock: Holding, error: LockLostError): void {
    this.#events.emit('lost', { lock, error });
  }

  changed(): void {
    const { isBusy } = this;
    if (isBusy) this.#heartbeat.quicken();
    const isAlive = isBusy || this.#starting !== undefined || this.#state === 'closing';
    if (isAlive === this.#isAlive) return;
    this.#isAlive = isAlive;
    this.#environment.keepAlive(isAlive);
  }

  /** Sends `bye`, which releases all locks, and waits for the answer. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  opened(link: Link): void {
    this.#link = link;
    this.#hello();
  }

  received(reply: Reply): void {
    this.#heartbeat.heard();
    const breach = this.#take(reply);
    if (breach === undefined) return;
    if (this.#state === 'ready') this.#connector.drop(breach);
    else if (!this.isClosed) this.#connector.failed(breach);
  }

  disconnected(error: LocktopusError): void {
    this.#link = undefined;
    if (this.isClosed) {
      this.#finishClosing?.();
      return;
    }
    const wasReady = this.#state === 'ready';
    this.#state = 'seeking';
    this.#lastFailure = error;
    // `locks` and `calls` know what to send again.
    this.#unanswered.clear();
    if (wasReady) this.#events.emit('disconnected', { error });
  }

  exhausted(failures: readonly LocktopusError[]): void {
    const final = failures.find(({ code }) => FINAL_CODES.has(code));
    const error = final ?? unreachable(failures);
    this.#lastFailure = error;
    if (this.#starting !== undefined) {
      this.#giveUp(error);
    } else if (final !== undefined) {
      this.locks.refuseAll(final);
      this.calls.refuseAll(final);
      this.watches.close(final);
    }
  }

  #hello(): void {
    if (this.#link === undefined) return;
    this.#state = 'greeting';
    this.#handshake = new Handshake(
      this.#link,
      this.clock,
      this.nextRef(),
      this.#namespace,
      this.#options,
      this.#isResumable ? this.#greeting : undefined,
    );
  }

  #take(reply: Reply): LocktopusError | undefined {
    if (this.#state === 'greeting') return this.#greeted(this.#handshake?.take(reply));
    if (this.#state === 'ready') return this.#heard(reply);
    if (this.#state === 'closing' && reply.action === 'bye') this.#finishClosing?.();
    return undefined;
  }

  #greeted(greeted: Greeted | LocktopusError | undefined): LocktopusError | undefined {
    if (greeted === undefined) return undefined;
    if (greeted instanceof LocktopusError) return this.#notGreeted(greeted);
    const { greeting, sentAt, list } = greeted;
    if (list === undefined) {
      this.#begin(greeting, sentAt);
      return undefined;
    }
    const breach = this.locks.checkList(list);
    if (breach === undefined) this.#resume(greeting, sentAt, list);
    return breach;
  }

  #notGreeted(error: LocktopusError): LocktopusError | undefined {
    const { code, message } = error;
    if (!this.#isResumable || code !== 'no_such_session') return error;
    this.#gone(code, message);
    // The caller's handlers have run: the client may be closed.
    if (this.#state === 'greeting') this.#hello();
    return undefined;
  }

  #begin(greeting: Greeting, sentAt: Moment): void {
    const { abandonTimeoutMs } = greeting;
    const trustMs = abandonTimeoutMs - marginOf(abandonTimeoutMs);
    this.#trust = new Trust(this.clock, trustMs, sentAt);
    this.#isResumable = true;
    this.#ready(greeting);
    this.locks.begin();
    this.#proceed('connected');
  }

  #resume(greeting: Greeting, sentAt: Moment, list: readonly Reply[]): void {
    // What was granted while disconnected may have been granted right after the last confirmed request.
    const since = this.#trust?.confirmedAt ?? sentAt;
    this.#trust?.confirm(sentAt);
    this.#ready(greeting);
    const reportLosses = this.locks.resume(list, since);
    this.#proceed('resumed', reportLosses);
  }

  #ready(greeting: Greeting): void {
    const { abandonTimeoutMs } = greeting;
    this.#greeting = greeting;
    this.#state = 'ready';
    this.#lastFailure = undefined;
    this.#connector.maxPauseMs = Math.min(
      this.#connector.maxPauseMs,
      pingEveryMs(abandonTimeoutMs),
    );
    this.#connector.settled();
    this.#heartbeat.sent();
    this.#heartbeat.start(abandonTimeoutMs);
  }

  /** Goes on with everything besides the locks. */
  #proceed(event: 'connected' | 'resumed', reportLosses = () => {}): void {
    if (!this.isReady) return;
    this.calls.sendAll();
    this.watches.begin();
    this.#starting?.resolve();
    this.changed();
    reportLosses();
    if (!this.isReady) return;
    const { sessionId = '' } = this.#greeting ?? {};
    this.#events.emit(event, { address: this.#address, sessionId });
  }

  #heard(reply: Reply): LocktopusError | undefined {
    const { action, ref, error } = reply;
    if (ref === undefined) {
      if (error !== undefined) return this.#unasked(error);
      return action === 'watch' ? this.watches.heard(reply) : outOfTurn(reply);
    }
    const answer = this.#unanswered.answer(reply, (sentAt) => this.#trust?.confirm(sentAt));
    if (answer !== 'none') return answer === 'answer' ? undefined : answer;
    return action === 'lock' ? this.locks.heard(reply) : outOfTurn(reply);
  }

  /** Unsolicited errors, which mostly precede the end of the connection. */
  #unasked({ code, message }: ReplyError): LocktopusError | undefined {
    const error = new RefusedError(code, message);
    switch (code) {
      case 'draining':
        this.#lastFailure = error;
        this.#events.emit('draining', { address: this.#address });
        return undefined;
      case 'evicted':
        this.#gone(code, message, error);
        return error;
      case 'taken_over':
        this.#gone(code, message);
        return error;
      case 'shutting_down':
        this.#gone(code, message);
        this.#connector.failed(error);
        return undefined;
      case 'not_owner':
      case 'restarting':
        // Another server has the session, or this one will have it after its restart.
        this.#connector.failed(error);
        return undefined;
      default:
        return error;
    }
  }

  /** The session has ended: its locks are reported as lost before another one begins. */
  #gone(code: string, message: string, refusal?: RefusedError): void {
    this.#isResumable = false;
    this.#trust = undefined;
    this.#unanswered.clear();
    this.locks.sessionGone(code, message, refusal);
  }

  get #address(): string {
    return this.#link?.address.name ?? '';
  }

  #giveUp(error: unknown): void {
    this.#starting?.reject(error);
    void this.close();
  }

  #close(): Promise<void> {
    const wasReady = this.isReady;
    this.#state = 'closing';
    const error = new ClientClosedError();
    this.#connector.stop();
    this.#heartbeat.stop();
    this.#starting?.reject(error);
    this.locks.sessionGone('closed', error.message, error);
    this.calls.refuseAll(error);
    this.watches.close(error);
    return new Promise((resolve) => {
      const timer = this.clock.setTimer(GOODBYE_MS, () => this.#finishClosing?.());
      this.#finishClosing = () => {
        this.#finishClosing = undefined;
        timer.cancel();
        this.#connector.endLink(wasReady);
        this.#state = 'closed';
        this.changed();
        resolve();
      };
      this.changed();
      if (wasReady) this.#link?.send({ action: 'bye', ref: this.nextRef() });
      else this.#finishClosing();
    });
  }
}

function unreachable(failures: readonly LocktopusError[]): LocktopusError {
  const [first] = failures;
  if (failures.length === 1 && first instanceof ProtocolError) return first;
  const reasons = failures.map(({ message }) => message).join('; ');
  return new UnreachableError(`no lock server is reachable: ${reasons}`, failures.at(-1));
}
