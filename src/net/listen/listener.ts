/**
 * Listens on one address: a TCP port, a Unix socket, or a socket inherited from the parent process.
 * With TLS, TCP connections are decrypted first; Unix sockets never use TLS.
 *
 *     node:net -> Listener -> Acceptor -> LineConnection, or HttpServer -> WebSocketChannel
 *
 * The peer's name and locality are determined here, once per connection.
 */
import type { Buffer } from 'node:buffer';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import {
  createServer as createTlsServer,
  type TLSSocket,
  type Server as TlsServer,
} from 'node:tls';
import type { Locality } from '../../protocol/auth.ts';
import type { Clock, Timer } from '../../runtime/clock.ts';
import { type TakenPath, takePath } from '../../runtime/unix-socket-path.ts';

/** The TLS certificate and key, in PEM. */
export interface TlsFiles {
  readonly cert: string | Buffer;
  readonly key: string | Buffer;
  /** If set, clients must present a certificate signed by one of these. */
  readonly ca?: string | Buffer | undefined;
}

/** Where to listen. */
export type Place =
  | { readonly host: string; readonly port: number }
  /** `mode`: the permissions of the socket file; a process that may write to it may connect. */
  | { readonly path: string; readonly mode: number }
  | { readonly fd: number };

export interface ListenerOptions {
  readonly place: Place;
  readonly tls?: TlsFiles | undefined;
  /** Connections that may wait to be accepted. */
  readonly backlog: number;
  /** Milliseconds that a TLS handshake may take. */
  readonly handshakeMs: number;
  readonly setTimer: Clock['setTimer'];
  /**
   * Connections of this listener, TLS handshakes included. For one more, the oldest handshake is
   * cut. Up to two beyond the limit are accepted all the same, so that the acceptor may cut others
   * for them.
   */
  readonly maxConnections: number;
  /** Returns the next number for clients of Unix sockets, which have no address. */
  readonly nextUnixClient: () => number;
}

/** A new connection, and what its transport says about the peer. */
export interface AcceptedConnection {
  /** Has an `error` listener, and may be half-open. */
  readonly socket: Socket;
  /** The peer's name for people: its address, or a number on a Unix socket. */
  readonly name: string;
  /** Where the peer is; 'remote' if the connection closed before its address could be read. */
  readonly locality: Locality;
  /** Whether it was accepted on a TCP address that only this machine can reach. */
  readonly isLoopback: boolean;
}

/** Events of the listeners of a server. */
export interface ListenerEvents {
  /**
   * A TCP or Unix connection was opened; TLS has not begun.
   *
   * @param backlog of the listener: so many more may wait
   */
  arrived(backlog: number): void;
  /**
   * A TLS handshake failed or timed out.
   *
   * @param why undefined if the peer closed or sent nothing more, as port scans and probes do
   * @param client undefined if the connection closed before its address could be read
   */
  handshakeFailed(why: string | undefined, client: string | undefined): void;
  accept(connection: AcceptedConnection): void;
  /** A connection was cut at the connection limit. */
  full(): void;
  /**
   * A connection could not be accepted, for example for lack of descriptors. The listener stays
   * open.
   */
  stuck(error: Error): void;
  /**
   * The file of the Unix socket was removed or replaced.
   *
   * @param error why the socket could not be created again; undefined if it was
   */
  pathLost(path: string, error: Error | undefined): void;
}

const MIN_TLS_VERSION = 'TLSv1.2';

/**
 * The longest timeout of Node. Its own one for handshakes would, after a stall, cut those whose bytes
 * have arrived and not been read.
 */
const NO_TIMEOUT_MS = 2 ** 31 - 1;

/** Milliseconds of silence before the first TCP keep-alive probe. */
const KEEPALIVE_MS = 60_000;

