/**
 * All listeners of a server: opened together, all or none, and closed together. Listens again on a
 * Unix socket whose file was removed.
 */
import { promises as dns } from 'node:dns';
import { type AddressInfo, isIP } from 'node:net';
import type { Clock, Timer } from '../../runtime/clock.ts';
import { codeOf } from '../../runtime/unknown.ts';
import { Listener, type ListenerEvents, type Place, type TlsFiles } from './listener.ts';

export interface ListenersOptions {
  readonly host: string;
  readonly port: number;
  /** Whether to listen on `host` and `port` at all. */
  readonly tcp: boolean;
  readonly tls: TlsFiles | undefined;
  readonly socket: { readonly path: string; readonly mode?: number } | undefined;
  /**
   * Descriptors of sockets that already listen. If there are any, they replace TCP and `socket`.
   */
  readonly fds: readonly number[];
  /** Connections that may wait to be accepted, on each address. */
  readonly backlog: number;
  /** Milliseconds that a TLS handshake may take. */
  readonly handshakeMs: number;
  /** Connections of each listener; more are cut at once. */
  readonly maxConnections: number;
  readonly setTimer: Clock['setTimer'];
}

interface HostPlace {
  readonly host: string;
  readonly port: number;
}

/** Milliseconds between two checks that the file of the Unix socket is still there: one `lstat`. */
const PATH_CHECK_MS = 10_000;

/** Attempts to find a port that is free on all addresses of a host, when the port is 0. */
const MAX_TRIES = 10;

/** Errors for an address of the host that this machine does not have, at least at the moment. */
const NOT_AVAILABLE: readonly string[] = ['EADDRNOTAVAIL', 'EAFNOSUPPORT', 'EINVAL'];

/** The owner of the Unix socket and its group may connect. */
const DEFAULT_SOCKET_MODE = 0o660;

export class Listeners {
  readonly #options: ListenersOptions;
  readonly #events: ListenerEvents;
  #listeners: readonly Listener[] = [];
  #unixClients = 0;
  #isClosed = false;
  /** Runs until the next check of the Unix socket's file. */
  #pathTimer: Timer | undefined;
  #renewal: Promise<void> | undefined;
  /** The code of the last failure to create the Unix socket again; undefined after a success. */
  #pathTrouble: string | undefined;
  /** Pending closes of replaced listeners: each lasts as long as it has open connections. */
  readonly #replaced = new Set<Promise<void>>();

  constructor(options: ListenersOptions, events: ListenerEvents) {
    this.#options = options;
    this.#events = events;
  }

