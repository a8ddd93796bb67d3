/**
 * One place to listen on: a TCP port, a Unix socket, or a socket that the parent process has opened
 * already. With TLS, what comes in by TCP is unwrapped first; a Unix socket needs none.
 *
 *     node:net -> Listener -> Acceptor -> LineConnection, or HttpServer -> WebSocketChannel
 *
 * What the listener knows about a connection is put together here, once.
 */
import type { Buffer } from 'node:buffer';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import {
  createServer as createTlsServer,
  type TLSSocket,
  type Server as TlsServer,
} from 'node:tls';
import type { Locality } from '../../protocol/auth.ts';
import { type TakenPath, takePath } from './unix-socket-path.ts';

/** What TLS needs, in PEM. */
export interface TlsFiles {
  readonly cert: string | Buffer;
  readonly key: string | Buffer;
  /** Only clients with a certificate that one of these has signed may connect. */
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
  /** Milliseconds for the handshake of TLS. */
  readonly handshakeMs: number;
  /**
   * Connections of this listener, handshakes of TLS included. For one more, the oldest handshake is cut;
   * one or two beyond come in all the same, so that the acceptor may cut others for them.
   */
  readonly maxConnections: number;
  /** The next number of a client that has no address. */
  readonly nextUnixClient: () => number;
}

/** A connection as it comes in, and all that the way by which it came says about the peer. */
export interface AcceptedConnection {
  /** Has an `error` listener; half-open allowed. */
  readonly socket: Socket;
  /** The peer as people know it: its address; on a Unix socket, where peers have none, a number. */
  readonly name: string;
  /** Where the peer is: elsewhere, if the connection was gone before its address could be read. */
  readonly locality: Locality;
  /** Whether it came by TCP to an address that only this machine can reach. */
  readonly isLoopback: boolean;
}

/** What the listeners of a server report to it. */
export interface ListenerEvents {
  /** A connection has come; what it sends is not known yet. */
  arrived(): void;
  /**
   * A handshake of TLS failed, or took too long.
   *
   * @param why undefined when the peer left or fell silent: it may only have tried whether the port is open
   * @param client undefined when its address is gone with its connection
   */
  handshakeFailed(why: string | undefined, client: string | undefined): void;
  accept(connection: AcceptedConnection): void;
  /** A connection was cut at once, or is rejected: there are as many as are allowed. */
  full(): void;
  /** A connection could not be accepted, for want of descriptors, say. The listener stays open. */
  stuck(error: Error): void;
  /**
   * The file of the Unix socket was gone.
   *
   * @param error why it could not be made again; undefined when it was
   */
  pathLost(path: string, error: Error | undefined): void;
}

const MIN_TLS_VERSION = 'TLSv1.2';

/** Milliseconds of silence after which TCP asks whether the peer is still there. */
const KEEPALIVE_MS = 60_000;

export class Listener {
  readonly place: Place;
  readonly #options: ListenerOptions;
  readonly #server: Server;
  readonly #tls: TlsServer | undefined;
  /** Sockets whose handshake of TLS is not done, by both ends' addresses. */
  readonly #handshaking = new Map<string, Socket>();
  /** Connections that are not closed. */
  #open = 0;
  #path: TakenPath | undefined;
  #isLocal = false;