export class Listener {
  readonly place: Place;
  readonly #options: ListenerOptions;
  readonly #server: Server;
  readonly #tls: TlsServer | undefined;
  /** Sockets in their TLS handshake, by the addresses of both ends; oldest first. */
  readonly #handshaking = new Map<string, { readonly socket: Socket; readonly timer: Timer }>();
  /** Number of open connections. */
  #open = 0;
  #path: TakenPath | undefined;
  #isLocal = false;
  /** Known once it listens: asking the system for each connection is 2 % of what one costs. */
  #isLoopback = false;

  /** @throws Error if the certificate or the key can't be used */
  constructor(options: ListenerOptions, events: ListenerEvents) {
    this.#options = options;
    this.place = options.place;
    const accept = (socket: Socket): void => {
      // Must come first: an 'error' event without a listener would end the process.
      socket.on('error', destroy);
      events.accept(this.#connectionOf(socket));
    };
    const acceptSecured = (socket: Socket): void => {
      this.#handshakeEnded(endsOf(socket));
      accept(socket);
    };
    this.#tls = options.tls && createSecureLayer(options.tls, events, acceptSecured);
    this.#server = createServer({
      // A peer may close its side after its last request and still wait for the reply.
      allowHalfOpen: true,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: KEEPALIVE_MS,
    });
    // Two more: one in its handshake, and the one that it is cut for.
    this.#server.maxConnections = options.maxConnections + 2;
    const closed = (): void => void this.#open--;
    this.#server.on('connection', (socket) => {
      events.arrived(options.backlog);
      this.#open++;
      socket.on('close', closed);
      if (this.#open > options.maxConnections && this.#cutOldestHandshake()) events.full();
      if (this.#tls === undefined || this.isLocal) accept(socket);
      else this.#shakeHands(socket, this.#tls);
    });
    this.#server.on('drop', () => events.full());
    this.#server.on('error', (error) => {
      if (this.#server.listening) events.stuck(error);
    });
  }

  /**
   * Starts to listen. Rejects with the system's error (EADDRINUSE, EACCES...); the caller must call
   * `close` then, too.
   */
  async open(): Promise<void> {
    const { place } = this;
    if (!('path' in place)) {
      await this.#listen(place);
      return;
    }
    this.#path = await takePath(place.path, place.mode, (path) => this.#listen({ path }));
  }

  /**
   * Stops accepting, and cuts connections in their TLS handshake. Resolves when the last connection
   * is closed.
   */
  close(): Promise<void> {
    for (const { socket } of this.#handshaking.values()) socket.destroy();
    this.#path?.giveBack();
    this.#path = undefined;
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }

  /** The path of its Unix socket, if its file was removed or replaced; else undefined. */
  get lostPath(): string | undefined {
    const { place } = this;
    return 'path' in place && this.#path?.isOurs() === false ? place.path : undefined;
  }

  /** The TCP address; undefined for a Unix socket, and while not open. */
  get address(): AddressInfo | undefined {
    const address = this.#server.address();
    return address === null || typeof address === 'string' ? undefined : address;
  }

  /** Whether it is a Unix socket: its peers are on this machine, and browsers can't reach it. */
  get isLocal(): boolean {
    return this.#isLocal;
  }

  /** Whether it is a TCP address that only this machine can reach. */
  get isLoopback(): boolean {
    return this.#isLoopback;
  }

  /** The address, for people. */
  get name(): string {
    const { address } = this;
    if (address !== undefined) {
      const name = addressName(address.address, address.port);
      return this.#tls === undefined ? name : `${name} (TLS)`;
    }
    const { place } = this;
    if ('path' in place) return `unix:${place.path}`;
    return 'fd' in place ? `unix:fd ${place.fd}` : 'nowhere';
  }

  /**
   * Replaces the certificates; open connections stay. Throws if they can't be used, or if that
   * would turn TLS or client certificates on or off.
   */
  setTls(files: TlsFiles): void {
    const { tls } = this.#options;
    if (tls === undefined || (tls.ca === undefined) !== (files.ca === undefined)) {
      throw new RangeError(
        'TLS and client certificates (ca) cannot be turned on or off while listening',
      );
    }
    this.#tls?.setSecureContext(contextOf(files));
  }

  #connectionOf(socket: Socket): AcceptedConnection {
    if (this.isLocal) {
      const name = `unix#${this.#options.nextUnixClient()}`;
      return { socket, name, locality: 'unix', isLoopback: false };
    }
    const locality = isLoopbackAddress(socket.remoteAddress) ? 'loopback' : 'remote';
    return { socket, name: remoteName(socket), locality, isLoopback: this.isLoopback };
  }

  /** @returns whether there was one */
  #cutOldestHandshake(): boolean {
    const [[ends, oldest] = []] = this.#handshaking;
    if (ends === undefined) return false;
    this.#handshakeEnded(ends);
    oldest?.socket.destroy();
    return true;
  }

  #handshakeEnded(ends: string): void {
    this.#handshaking.get(ends)?.timer.cancel();
    this.#handshaking.delete(ends);
  }

  #shakeHands(socket: Socket, tls: TlsServer): void {
    const ends = endsOf(socket);
    const { handshakeMs, setTimer } = this.#options;
    const timer = setTimer(handshakeMs, () => socket.destroy());
    this.#handshaking.set(ends, { socket, timer });
    socket.on('close', () => {
      timer.cancel();
      this.#handshaking.delete(ends);
    });
    tls.emit('connection', socket);
  }

  #listen(
    place: { path: string } | { fd: number } | { host: string; port: number },
  ): Promise<void> {
    return new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      const { backlog } = this.#options;
      this.#server.listen({ ...place, backlog }, () => {
        this.#server.off('error', reject);
        // Only Unix sockets have no TCP address; of an inherited one not even the path is known.
        const { address } = this;
        this.#isLocal = address === undefined;
        this.#isLoopback = isLoopbackAddress(address?.address);
        resolve();
      });
    });
  }
}

