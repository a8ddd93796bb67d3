/**
 * The server: one port for JSON lines, WebSocket and HTTP. It wires sessions, protocols and network
 * together and owns the sockets; what a message or a lock means is decided elsewhere.
 */
import type { Buffer } from 'node:buffer';
import type { AddressInfo } from 'node:net';
import { type HttpHost, HttpServer } from './net/http/http-server.ts';
import type { MetricsSnapshot } from './net/http/metric.ts';
import { originPolicy } from './net/http/origin-policy.ts';
import { LineConnection } from './net/lines/line-connection.ts';
import { Acceptor, type LineClient, MAX_REJECTED } from './net/listen/acceptor.ts';
import { Clients } from './net/listen/clients.ts';
import type { AcceptedConnection, ListenerEvents, TlsFiles } from './net/listen/listener.ts';
import { Listeners } from './net/listen/listeners.ts';
import { cutAfterTimeout } from './net/stream/graceful-close.ts';
import type { AuthFailure, Tokens } from './protocol/auth.ts';
import { type Readiness, readinessOf } from './readiness.ts';
import type { Clock, Timer } from './runtime/clock.ts';
import { clusterWorker } from './runtime/cluster-worker.ts';
import { processFigures } from './runtime/process-figures.ts';
import { StallMeter } from './runtime/stall-meter.ts';
import { makeHost, type ServerHost } from './server-host.ts';
import {
  DEFAULT_BACKLOG,
  DEFAULT_HOST,
  DEFAULT_PING_INTERVAL_MS,
  DEFAULT_PORT,
  DEFAULT_STALL_THRESHOLD_MS,
  type ServerOptions,
} from './server-options.ts';
import type { SessionLock } from './session/lock-record.ts';
import type { Namespaces } from './session/namespace.ts';
import { SlowLocks } from './session/slow-locks.ts';
import { countHolders, countKept, type Kept, statisticsOf } from './session/statistics.ts';
import type { Persistence, Recovered } from './store/persistence.ts';

/** Totals over all namespaces. */
export interface ServerCounts {
  readonly connections: number;
  readonly namespaces: number;
  readonly sessions: number;
  readonly acquired: number;
  readonly enqueued: number;
}

/** The result of a drain. */
export interface Drained {
  /** Sessions that still held locks at the end; 0 if all holders finished. */
  readonly cutOff: number;
  /** With a store: what is kept. */
  readonly kept?: Kept;
}

export class Server {
  readonly #options: ServerOptions;
  readonly #namespaces: Namespaces;
  readonly #clock: Clock;
  readonly #listeners: Listeners;
  readonly #http: HttpServer;
  readonly #host: ServerHost;
  readonly #acceptor: Acceptor;
  readonly #clients: Clients;
  /** Undefined without a store. */
  readonly #persistence: Persistence | undefined;
  readonly #readiness: Readiness;
  readonly #stalls: StallMeter;
  /** Undefined if there is no observer of them. */
  readonly #slowLocks: SlowLocks | undefined;
  #draining: Promise<Drained> | undefined;
  #isClosed = false;

