/**
 * A client's session: begun, resumed when a connection breaks, and replaced by a new one when it has
 * ended, after all locks that it held have been reported as lost. What goes over its connections is in
 * `Exchange`.
 *
 *     seeking --> greeting --> ready --> closing --> closed
 *        ^            |          |
 *        +------------+----------+  the connection breaks
 */

import { connectFailure, isPassing } from './connect-failure.ts';
import { Connector, type ConnectorEvents } from './connector.ts';
import type { Environment } from './environment.ts';
import { ClientClosedError, type LockLostError, LocktopusError, RefusedError } from './errors.ts';
import type { Emitter } from './events.ts';
import { Exchange, type ExchangeHost } from './exchange.ts';
import { type Greeted, Handshake } from './handshake.ts';
import { pingEveryMs } from './heartbeat.ts';
import type { HeldLock, Holding } from './held-lock.ts';
import type { Link } from './link.ts';
import { type ClientOptions, DEFAULT_CONNECT_TIMEOUT_MS, type LockTerms } from './options.ts';
import type { Greeting, Reply, ReplyError } from './replies.ts';
import type { Address, Target } from './url.ts';

/** Milliseconds for which `close` waits for the answer to `bye`. */
const GOODBYE_MS = 5000;

/**
 * Milliseconds for which a client that starts waits for a server that is about to serve: another one
 * takes over within the usual lease of 10 seconds, and some more.
 */
const TAKEOVER_MS = 15_000;

export class Session implements ConnectorEvents, ExchangeHost {
  readonly exchange: Exchange;
  readonly #environment: Environment;
  readonly #options: ClientOptions;
  readonly #namespace: string | undefined;
  readonly #events: Emitter;
  readonly #addresses: readonly Address[];
  readonly #connector: Connector;
  #state: 'seeking' | 'greeting' | 'ready' | 'closing' | 'closed' = 'seeking';
  #link: Link | undefined;
  #handshake: Handshake | undefined;
  #greeting: Greeting | undefined;
  /** Whether the session of the greeting may still exist on the server. */
  #isResumable = false;
  #lastFailure: LocktopusError | undefined;
  #starting: { resolve(): void; reject(error: unknown): void } | undefined;
  #closed: Promise<void> | undefined;
  #finishClosing: (() => void) | undefined;
  #isAlive = false;
  #startedAtMs = 0;

  constructor(environment: Environment, target: Target, options: ClientOptions, events: Emitter) {
    this.#environment = environment;
    this.#options = options;
    this.#namespace = options.namespace ?? target.namespace;
    this.#events = events;
    this.exchange = new Exchange(environment.clock, this);
    const { token, connectTimeoutMs: attemptMs = DEFAULT_CONNECT_TIMEOUT_MS } = options;
    this.#addresses = target.addresses;
    const settings = { addresses: target.addresses, token, attemptMs };
    this.#connector = new Connector(environment, settings, this);
  }