  /**
   * Opens all listeners or none. Rejects with the error of the system or of TLS, or with a
   * RangeError if the options are invalid.
   */
  async open(): Promise<void> {
    // Node would listen on all addresses of the machine.
    if (this.#options.host === '') throw new RangeError('host must not be empty');
    const places = listenAddresses(this.#options);
    if (places.length === 0) throw new RangeError('there is nowhere to listen on');
    const listeners: Listener[] = [];
    try {
      for (const place of places) {
        const opened = 'host' in place ? this.#openHost(place) : [await this.#openListener(place)];
        for (const listener of await opened) listeners.push(listener);
      }
    } catch (error) {
      for (const listener of listeners) listener.close();
      throw error;
    }
    this.#listeners = listeners;
    this.#watchPaths();
  }

  /** Stops accepting. Resolves when the last connection is closed. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#pathTimer?.cancel();
    await this.#renewal;
    await Promise.all([...this.#listeners.map((listener) => listener.close()), ...this.#replaced]);
  }

  /** The first TCP address. */
  get address(): AddressInfo {
    for (const { address } of this.#listeners) if (address !== undefined) return address;
    throw new Error('not listening by TCP');
  }

  /** All addresses, for people. */
  get addresses(): readonly string[] {
    return this.#listeners.map(({ name }) => name);
  }

  /** The addresses that other machines may reach. */
  get exposedAddresses(): readonly string[] {
    return this.#listeners
      .filter((listener) => !listener.isLocal && !listener.isLoopback)
      .map(({ name }) => name);
  }

  /** Replaces the certificates; open connections stay. Throws if they can't be used. */
  setTls(files: TlsFiles): void {
    for (const listener of this.#listeners) listener.setTls(files);
  }

  /** Listens on every address of the host that this machine has, all with the same port. */
  async #openHost({ host, port }: HostPlace): Promise<Listener[]> {
    const addresses = await addressesOf(host);
    for (let tries = 1; ; tries++) {
      const listeners: Listener[] = [];
      try {
        await this.#openAddresses(addresses, port, listeners);
        return listeners;
      } catch (error) {
        for (const listener of listeners) listener.close();
        // A port that the system chose for the first address may be in use on another one.
        const isWorthTrying = port === 0 && listeners.length > 0 && tries < MAX_TRIES;
        if (!isWorthTrying || codeOf(error) !== 'EADDRINUSE') throw error;
      }
    }
  }

  /** @param listeners receives each listener once it is open, so that the caller can close it */
  async #openAddresses(
    addresses: readonly string[],
    port: number,
    listeners: Listener[],
  ): Promise<void> {
    let failure: unknown;
    for (const host of addresses) {
      try {
        listeners.push(
          await this.#openListener({ host, port: listeners[0]?.address?.port ?? port }),
        );
      } catch (error) {
        if (!NOT_AVAILABLE.includes(codeOf(error))) throw error;
        failure ??= error;
      }
    }
    if (listeners.length === 0) throw failure;
  }

  async #openListener(place: Place): Promise<Listener> {
    const listener = this.#makeListener(place);
    try {
      await listener.open();
      return listener;
    } catch (error) {
      listener.close();
      throw error;
    }
  }

  #watchPaths(): void {
    const { socket, fds, setTimer } = this.#options;
    if (socket === undefined || fds.length > 0) return;
    this.#pathTimer = setTimer(PATH_CHECK_MS, () => {
      this.#renewal = this.#renewLost().then(() => {
        if (!this.#isClosed) this.#watchPaths();
      });
    });
  }

  /** Replaces listeners whose Unix socket file was removed; the old ones keep their connections. */
  async #renewLost(): Promise<void> {
    for (const listener of this.#listeners) {
      const path = listener.lostPath;
      if (path === undefined) continue;
      try {
        const renewed = await this.#openListener(listener.place);
        this.#listeners = this.#listeners.map((other) => (other === listener ? renewed : other));
        const closed = listener.close();
        this.#replaced.add(closed);
        closed.then(() => this.#replaced.delete(closed));
        this.#pathTrouble = undefined;
        this.#events.pathLost(path, undefined);
      } catch (error) {
        const trouble = error instanceof Error ? error : new Error(String(error));
        const code = codeOf(trouble);
        if (code !== this.#pathTrouble) this.#events.pathLost(path, trouble);
        this.#pathTrouble = code;
      }
    }
  }

  #makeListener(place: Place): Listener {
    const { tls, backlog, handshakeMs, setTimer, maxConnections } = this.#options;
    const nextUnixClient = (): number => ++this.#unixClients;
    const options = { place, tls, backlog, handshakeMs, setTimer, maxConnections, nextUnixClient };
    return new Listener(options, this.#events);
  }
}

/** The distinct addresses of a host. */
async function addressesOf(host: string): Promise<readonly string[]> {
  if (isIP(host) !== 0) return [host];
  const found = await dns.lookup(host, { all: true });
  return [...new Set(found.map(({ address }) => address))];
}

function listenAddresses({ host, port, tcp, socket, fds }: ListenersOptions): Place[] {
  if (fds.length > 0) return fds.map((fd) => ({ fd }));
  const places: Place[] = tcp ? [{ host, port }] : [];
  if (socket !== undefined) places.push({ mode: DEFAULT_SOCKET_MODE, ...socket });
  return places;
}