/** A listener for the errors of sockets: one for all of them, since idle ones cost little else. */
function destroy(this: Socket): void {
  this.destroy();
}

/** Identifies a TCP connection; the same for the TLS socket and the raw socket below it. */
function endsOf({ localAddress, localPort, remoteAddress, remotePort }: Socket): string {
  return `${localAddress} ${localPort} ${remoteAddress} ${remotePort}`;
}

/** `address:port`, with an IPv6 address in brackets. */
export function addressName(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

function createSecureLayer(
  files: TlsFiles,
  events: ListenerEvents,
  accept: (socket: Socket) => void,
): TlsServer {
  const server = createTlsServer({
    ...contextOf(files),
    allowHalfOpen: true,
    handshakeTimeout: NO_TIMEOUT_MS,
    requestCert: files.ca !== undefined,
    rejectUnauthorized: files.ca !== undefined,
  });
  server.on('secureConnection', accept);
  // node:tls does not close the connection itself.
  server.on('tlsClientError', (error, socket) => {
    const isGone = socket.remoteAddress === undefined;
    events.handshakeFailed(reasonOf(error, socket), isGone ? undefined : remoteName(socket));
    socket.destroy();
  });
  return server;
}

/** OpenSSL's reason for a failed handshake; undefined if the peer sent nothing wrong. */
function reasonOf(error: Error, { authorizationError }: TLSSocket): string | undefined {
  // For an untrusted client certificate the error itself only says that the connection was closed.
  if (authorizationError) return String(authorizationError);
  // The message is OpenSSL's error line, with file names and codes around the reason.
  return 'reason' in error ? String(error.reason) : undefined;
}

function remoteName({ remoteAddress = 'unknown', remotePort = 0 }: Socket): string {
  return addressName(remoteAddress, remotePort);
}

/** Whether it is a loopback address; false if undefined. */
export function isLoopbackAddress(address = ''): boolean {
  return address === '::1' || address.startsWith('127.') || address.startsWith('::ffff:127.');
}

function contextOf({ cert, key, ca }: TlsFiles) {
  return { cert, key, minVersion: MIN_TLS_VERSION, ...(ca === undefined ? {} : { ca }) } as const;
}
