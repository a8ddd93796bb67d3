/**
 * One of several servers that share an etcd, of which one serves. Each time that this one waits for
 * its turn, it does so with a new `Server` and a new `Ownership`: nothing of an earlier turn can be
 * mixed up with it.
 */
import { hostname } from 'node:os';
import { EtcdCell } from './cluster/cell.ts';
import { systemClocks } from './cluster/clocks.ts';
import { Ownership } from './cluster/ownership.ts';
import { type Drained, Server } from './server.ts';
import { DEFAULT_ETCD_PREFIX, DEFAULT_LEASE_TTL_S, type ServerOptions } from './server-options.ts';
import type { EtcdError } from './store/etcd-error.ts';
import { EtcdGateway, type EtcdOptions } from './store/etcd-gateway.ts';
import { EtcdStore, NotOwnerError } from './store/etcd-store.ts';
import type { Recovered } from './store/persistence.ts';

/** Called for what happens to a `CellServer`; for logs. */
export interface CellObserver {
  /**
   * Another server serves, and this one waits: at first, and each time that the server changes. An
   * `owner` with this server's own address is mostly its predecessor, whose lease has not run out.
   */
  waiting?(owner: string, isOwnAddress: boolean): void;
  /** This server serves from now on. `recovered` does not include the wait for its turn. */
  serving?(recovered: Recovered): void;
  /**
   * etcd has not confirmed for most of the lease's time that this server is the owner: all
   * connections are cut until it does.
   */
  silenced?(): void;
  /** Another server may serve now. All connections are cut, and this server waits for its turn. */
  lost?(why: Error): void;
  /** A request to etcd has failed, and is tried again. Calls can be frequent. */
  trouble?(error: EtcdError): void;
  /** This server can't go on, and has closed: etcd can't be used, or the port is taken. */
  failed?(error: Error): void;
}

export interface CellServerOptions {
  readonly etcd: EtcdOptions;
  /**
   * Of the keys in etcd, with a slash at its end; the same for all servers of a cell. Default
   * `/locktopus/`.
   */
  readonly prefix?: string;
  /** Where clients find this server, HOST:PORT. Default what it listens on, and the host's name. */
  readonly advertise?: string | undefined;
  /**
   * Whole seconds (>= 2) for which the owner may be silent before another serves; the same for all
   * servers of a cell. Default 10.
   */
  readonly leaseTtlS?: number;
  readonly observer?: CellObserver;
  /** Asked for at each turn: certificates and tokens may have been replaced. */
  serverOptions(): Omit<ServerOptions, 'store' | 'storeObserver' | 'ownership'>;
}

/** etcd makes it of less. */
const MIN_LEASE_TTL_S = 2;

const INHERITED =
  'it cannot listen on its inherited sockets again, so it must be started anew to wait for its turn';

export class CellServer {
  readonly #options: CellServerOptions;
  readonly #gateway: EtcdGateway;
  readonly #observer: CellObserver;
  readonly #statistics = { takeovers: 0, retries: 0 };
  #server: Server;
  /** The turn of the server has ended. */
  #isOver = false;
  /** When its turn began. */
  #ownedAtMs = 0;
  /** The port of the first server: another one may not have been chosen. */
  #port: number | undefined;
  /** Whether its sockets are inherited. They were closed with the first server. */
  #isInherited = false;
  #isStopping = false;

  /** @throws RangeError if an option is invalid */
  constructor(options: CellServerOptions) {
    const { prefix = DEFAULT_ETCD_PREFIX, leaseTtlS = DEFAULT_LEASE_TTL_S } = options;
    if (!prefix.endsWith('/')) throw new RangeError('prefix must end in a slash');
    if (!Number.isInteger(leaseTtlS) || leaseTtlS < MIN_LEASE_TTL_S) {
      throw new RangeError(`leaseTtlS must be a whole number of at least ${MIN_LEASE_TTL_S}`);
    }
    this.#options = options;
    this.#gateway = new EtcdGateway(options.etcd);
    this.#observer = options.observer ?? {};
    this.#server = this.#make();
  }

