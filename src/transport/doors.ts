/**
 * All places that the server listens on, and what the place by which somebody came says of him: how
 * he is called, whether he is on this machine, and whether a web page could have sent him.
 */
import type { AddressInfo, Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { addressName, Door, type Place, type TlsFiles } from './door.ts';

export interface DoorsOptions {
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
}

/** What becomes of whoever comes in; see `DoorKeeper`. */
export interface DoorsKeeper {
  arrived(): void;
  /**
   * @param why undefined when the peer left or fell silent: it may only have tried whether the port is open
   * @param client undefined when its address is gone with its connection
   */
  handshakeFailed(why: string | undefined, client: string | undefined): void;
  /** Somebody came in: a socket with an `error` listener, half-open allowed. */
  welcome(socket: Socket): void;
  full(): void;
  stuck(error: Error): void;
}

/** The owner of a Unix socket and its group may connect. */
const DEFAULT_SOCKET_MODE = 0o660;

export class Doors {
  readonly #options: DoorsOptions;
  readonly #keeper: DoorsKeeper;
  #doors: readonly Door[] = [];
  /** Through which of them each socket came. */
  readonly #doorOf = new WeakMap<Socket, Door>();
  #unixClients = 0;

  constructor(options: DoorsOptions, keeper: DoorsKeeper) {
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
    const doors = placesOf(this.#options).map((place) => this.#makeDoor(place));
    if (doors.length === 0) throw new RangeError('there is nowhere to listen on');
    try {
      for (const door of doors) await door.open();
    } catch (error) {
      for (const door of doors) door.close();
      throw error;
    }
    this.#doors = doors;
  }

  /** Lets nobody in any more. Resolves when the last connection is closed. */
  async close(): Promise<void> {
    await Promise.all(this.#doors.map((door) => door.close()));
  }

  /** The first TCP address. */
  get address(): AddressInfo {
    for (const { address } of this.#doors) if (address !== undefined) return address;
    throw new Error('not listening by TCP');
  }

  /** All of them, in words. */
  get places(): readonly string[] {
    return this.#doors.map(({ name }) => name);
  }

  /** Those that others than this machine may reach. */
  get exposedPlaces(): readonly string[] {
    return this.#doors.filter((door) => !door.isLocal && !isLoopback(door)).map(({ name }) => name);
  }

  /** Other certificates from now on; who is connected stays. Throws when they can't be used. */
  setTls(files: TlsFiles): void {
    for (const door of this.#doors) door.setTls(files);
  }

  /** Whether `socket` came by TCP where only this machine can reach the server. */
  isLoopback(socket: Socket): boolean {
    const door = this.#doorOf.get(socket);
    return door !== undefined && isLoopback(door);
  }

  /** Whether the peer is on this machine. A socket that is gone already has no address: then not. */
  isLocal(socket: Socket): boolean {
    return this.#doorOf.get(socket)?.isLocal || isLoopbackAddress(socket.remoteAddress);
  }

  /** A peer as people know it: its address; on a Unix socket, where peers have none, a number. */
  clientName(socket: Socket): string {
    if (this.#doorOf.get(socket)?.isLocal) return `unix#${++this.#unixClients}`;
    const { remoteAddress = 'unknown', remotePort = 0 } = socket;
    return addressName(remoteAddress, remotePort);
  }

  #makeDoor(place: Place): Door {
    const { tls, handshakeMs, maxConnections } = this.#options;
    const keeper = this.#keeper;
    return new Door(
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
        welcome: (socket, door) => {
          this.#doorOf.set(socket, door);
          keeper.welcome(socket);
        },
        full: () => keeper.full(),
        stuck: (error) => keeper.stuck(error),
      },
    );
  }
}

function placesOf({ host, port, tcp, socket, fds }: DoorsOptions): Place[] {
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

function isLoopback({ address }: Door): boolean {
  return isLoopbackAddress(address?.address);
}

/** Whether an address is one that only its own machine has; a missing one is not. */
export function isLoopbackAddress(address = ''): boolean {
  return address === '::1' || address.startsWith('127.') || address.startsWith('::ffff:127.');
}
