/** All places that the server listens on: opened together, closed together, and kept open. */
import { promises as dns } from 'node:dns';
import { type AddressInfo, isIP } from 'node:net';
import type { Clock, Timer } from '../../runtime/clock.ts';
import { Listener, type ListenerEvents, type Place, type TlsFiles } from './listener.ts';

export interface ListenersOptions {
  readonly host: string;
  readonly port: number;
  /** Whether to listen on `host` and `port` at all. */
  readonly tcp: boolean;
  readonly tls: TlsFiles | undefined;
  readonly socket: { readonly path: string; readonly mode?: number } | undefined;
  /** Sockets that are listening already, by descriptor, instead of all of the above. */
  readonly fds: readonly number[];
  /** Milliseconds for the handshake of TLS. */
  readonly handshakeMs: number;
  /** Connections of each listener; more are cut at once. */
  readonly maxConnections: number;
  readonly setTimer: Clock['setTimer'];
}

interface HostPlace {
  readonly host: string;
  readonly port: number;
}

/** Milliseconds between two looks at whether the file of the Unix socket is there: a rare `lstat`. */
const PATH_CHECK_MS = 10_000;

/** Ports to be tried in turn when any will do, but it must be free at all addresses of a name. */
const MAX_TRIES = 10;

/** What the system says of an address of a name that this machine does not have, or not now. */
const ELSEWHERE: readonly unknown[] = ['EADDRNOTAVAIL', 'EAFNOSUPPORT', 'EINVAL'];

/** The owner of a Unix socket and its group may connect. */
const DEFAULT_SOCKET_MODE = 0o660;

export class Listeners {
  readonly #options: ListenersOptions;
  readonly #events: ListenerEvents;
  #listeners: readonly Listener[] = [];
  #unixClients = 0;
  #isClosed = false;
  /** When it is to be seen next whether the file of the Unix socket is there. */
  #pathTimer: Timer | undefined;
  #renewal: Promise<void> | undefined;
  /** The code of the error for which the Unix socket could not be made again, once that is told. */
  #pathTrouble: unknown = '';
  /** Listeners that were replaced, as long as connections that came by them are open. */
  readonly #replaced = new Set<Promise<void>>();

  constructor(options: ListenersOptions, events: ListenerEvents) {
    this.#options = options;
    this.#events = events;
  }

  /**
   * Opens all or none. Rejects with the system's error, with that of TLS, or with a RangeError when
   * the options make no sense.
   */
  async open(): Promise<void> {
    // Node takes the empty name for all addresses of the machine, which nobody means by it.
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

  /** Accepts no more connections. Resolves when the last connection is closed. */
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

  /** All of them, in words. */
  get addresses(): readonly string[] {
    return this.#listeners.map(({ name }) => name);
  }

  /** Those that other machines may reach. */
  get exposedAddresses(): readonly string[] {
    return this.#listeners
      .filter((listener) => !listener.isLocal && !listener.isLoopback)
      .map(({ name }) => name);
  }

  /** Other certificates from now on; connections stay. Throws when they can't be used. */
  setTls(files: TlsFiles): void {
    for (const listener of this.#listeners) listener.setTls(files);
  }

  /** Listens on every address of a host that this machine has, all with the same port. */
  async #openHost({ host, port }: HostPlace): Promise<Listener[]> {
    const addresses = await addressesOf(host);
    for (let tries = 1; ; tries++) {
      const listeners: Listener[] = [];
      try {
        await this.#openAddresses(addresses, port, listeners);
        return listeners;
      } catch (error) {
        for (const listener of listeners) listener.close();
        // The port that was free at the first address is taken at another one.
        const isWorthTrying = port === 0 && listeners.length > 0 && tries < MAX_TRIES;
        if (!isWorthTrying || codeOf(error) !== 'EADDRINUSE') throw error;
      }
    }
  }

  /** @param listeners receives those that are open, also when a later one fails */
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
        if (!ELSEWHERE.includes(codeOf(error))) throw error;
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

  /** Listens anew where the file of a Unix socket is gone; connections stay with the old listener. */
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
        this.#pathTrouble = '';
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
    const { tls, handshakeMs, maxConnections } = this.#options;
    const nextUnixClient = (): number => ++this.#unixClients;
    const options = { place, tls, handshakeMs, maxConnections, nextUnixClient };
    return new Listener(options, this.#events);
  }
}

/** Every address of a host, each once. */
async function addressesOf(host: string): Promise<readonly string[]> {
  if (isIP(host) !== 0) return [host];
  const found = await dns.lookup(host, { all: true });
  return [...new Set(found.map(({ address }) => address))];
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}

function listenAddresses({ host, port, tcp, socket, fds }: ListenersOptions): Place[] {
  if (fds.length > 0) return fds.map((fd) => ({ fd }));
  const places: Place[] = tcp ? [{ host, port }] : [];
  if (socket !== undefined) places.push({ mode: DEFAULT_SOCKET_MODE, ...socket });
  return places;
}