  constructor(options: ServerOptions = {}) {
    this.#options = options;
    this.#host = makeHost(options, {
      storeFailed: (error) => this.#storeFailed(error),
      inputArrived: () => this.#stalls.active(),
      authFailed: (failure, client) => this.#authFailed(failure, client),
    });
    this.#clock = this.#host.clock;
    this.#namespaces = this.#host.registry;
    this.#persistence = this.#host.persistence;
    this.#readiness = readinessOf(this.#persistence, options.ownership);
    const { stallThresholdMs = DEFAULT_STALL_THRESHOLD_MS, stallObserver } = options;
    this.#stalls = new StallMeter(stallThresholdMs, performance.now(), (report) =>
      stallObserver?.(report),
    );
    const { slowLockMs = 0, slowLockObserver } = options;
    this.#slowLocks =
      slowLockMs === 0 || slowLockObserver === undefined
        ? undefined
        : new SlowLocks(this.#clock, this.#namespaces.ages, slowLockMs, slowLockObserver);
    this.#clients = new Clients(options.clientObserver);
    this.#http = new HttpServer(this.#httpHost());
    this.#acceptor = new Acceptor({
      auth: this.#host.auth,
      clock: this.#clock,
      limits: this.#host.limits,
      counters: this.#host.counters,
      full: () => options.fullObserver?.(),
      notReady: () => this.#readiness.error(),
      acceptLines: (connection, head, firstMessageTimer) =>
        this.#acceptLines(connection, head, firstMessageTimer),
      acceptHttp: (connection, head, full) => this.#http.accept(connection, head, full),
    });
    this.#listeners = this.#makeListeners();
    options.ownership?.observe({ silenced: () => this.#cutAll() });
  }

  /**
   * Starts to listen. Rejects with the system's error (EADDRINUSE, EACCES...), or with that of TLS
   * if the certificate or the key can't be used. In a worker of node:cluster it always rejects,
   * with the code ERR_CLUSTER_WORKER: workers share one port, and each would have its own locks.
   *
   * With a store it resolves when all that is stored is restored. Until then clients are told to
   * come back in a moment, and probes that the server is not ready. Rejects with a `StoreError` if
   * the store can't be used. Rejects when `close` is called meanwhile.
   */
  async listen(): Promise<void> {
    await this.open();
    await this.recover();
  }

  /** The first part of `listen`: clients are answered that the server is not ready. */
  async open(): Promise<void> {
    if ((await clusterWorker()) !== undefined) throw clusterWorkerError();
    await this.#listeners.open();
  }

  /**
   * The rest of `listen`, after `open`. A server that shares its store waits here for its turn, and
   * clients are told which server serves.
   */
  async recover(): Promise<void> {
    try {
      this.#assertNotClosed();
      if (this.#options.stallThresholdMs !== 0) this.#stalls.start();
      await this.#persistence?.recover(this.#host);
      this.#assertNotClosed();
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  #assertNotClosed(): void {
    if (this.#isClosed) throw new Error('closed while starting');
  }

  /** What was restored from the store, if there is one. */
  get recovered(): Recovered | undefined {
    return this.#persistence?.recovered;
  }

  /** The TCP address that the server listens on. */
  get address(): AddressInfo {
    return this.#listeners.address;
  }

  /** All addresses that the server listens on, for people to read. */
  get addresses(): readonly string[] {
    return this.#listeners.addresses;
  }

  /** Replaces the certificates; connections stay open. Throws if they can't be used. */
  setTls(files: TlsFiles): void {
    this.#listeners.setTls(files);
  }

  /** Those of `addresses` that other machines can reach. */
  get exposedAddresses(): readonly string[] {
    return this.#listeners.exposedAddresses;
  }

  /** Replaces the tokens; connections stay open. Throws a RangeError for a malformed token. */
  setTokens(tokens: Tokens): void {
    this.#host.auth.replace(tokens);
  }

  get counts(): ServerCounts {
    const { namespaces, sessions, locks } = statisticsOf(this.#namespaces, this.#clock.now());
    const connections = this.#acceptor.count;
    return { connections, namespaces, sessions: sessions.open + sessions.lost, ...locks };
  }

  /** The number of sessions that hold locks, those without a connection included. */
  get holders(): number {
    return countHolders(this.#namespaces);
  }

  /** The locks that are held, the one held longest first; to be read at once. */
  get heldLocks(): Iterable<SessionLock> {
    return this.#namespaces.ages.held;
  }

  /**
   * Stops: accepts no more connections, says goodbye to every client, releases all locks; with a
   * store sessions and locks are kept instead. Resolves when the last connection is closed; those
   * still open after `CLOSE_TIMEOUT_MS` are cut.
   */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#acceptor.stop();
    this.#persistence?.freeze();
    this.#stalls.stop();
    this.#slowLocks?.stop();
    const closed = [
      this.#listeners.close(),
      // Node counts a socket as closed before its listeners are called.
      ...[...this.#acceptor.sockets()].map(
        (socket) => new Promise<void>((resolve) => socket.once('close', () => resolve())),
      ),
    ];
    for (const socket of this.#acceptor.sockets()) {
      const conversation = this.#clients.conversationOn(socket);
      // HTTP requests are answered at once, so this socket is idle or has sent half a request.
      if (conversation === undefined) socket.destroy();
      else conversation.shutDown();
    }
    if (this.#persistence === undefined) this.#namespaces.endAll();
    // A store that is starting still draws what is live: then nothing may end before it has.
    else if (this.recovered !== undefined) this.#namespaces.leaveQueues();
    for (const socket of this.#acceptor.sockets()) cutAfterTimeout(socket, this.#clock);
    // All has been said: another server can have the store before every client has closed.
    await Promise.all([...closed, this.#persistence?.close()]);
    this.#namespaces.endAll();
  }

  /**
   * The store has failed: what is said from now on might be forgotten. So nothing is said, and
   * clients find out by the end of their connections.
   */
  #storeFailed(error: Error): void {
    this.#acceptor.stop();
    this.#cutAll();
    this.#options.storeObserver?.failed(error);
    void this.close();
  }

  /** All sessions are lost within the call: nothing is received or granted between two of them. */
  #cutAll(): void {
    this.#namespaces.leaveQueues();
    for (const conversation of this.#clients.conversations()) conversation.cut();
    for (const socket of this.#acceptor.sockets()) socket.destroy();
  }

  /**
   * Stops, but lets holders finish: refuses new sessions and locks, cancels waiting locks, and
   * disconnects each session that holds no lock. Closes when no lock is held, or after `timeoutMs`.
   * Further calls return the promise of the first.
   *
   * @param timeoutMs milliseconds (>= 0); 0 closes at once
   */
  drain(timeoutMs: number): Promise<Drained> {
    this.#draining ??= this.#drain(timeoutMs);
    return this.#draining;
  }

  async #drain(timeoutMs: number): Promise<Drained> {
    if (timeoutMs > 0) await this.#untilNothingIsHeld(timeoutMs);
    const cutOff = this.holders;
    const kept = this.#persistence === undefined ? undefined : countKept(this.#namespaces);
    await this.close();
    return kept === undefined ? { cutOff } : { cutOff, kept };
  }

  #untilNothingIsHeld(timeoutMs: number): Promise<void> {
    for (const conversation of this.#clients.conversations()) conversation.serverDraining();
    this.#namespaces.drain();
    return new Promise((resolve) => {
      const timer = this.#clock.setTimer(timeoutMs, resolve);
      this.#namespaces.onDrained(() => {
        timer.cancel();
        resolve();
      });
    });
  }

  #makeListeners(): Listeners {
    const { host = DEFAULT_HOST, port = DEFAULT_PORT, tcp = true, tls, socket } = this.#options;
    const { firstMessageMs, maxConnections } = this.#host.limits;
    const options = {
      ...{ host, port, tcp, tls, socket, fds: this.#options.fds ?? [] },
      backlog: this.#options.backlog ?? DEFAULT_BACKLOG,
      handshakeMs: firstMessageMs,
      maxConnections: maxConnections + MAX_REJECTED,
      setTimer: this.#clock.setTimer.bind(this.#clock),
    };
    const events: ListenerEvents = {
      arrived: (backlog) => this.#clock.arrived?.(backlog),
      handshakeFailed: (why, client) => this.#handshakeFailed(why, client),
      accept: (connection) => {
        this.#stalls.active();
        this.#host.streams.turnQueue.othersArrived();
        this.#acceptor.accept(connection);
      },
      full: () => this.#options.fullObserver?.(),
      stuck: (error) => this.#options.stuckObserver?.(error),
      pathLost: (path, error) => this.#options.pathObserver?.(path, error),
    };
    return new Listeners(options, events);
  }

  #authFailed(failure: AuthFailure, client: string): void {
    this.#host.counters.authFailures[failure]++;
    if (failure === 'wrong_token') this.#options.authObserver?.wrongToken(client);
  }

  #handshakeFailed(why: string | undefined, client: string | undefined): void {
    this.#host.counters.authFailures.tls_handshake++;
    if (why !== undefined) this.#options.authObserver?.handshakeFailed(why, client);
  }

  #acceptLines(accepted: AcceptedConnection, head: Buffer, firstMessageTimer: Timer): LineClient {
    this.#clients.connected(accepted, 'lines');
    const connection = new LineConnection(accepted, head, this.#host, firstMessageTimer);
    this.#clients.converse(accepted, connection, 'lines');
    return connection;
  }

  #metrics(): MetricsSnapshot {
    const { lines, websocket } = this.#clients.open;
    return {
      counters: this.#host.counters,
      connections: { lines, websocket, other: this.#acceptor.count - lines - websocket },
      connectionsTotal: this.#acceptor.total,
      clientsTotal: this.#clients.total,
      statistics: statisticsOf(this.#namespaces, this.#clock.now()),
      isDraining: this.#namespaces.isDraining,
      process: processFigures(),
      stalls: this.#stalls.count,
      loopLag: this.#stalls.lag(),
      store: this.#persistence?.snapshot(),
      ownership: this.#options.ownership?.snapshot(),
    };
  }

  #httpHost(): HttpHost {
    return {
      ...this.#host,
      originPolicy: originPolicy(
        this.#options.allowedOrigins ?? [],
        this.#options.allowedHosts ?? [],
      ),
      pingIntervalMs: this.#options.pingIntervalMs ?? DEFAULT_PING_INTERVAL_MS,
      headerRejected: (rejected, client) => this.#options.headerObserver?.(rejected, client),
      metrics: () => this.#metrics(),
      notReady: () => this.#readiness.sentence(),
      opened: (channel, connection) => {
        this.#clients.connected(connection, 'websocket');
        this.#clients.converse(connection, channel, 'websocket');
      },
    };
  }
}

function clusterWorkerError(): Error {
  const message =
    'a lock server cannot run in a worker of node:cluster: each worker would grant the same locks anew';
  return Object.assign(new Error(message), { code: 'ERR_CLUSTER_WORKER' });
}