  /**
   * Resolves when the first session has begun. Rejects if every address fails, unless a server is about
   * to serve, and stays closed.
   */
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
      this.#startedAtMs = this.#environment.clock.now();
      this.#connector.start();
    });
  }

  get isClosed(): boolean {
    return this.#state === 'closing' || this.#state === 'closed';
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
    return this.exchange.lock(terms, signal);
  }

  /** Sends `bye`, which releases all locks, and waits for the answer. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  opened(link: Link): void {
    this.#link = link;
    this.#hello(link);
  }

  received(reply: Reply): void {
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
    this.exchange.disconnected();
    if (wasReady) this.#events.emit('disconnected', { error });
  }

  exhausted(failures: readonly LocktopusError[]): void {
    const { error, isFinal } = connectFailure(failures);
    this.#lastFailure = error;
    if (this.#starting !== undefined) {
      const triedMs = this.#environment.clock.now() - this.#startedAtMs;
      const isWorthTrying = !isFinal && isPassing(failures, this.#addresses);
      if (!isWorthTrying || triedMs >= TAKEOVER_MS) this.#giveUp(error);
    } else if (isFinal) this.exchange.refuseAll(error);
  }

  drop(error: LocktopusError): void {
    this.#connector.drop(error);
  }

  /** Such errors mostly precede the end of the connection. */
  unasked({ code, message, owner }: ReplyError): LocktopusError | undefined {
    const error = new RefusedError(code, message, owner);
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

  lockLost(lock: Holding, error: LockLostError): void {
    this.#events.emit('lost', { lock, error });
  }

  changed(): void {
    const isAlive =
      this.exchange.isBusy || this.#starting !== undefined || this.#state === 'closing';
    if (isAlive === this.#isAlive) return;
    this.#isAlive = isAlive;
    this.#environment.keepAlive(isAlive);
  }

  #hello(link: Link): void {
    this.#state = 'greeting';
    this.#handshake = new Handshake(
      link,
      this.#environment.clock,
      this.exchange.nextRef(),
      this.#namespace,
      this.#options,
      this.#isResumable ? this.#greeting : undefined,
    );
  }

  #take(reply: Reply): LocktopusError | undefined {
    if (this.#state === 'greeting') return this.#greeted(this.#handshake?.take(reply));
    if (this.#state === 'ready') return this.exchange.received(reply);
    if (this.#state === 'closing' && reply.action === 'bye') this.#finishClosing?.();
    return undefined;
  }

  #greeted(greeted: Greeted | LocktopusError | undefined): LocktopusError | undefined {
    const link = this.#link;
    if (greeted === undefined || link === undefined) return undefined;
    if (greeted instanceof LocktopusError) return this.#notGreeted(greeted, link);
    const { greeting, sentAt, list } = greeted;
    const breach = this.exchange.locks.checkList(list ?? []);
    if (breach !== undefined) return breach;
    this.#ready(greeting);
    if (list === undefined) {
      this.exchange.begin(link, greeting, sentAt);
      this.#proceed('connected');
    } else {
      const reportLosses = this.exchange.resume(link, greeting, sentAt, list);
      this.#proceed('resumed', reportLosses);
    }
    return undefined;
  }

  #notGreeted(error: LocktopusError, link: Link): LocktopusError | undefined {
    const { code, message } = error;
    if (!this.#isResumable || code !== 'no_such_session') return error;
    this.#gone(code, message);
    // The caller's handlers have run: the client may be closed.
    if (this.#state === 'greeting') this.#hello(link);
    return undefined;
  }

  #ready(greeting: Greeting): void {
    this.#greeting = greeting;
    this.#isResumable = true;
    this.#state = 'ready';
    this.#lastFailure = undefined;
    this.#connector.maxPauseMs = Math.min(
      this.#connector.maxPauseMs,
      pingEveryMs(greeting.abandonTimeoutMs),
    );
    this.#connector.settled();
  }

  #proceed(event: 'connected' | 'resumed', reportLosses = () => {}): void {
    if (!this.exchange.isReady) return;
    this.#starting?.resolve();
    this.changed();
    reportLosses();
    // The caller's handlers have run: the client may be closed.
    if (!this.exchange.isReady) return;
    const { sessionId = '' } = this.#greeting ?? {};
    this.#events.emit(event, { address: this.#address, sessionId });
  }

  /** The session has ended: its locks are reported as lost before another one begins. */
  #gone(code: string, message: string, refusal?: RefusedError): void {
    this.#isResumable = false;
    this.exchange.sessionGone(code, message, refusal);
  }

  get #address(): string {
    return this.#link?.address.name ?? '';
  }

  #giveUp(error: unknown): void {
    this.#starting?.reject(error);
    void this.close();
  }

  #close(): Promise<void> {
    const wasReady = this.exchange.isReady;
    this.#state = 'closing';
    const error = new ClientClosedError();
    this.#connector.stop();
    this.#starting?.reject(error);
    this.exchange.close(error);
    return new Promise((resolve) => {
      const timer = this.#environment.clock.setTimer(GOODBYE_MS, () => this.#finishClosing?.());
      this.#finishClosing = () => {
        this.#finishClosing = undefined;
        timer.cancel();
        this.#connector.endLink(wasReady);
        this.#state = 'closed';
        this.changed();
        resolve();
      };
      this.changed();
      if (wasReady) this.#link?.send({ action: 'bye', ref: this.exchange.nextRef() });
      else this.#finishClosing();
    });
  }
}
