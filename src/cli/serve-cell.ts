/**
 * Servers that share an etcd, of which one serves. Each time that this one waits for its turn, it
 * does so with a new `Server` and a new `Ownership`: nothing of an earlier turn can be mixed up with
 * it. Loaded only with --etcd.
 */
import { hostname } from 'node:os';
import { createSecureContext } from 'node:tls';
import { EtcdCell } from '../cluster/cell.ts';
import { systemClocks } from '../cluster/clocks.ts';
import { Ownership } from '../cluster/ownership.ts';
import type { Server } from '../server.ts';
import type { ServerOptions } from '../server-options.ts';
import { type EtcdError, EtcdGateway, type EtcdOptions } from '../store/etcd-gateway.ts';
import { EtcdStore, NotOwnerError } from '../store/etcd-store.ts';
import type { Log } from './log.ts';
import { rateLimit } from './rate-limit.ts';
import { readRegularFile } from './regular-file.ts';
import type { EtcdSettings } from './settings.ts';
import { recoveredLine } from './texts.ts';

export interface CellHost {
  readonly log: Log;
  /** Makes a server with the files as they are now, and with `options` besides. */
  makeServer(options: ServerOptions): Server;
  /** Ends the process: the server can't go on. */
  fail(error: Error): void;
}

/** What etcd is spoken to with; or a sentence, without its full stop, if a file can't be used. */
export function readEtcdFiles({ members, tls, userFile }: EtcdSettings): EtcdOptions | string {
  if ((tls.cert === '') !== (tls.key === '')) {
    return 'etcd needs both a certificate and its key: set --etcd-cert and --etcd-key';
  }
  const pem: { ca?: string; cert?: string; key?: string } = {};
  try {
    for (const name of ['ca', 'cert', 'key'] as const) {
      const path = tls[name];
      if (path === '') continue;
      const text = readRegularFile(path).toString();
      // Node takes a file without one for no CA at all.
      if (!text.includes('-----BEGIN ')) return `--etcd-${name}: ${path} has nothing in PEM`;
      pem[name] = text;
    }
    createSecureContext(pem);
  } catch (error) {
    return `cannot use the files of --etcd-ca, --etcd-cert and --etcd-key: ${reasonOf(error)}`;
  }
  if (userFile === '') return { members, ...pem };
  let text: string;
  try {
    text = readRegularFile(userFile).toString();
  } catch (error) {
    return `--etcd-user-file: cannot read ${userFile}: ${reasonOf(error)}`;
  }
  const [, name, password] = /^([^:\n]+):([^\n]+)\n?$/.exec(text) ?? [];
  if (name === undefined || password === undefined) {
    return `--etcd-user-file: ${userFile} must have one line, NAME:PASSWORD`;
  }
  return { members, ...pem, user: { name, password } };
}

export class CellServer {
  readonly #etcd: EtcdSettings;
  readonly #gateway: EtcdGateway;
  readonly #host: CellHost;
  readonly #statistics = { takeovers: 0, retries: 0 };
  readonly #trouble: (error: EtcdError) => void;
  #server: Server;
  /** The turn of the server has ended. */
  #isOver = false;
  /** When its turn began. */
  #ownedAtMs = 0;
  /** The port of the first server: another one may not have been chosen. */
  #port: number | undefined;
  #isStopping = false;

  constructor(etcd: EtcdSettings, options: EtcdOptions, host: CellHost) {
    this.#etcd = etcd;
    this.#gateway = new EtcdGateway(options);
    this.#host = host;
    this.#trouble = rateLimit((suppressed, error) => {
      const { failure } = error;
      host.log.add('etcd_failed', troubleLine(error, suppressed), { failure, suppressed });
    });
    this.#server = this.#make();
  }

  /** The server of this turn. */
  get server(): Server {
    return this.#server;
  }

  /** Starts to listen. Rejects like `Server.open`. */
  async open(): Promise<void> {
    await this.#server.open();
  }

  /** Waits for its turn, and serves, over and over, until `stop`. */
  async run(): Promise<void> {
    const server = this.#server;
    try {
      await server.recover();
    } catch (error) {
      const failure = error instanceof Error ? error : new Error(String(error));
      if (this.#isStopping || this.#isOver) return;
      // It was paused while it took over, for so long that another server has.
      if (failure instanceof NotOwnerError) await this.#lost(failure);
      else this.#host.fail(failure);
      return;
    }
    if (server.recovered === undefined) return;
    // Not the wait for the turn.
    const recovered = { ...server.recovered, ms: performance.now() - this.#ownedAtMs };
    const line = `this server serves now: ${recoveredLine(`etcd (${this.#etcd.prefix})`, recovered)}`;
    this.#host.log.add('owner_serving', line, recovered);
  }

  /** The server is about to stop: it does not wait for another turn. */
  stop(): void {
    this.#isStopping = true;
  }

  #make(): Server {
    const { prefix, leaseTtlS: ttlS } = this.#etcd;
    const gateway = this.#gateway;
    const address = (): string => this.#address();
    const ownership = new Ownership({
      cell: new EtcdCell({ gateway, prefix, ttlS, address }),
      address,
      clocks: systemClocks,
      ttlMs: ttlS * 1000,
      statistics: this.#statistics,
    });
    const { log } = this.#host;
    ownership.observe({
      waiting: (owner) => log.add('owner_waiting', waitingLine(owner), { owner }),
      owning: () => {
        this.#ownedAtMs = performance.now();
      },
      silenced: () => log.add('owner_silenced', SILENCED_LINE),
      trouble: (error) => this.#trouble(error),
    });
    const store = new EtcdStore({
      gateway,
      prefix,
      claim: ownership,
      trouble: (error) => ownership.trouble(error),
    });
    return this.#host.makeServer({
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
    const what = `${error.message}. All connections are cut; every lock confirmed to a client is kept`;
    this.#host.log.add('owner_lost', what);
    if (this.#isStopping) return;
    try {
      this.#port ??= portOf(this.#server);
      await this.#server.close();
      if (this.#isStopping) return;
      this.#server = this.#make();
      this.#isOver = false;
      await this.#server.open();
    } catch (failure) {
      this.#host.fail(failure instanceof Error ? failure : new Error(String(failure)));
      return;
    }
    void this.run();
  }

  #address(): string {
    if (this.#etcd.advertise !== '') return this.#etcd.advertise;
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

function waitingLine(owner: string): string {
  return `the server at ${owner} serves; this one waits for its turn`;
}

const SILENCED_LINE =
  'etcd has not confirmed for most of the lease time that this server is the owner; all connections are cut until it does';

function troubleLine({ failure, message }: EtcdError, suppressed: number): string {
  const more = suppressed === 0 ? '' : ` (and ${suppressed} more since the last such line)`;
  if (failure !== 'full') return `${message}; trying again${more}`;
  return `etcd is over its quota (${message}): nothing can be stored, and every client waits. Compact and defragment it, then disarm the alarm (etcdctl alarm disarm)${more}`;
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
