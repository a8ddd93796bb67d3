/**
 * All places that the server listens on, and what the place by which somebody came says of him: how
 * he is called, whether he is on this machine, and whether a web page could have sent him.
 */
import { promises as dns } from 'node:dns';
import { type AddressInfo, isIP, type Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { Locality } from '../../protocol/auth.ts';
import type { Clock, Timer } from '../../runtime/clock.ts';
import { addressName, Listener, type Place, type TlsFiles } from './listener.ts';

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
  /** Connections of each door; more are cut at once. */
  readonly maxConnections: number;
  readonly setTimer: Clock['setTimer'];
}

interface HostPlace {
  readonly host: string;
  readonly port: number;
}

/** What becomes of whoever comes in; see `DoorKeeper`. */
export interface ConnectionEvents {
  arrived(): void;
  /**
   * @param why undefined when the peer left or fell silent: it may only have tried whether the port is open
   * @param client undefined when its address is gone with its connection
   */
  handshakeFailed(why: string | undefined, client: string | undefined): void;
  /** Somebody came in: a socket with an `error` listener, half-open allowed. */
  accept(socket: Socket): void;
  full(): void;
  stuck(error: Error): void;
  /**
   * The file of the Unix socket was gone.
   *
   * @param error why it could not be made again; undefined when it was
   */
  pathLost(path: string, error: Error | undefined): void;
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
  readonly #keeper: ConnectionEvents;
  #listeners: readonly Listener[] = [];
  /** Through which of them each socket came. */
  readonly #listenerOf = new WeakMap<Socket, Listener>();
  #unixClients = 0;
  #isClosed = false;
  /** When it is to be seen next whether the file of the Unix socket is there. */
  #pathTimer: Timer | undefined;
  #renewal: Promise<void> | undefined;
  /** The code of the error for which the Unix socket could not be made again, once that is told. */
  #pathTrouble: unknown = '';
  /** Doors that were replaced, as long as connections through them are open. */
  readonly #replaced = new Set<Promise<void>>();

  constructor(options: ListenersOptions, keeper: ConnectionEvents) {
    this.#options = options;
    this.#keeper = keeper;
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
        const opened = 'host' in place ? this.#openHost(place) : [await this.#openDoor(place)];
        for (const listener of await opened) listeners.push(listener);
      }
    } catch (error) {
      for (const listener of listeners) listener.close();
      throw error;
    }
    this.#listeners = listeners;
    this.#watchPaths();
  }

  /** Lets nobody in any more. Resolves when the last connection is closed. */
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

  /** Those that others than this machine may reach. */
  get exposedAddresses(): readonly string[] {
    return this.#listeners
      .filter((listener) => !listener.isLocal && !isLoopback(listener))
      .map(({ name }) => name);
  }

  /** Other certificates from now on; who is connected stays. Throws when they can't be used. */
  setTls(files: TlsFiles): void {
    for (const listener of this.#listeners) listener.setTls(files);
  }

  /** Whether `socket` came by TCP where only this machine can reach the server. */
  isLoopback(socket: Socket): boolean {
    const listener = this.#listenerOf.get(socket);
    return listener !== undefined && isLoopback(listener);
  }

  /** Where the peer is. A socket that is gone already has no address: then elsewhere. */
  locality(socket: Socket): Locality {
    if (this.#listenerOf.get(socket)?.isLocal) return 'unix';
    return isLoopbackAddress(socket.remoteAddress) ? 'loopback' : 'remote';
  }

  /** A peer as people know it: its address; on a Unix socket, where peers have none, a number. */
  clientName(socket: Socket): string {
    if (this.#listenerOf.get(socket)?.isLocal) return `unix#${++this.#unixClients}`;
    const { remoteAddress = 'unknown', remotePort = 0 } = socket;
    return addressName(remoteAddress, remotePort);
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

  /** @param doors receives those that are open, also when a later one fails */
  async #openAddresses(
    addresses: readonly string[],
    port: number,
    listeners: Listener[],
  ): Promise<void> {
    let failure: unknown;
    for (const host of addresses) {
      try {
        listeners.push(await this.#openDoor({ host, port: listeners[0]?.address?.port ?? port }));
      } catch (error) {
        if (!ELSEWHERE.includes(codeOf(error))) throw error;
        failure ??= error;
      }
    }
    if (listeners.length === 0) throw failure;
  }

  async #openDoor(place: Place): Promise<Listener> {
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

  /** Listens anew where the file of a Unix socket is gone: who is connected stays with the old one. */
  async #renewLost(): Promise<void> {
    for (const listener of this.#listeners) {
      const path = listener.lostPath;
      if (path === undefined) continue;
      try {
        const renewed = await this.#openDoor(listener.place);
        this.#listeners = this.#listeners.map((other) => (other === listener ? renewed : other));
        const closed = listener.close();
        this.#replaced.add(closed);
        closed.then(() => this.#replaced.delete(closed));
        this.#pathTrouble = '';
        this.#keeper.pathLost(path, undefined);
      } catch (error) {
        const trouble = error instanceof Error ? error : new Error(String(error));
        const code = codeOf(trouble);
        if (code !== this.#pathTrouble) this.#keeper.pathLost(path, trouble);
        this.#pathTrouble = code;
      }
    }
  }

  #makeListener(place: Place): Listener {
    const { tls, handshakeMs, maxConnections } = this.#options;
    const keeper = this.#keeper;
    return new Listener(
      { place, tls, handshakeMs, maxConnections },
      {
        arrived: () => keeper.arrived(),
        handshakeFailed: (error, socket) => {
          const isGone = socket.remoteAddress === undefined;
          keeper.handshakeFailed(
            whyOf(error, socket),
            isGone ? undefined : this.clientName(socket),
          );
        },
        accept: (socket, listener) => {
          this.#listenerOf.set(socket, listener);
          keeper.accept(socket);
        },
        full: () => keeper.full(),
        stuck: (error) => keeper.stuck(error),
      },
    );
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

/** Why a handshake failed, in the words of OpenSSL, if it was for what the peer said. */
function whyOf(error: Error, { authorizationError }: TLSSocket): string | undefined {
  // Of a certificate that is not trusted node:tls says nothing but that the connection is gone.
  if (authorizationError) return String(authorizationError);
  // The message is a line of file names with the reason in its midst.
  return 'reason' in error ? String(error.reason) : undefined;
}

function isLoopback({ address }: Listener): boolean {
  return isLoopbackAddress(address?.address);
}

/** Whether an address is one that only its own machine has; a missing one is not. */
export function isLoopbackAddress(address = ''): boolean {
  return address === '::1' || address.startsWith('127.') || address.startsWith('::ffff:127.');
}