  /** @throws Error when the certificate or the key can't be used */
  constructor(options: ListenerOptions, events: ListenerEvents) {
    this.#options = options;
    this.place = options.place;
    const accept = (socket: Socket): void => {
      // First of all: a socket that fails with no listener for it would end the process.
      socket.on('error', () => socket.destroy());
      events.accept(this.#connectionOf(socket));
    };
    const acceptSecured = (socket: Socket): void => {
      this.#handshaking.delete(endsOf(socket));
      accept(socket);
    };
    this.#tls =
      options.tls && createSecureLayer(options.tls, options.handshakeMs, events, acceptSecured);
    this.#server = createServer({
      // Half-open, because a peer that has sent all it had to say may still wait for the answer.
      allowHalfOpen: true,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: KEEPALIVE_MS,
    });
    // Beyond it there may be one in its handshake, and another that it is cut for.
    this.#server.maxConnections = options.maxConnections + 2;
    this.#server.on('connection', (socket) => {
      events.arrived();
      this.#open++;
      socket.on('close', () => this.#open--);
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
   * Starts to listen. Rejects with the system's error when that can't be: EADDRINUSE, EACCES... It
   * is to be closed then, too.
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
   * Accepts no more connections, not even those whose handshake is under way. Resolves when the
   * last connection is closed.
   */
  close(): Promise<void> {
    for (const socket of this.#handshaking.values()) socket.destroy();
    this.#path?.giveBack();
    this.#path = undefined;
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }

  /** The path of its Unix socket, if that is not there any more: removed, or replaced by others. */
  get lostPath(): string | undefined {
    const { place } = this;
    return 'path' in place && this.#path?.isOurs() === false ? place.path : undefined;
  }

  /** The TCP address; undefined for a Unix socket, and when it is not open. */
  get address(): AddressInfo | undefined {
    const address = this.#server.address();
    return address === null || typeof address === 'string' ? undefined : address;
  }

  /** Whether it is a Unix socket: its peers are on this machine, and no web pages. */
  get isLocal(): boolean {
    return this.#isLocal;
  }

  /** Whether it is a TCP address that only this machine can reach. */
  get isLoopback(): boolean {
    return isLoopbackAddress(this.address?.address);
  }

  /** The place in a word, for people. */
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
   * Other certificates from now on; connections stay. Throws when they can't be used, and when
   * that would begin or end TLS, or the wish for certificates of clients: those stay as they are.
   */
  setTls(files: TlsFiles): void {
    const { tls } = this.#options;
    if (tls === undefined || (tls.ca === undefined) !== (files.ca === undefined)) {
      throw new RangeError(
        'whether TLS is spoken, and ca wanted, is decided when listening begins',
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
    this.#handshaking.delete(ends);
    oldest?.destroy();
    return true;
  }

  #shakeHands(socket: Socket, tls: TlsServer): void {
    const ends = endsOf(socket);
    this.#handshaking.set(ends, socket);
    socket.on('close', () => this.#handshaking.delete(ends));
    tls.emit('connection', socket);
  }

  #listen(
    place: { path: string } | { fd: number } | { host: string; port: number },
  ): Promise<void> {
    return new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(place, () => {
        this.#server.off('error', reject);
        // Of an inherited Unix socket not even the path is known.
        this.#isLocal = this.address === undefined;
        resolve();
      });
    });
  }
}

/** What tells one TCP connection from all others, and is the same inside TLS and below it. */
function endsOf({ localAddress, localPort, remoteAddress, remotePort }: Socket): string {
  return `${localAddress} ${localPort} ${remoteAddress} ${remotePort}`;
}

/** An address and a port in one word; an IPv6 address is put in brackets. */
export function addressName(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

function createSecureLayer(
  files: TlsFiles,
  handshakeMs: number,
  events: ListenerEvents,
  accept: (socket: Socket) => void,
): TlsServer {
  const server = createTlsServer({
    ...contextOf(files),
    allowHalfOpen: true,
    handshakeTimeout: handshakeMs,
    requestCert: files.ca !== undefined,
    rejectUnauthorized: files.ca !== undefined,
  });
  server.on('secureConnection', accept);
  // node:tls leaves the connection to us.
  server.on('tlsClientError', (error, socket) => {
    const isGone = socket.remoteAddress === undefined;
    events.handshakeFailed(reasonOf(error, socket), isGone ? undefined : remoteName(socket));
    socket.destroy();
  });
  return server;
}

/** Why a handshake failed, in the words of OpenSSL, if it was for what the peer said. */
function reasonOf(error: Error, { authorizationError }: TLSSocket): string | undefined {
  // Of a certificate that is not trusted node:tls says nothing but that the connection is gone.
  if (authorizationError) return String(authorizationError);
  // The message is a line of file names with the reason in its midst.
  return 'reason' in error ? String(error.reason) : undefined;
}

function remoteName({ remoteAddress = 'unknown', remotePort = 0 }: Socket): string {
  return addressName(remoteAddress, remotePort);
}

/** Whether an address is one that only its own machine has; a missing one is not. */
export function isLoopbackAddress(address = ''): boolean {
  return address === '::1' || address.startsWith('127.') || address.startsWith('::ffff:127.');
}

function contextOf({ cert, key, ca }: TlsFiles) {
  return { cert, key, minVersion: MIN_TLS_VERSION, ...(ca === undefined ? {} : { ca }) } as const;
}