  /** The server of this turn; there is another one after each loss. */
  get server(): Server {
    return this.#server;
  }

  /**
   * Starts to listen, and to wait for its turn. Rejects as `Server.listen` does if it can't listen;
   * all that follows is told to the observer.
   */
  async listen(): Promise<void> {
    await this.#server.open();
    void this.#run();
  }

  /** Stops, and hands over to another server. Locks are kept. */
  async close(): Promise<void> {
    await this.drain(0);
  }

  /** As `close`, but lets holders finish first: see `Server.drain`. */
  async drain(timeoutMs: number): Promise<Drained> {
    this.#isStopping = true;
    const drained = await this.#server.drain(timeoutMs);
    this.#gateway.close();
    return drained;
  }

  /** Waits for its turn, and serves. */
  async #run(): Promise<void> {
    const server = this.#server;
    try {
      await server.recover();
    } catch (error) {
      if (this.#isStopping || this.#isOver) return;
      const failure = asError(error);
      // It was paused while it took over, for so long that another server has.
      if (failure instanceof NotOwnerError) await this.#lost(failure);
      else this.#failed(failure);
      return;
    }
    const { recovered } = server;
    if (recovered === undefined) return;
    this.#observer.serving?.({ ...recovered, ms: performance.now() - this.#ownedAtMs });
  }

  #make(): Server {
    const { prefix = DEFAULT_ETCD_PREFIX, leaseTtlS: ttlS = DEFAULT_LEASE_TTL_S } = this.#options;
    const gateway = this.#gateway;
    const observer = this.#observer;
    const address = (): string => this.#address();
    const ownership = new Ownership({
      cell: new EtcdCell({ gateway, prefix, ttlS, address }),
      address,
      clocks: systemClocks,
      ttlMs: ttlS * 1000,
      statistics: this.#statistics,
    });
    ownership.observe({
      waiting: (owner) => observer.waiting?.(owner, owner === address()),
      owning: () => {
        this.#ownedAtMs = performance.now();
      },
      silenced: () => observer.silenced?.(),
      trouble: (error) => observer.trouble?.(error),
    });
    const store = new EtcdStore({
      gateway,
      prefix,
      claim: ownership,
      trouble: (error) => ownership.trouble(error),
    });
    const serverOptions = this.#options.serverOptions();
    this.#isInherited = (serverOptions.fds ?? []).length > 0;
    return new Server({
      ...serverOptions,
      store,
      ownership,
      storeObserver: { failed: (error) => void this.#lost(error) },
      ...(this.#port === undefined ? {} : { port: this.#port }),
    });
  }

  /** The turn is over; at most once each. */
  async #lost(error: Error): Promise<void> {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#observer.lost?.(error);
    if (this.#isStopping) return;
    try {
      this.#port ??= portOf(this.#server);
      await this.#server.close();
      if (this.#isInherited) throw new NotOwnerError(`${error.message}; ${INHERITED}`);
      if (this.#isStopping) return;
      this.#server = this.#make();
      this.#isOver = false;
      await this.#server.open();
    } catch (failure) {
      this.#failed(asError(failure));
      return;
    }
    void this.#run();
  }

  #failed(error: Error): void {
    if (this.#isStopping) return;
    void this.close();
    this.#observer.failed?.(error);
  }

  #address(): string {
    const { advertise } = this.#options;
    if (advertise !== undefined) return advertise;
    const [name = 'unknown'] = this.#server.addresses;
    const port = portOf(this.#server);
    if (port === undefined) return name;
    const { address } = this.#server.address;
    const isAny = address === '0.0.0.0' || address === '::';
    const host = isAny ? hostname() : address;
    return `${host.includes(':') ? `[${host}]` : host}:${port}`;
  }
}

/** Undefined without TCP. */
function portOf(server: Server): number | undefined {
  try {
    return server.address.port;
  } catch {
    return undefined;
  }
}

function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}
