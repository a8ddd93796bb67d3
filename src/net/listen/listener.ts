/**
 * A place to listen on: a TCP port, a Unix socket, or a socket that whoever started the program has
 * opened already. With TLS, what comes in by TCP is unwrapped first; a Unix socket needs none.
 */
import type { Buffer } from 'node:buffer';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import {
  createServer as createTlsServer,
  type TLSSocket,
  type Server as TlsServer,
} from 'node:tls';
import { type TakenPath, takePath } from './unix-socket-path.ts';

/** What TLS needs, in PEM. */
export interface TlsFiles {
  readonly cert: string | Buffer;
  readonly key: string | Buffer;
  /** Only clients with a certificate that one of these has signed may connect. */
  readonly ca?: string | Buffer | undefined;
}

/** Where a door is. */
export type Place =
  | { readonly host: string; readonly port: number }
  /** @see `mode` the permissions of the socket file: whoever may write to it may connect */
  | { readonly path: string; readonly mode: number }
  | { readonly fd: number };

export interface ListenerOptions {
  readonly place: Place;
  readonly tls?: TlsFiles | undefined;
  /** Milliseconds for the handshake of TLS. */
  readonly handshakeMs: number;
  /** Connections of this door, those that are still in their handshake too; more are cut at once. */
  readonly maxConnections: number;
}

/** What becomes of whoever comes in. */
export interface ListenerEvents {
  /** Somebody is at the door; what it sends is not known yet. */
  arrived(): void;
  /** Somebody did not come in: the handshake of TLS failed, or took too long. */
  handshakeFailed(error: Error, socket: TLSSocket): void;
  /** Somebody came in: a socket with an `error` listener, half-open allowed. */
  accept(socket: Socket, listener: Listener): void;
  /** Somebody was cut at once: too many are at the door already. */
  full(): void;
  /** Somebody could not be let in, for want of descriptors, say. The door stays open. */
  stuck(error: Error): void;
}

const MIN_TLS_VERSION = 'TLSv1.2';

/** Milliseconds of silence after which TCP asks whether the peer is still there. */
const KEEPALIVE_MS = 60_000;

export class Listener {
  readonly place: Place;
  readonly #options: ListenerOptions;
  readonly #server: Server;
  readonly #tls: TlsServer | undefined;
  /** Those whose handshake of TLS is not done, by both ends' addresses. */
  readonly #handshaking = new Map<string, Socket>();
  #path: TakenPath | undefined;
  #isLocal = false;

  /** @throws Error when the certificate or the key can't be used */
  constructor(options: ListenerOptions, keeper: ListenerEvents) {
    this.#options = options;
    this.place = options.place;
    const enter = (socket: Socket): void => {
      // First of all: a socket that fails with nobody listening would end the process.
      socket.on('error', () => socket.destroy());
      keeper.accept(socket, this);
    };
    const enterSecured = (socket: Socket): void => {
      this.#handshaking.delete(endsOf(socket));
      enter(socket);
    };
    this.#tls =
      options.tls && createSecureLayer(options.tls, options.handshakeMs, keeper, enterSecured);
    this.#server = createServer({
      // Half-open, because whoever sent all it had to say may still wait for the answer.
      allowHalfOpen: true,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: KEEPALIVE_MS,
    });
    this.#server.maxConnections = options.maxConnections;
    this.#server.on('connection', (socket) => {
      keeper.arrived();
      if (this.#tls === undefined || this.isLocal) enter(socket);
      else this.#shakeHands(socket, this.#tls);
    });
    this.#server.on('drop', () => keeper.full());
    this.#server.on('error', (error) => {
      if (this.#server.listening) keeper.stuck(error);
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
   * Lets nobody in any more, not even those who are about to come in. Resolves when the last
   * connection is closed.
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

  /** Whether it is a Unix socket: whoever comes in is on this machine, and no web page. */
  get isLocal(): boolean {
    return this.#isLocal;
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
   * Other certificates from now on; who is connected stays. Throws when they can't be used, and when
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
  keeper: ListenerEvents,
  enter: (socket: Socket) => void,
): TlsServer {
  const server = createTlsServer({
    ...contextOf(files),
    allowHalfOpen: true,
    handshakeTimeout: handshakeMs,
    requestCert: files.ca !== undefined,
    rejectUnauthorized: files.ca !== undefined,
  });
  server.on('secureConnection', enter);
  // node:tls leaves the connection to us.
  server.on('tlsClientError', (error, socket) => {
    keeper.handshakeFailed(error, socket);
    socket.destroy();
  });
  return server;
}

function contextOf({ cert, key, ca }: TlsFiles) {
  return { cert, key, minVersion: MIN_TLS_VERSION, ...(ca === undefined ? {} : { ca }) } as const;
}
