/**
 * The server: one port, three kinds of guest. It wires sessions, protocols and transports together
 * and owns the sockets; what any of them means is decided elsewhere.
 */
import type { Buffer } from 'node:buffer';
import { randomBytes } from 'node:crypto';
import { type AddressInfo, createServer, type Socket, type Server as TcpServer } from 'node:net';
import type { ConversationHost } from './protocol/session-conversation.ts';
import { type Clock, systemClock, type Timer } from './session/clock.ts';
import { IdCounter } from './session/id-counter.ts';
import { DEFAULT_LIMITS, type Limits } from './session/limits.ts';
import { Namespaces } from './session/namespace.ts';
import type { LockObserver } from './session/session.ts';
import { Entrance } from './transport/entrance.ts';
import { HttpGuests, type HttpHost } from './transport/http-guests.ts';
import { LineConnection } from './transport/line-connection.ts';
import { CLOSE_TIMEOUT_MS } from './transport/outbox.ts';
import { visitorRules } from './transport/visitor-rules.ts';

/** How a client talks to the server. */
export type ClientKind = 'lines' | 'websocket';

/** Hears of clients that come and go, for logs. */
export interface ClientObserver {
  connected(client: string, kind: ClientKind): void;
  disconnected(client: string): void;
}

export interface ServerOptions {
  /** The address to listen on: an IP or a name. Default `127.0.0.1`. */
  readonly host?: string;
  /** 0 takes a free port. Default 9009. */
  readonly port?: number;
  /** Milliseconds (>= 0) for which locks outlive a lost connection. Default 60,000. */
  readonly defaultAbandonTimeoutMs?: number;
  /** Bounds that differ from `DEFAULT_LIMITS`. */
  readonly limits?: Partial<Limits>;
  /** Origins whose web pages may connect, beside the server's own; `*` for any. Default none. */
  readonly allowedOrigins?: readonly string[];
  /** Names by which the server may be addressed on loopback, beside `localhost`. Default none. */
  readonly allowedHosts?: readonly string[];
  readonly lockObserver?: LockObserver | undefined;
  readonly clientObserver?: ClientObserver | undefined;
  /** For tests. */
  readonly clock?: Clock;
}

/** What `Server.counts` tells, over all namespaces. */
export interface ServerCounts {
  readonly connections: number;
  readonly namespaces: number;
  readonly sessions: number;
  readonly acquired: number;
  readonly enqueued: number;
}

/** A connection that must be told when the server stops. */
interface Stoppable {
  shutDown(): void;
}

export const DEFAULT_HOST = '127.0.0.1';
export const DEFAULT_PORT = 9009;
export const DEFAULT_ABANDON_TIMEOUT_MS = 60_000;

/** Random bytes in the name of a session: more than anybody can guess. */
const NAME_BYTES = 24;

/** Milliseconds of silence after which TCP asks whether the peer is still there. */
const KEEPALIVE_MS = 60_000;

export class Server {
  readonly #options: ServerOptions;
  readonly #namespaces = new Namespaces(new IdCounter(Date.now()).next);
  readonly #clock: Clock;
  readonly #tcp: TcpServer;
  readonly #http: HttpGuests;
  readonly #host: ConversationHost;
  readonly #entrance: Entrance;
  /** What is spoken on which socket, once it is known. */
  readonly #conversations = new Map<Socket, Stoppable>();
  #isClosing = false;

  constructor(options: ServerOptions = {}) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#host = {
      namespaces: this.#namespaces,
      resumable: new Map(),
      newName: () => randomBytes(NAME_BYTES).toString('base64url'),
      clock: this.#clock,
      limits: { ...DEFAULT_LIMITS, ...options.limits },
      observer: options.lockObserver,
      defaultAbandonTimeoutMs: options.defaultAbandonTimeoutMs ?? DEFAULT_ABANDON_TIMEOUT_MS,
    };
    this.#http = new HttpGuests(this.#httpHost());
    this.#entrance = new Entrance({
      clock: this.#clock,
      limits: this.#host.limits,
      acceptLines: (socket, head, patience) => this.#acceptLines(socket, head, patience),
      acceptHttp: (socket, head) => this.#http.accept(socket, head),
      refuseHttp: (socket, head, refusal) => this.#http.turnAway(socket, head, refusal),
    });
    this.#tcp = createServer(
      // Half-open, because whoever sent all it had to say may still wait for the answer.
      {
        allowHalfOpen: true,
        noDelay: true,
        keepAlive: true,
        keepAliveInitialDelay: KEEPALIVE_MS,
      },
      (socket) => this.#welcome(socket),
    );
  }

  /** Starts to listen. Rejects with the system's error when that can't be: EADDRINUSE, EACCES... */
  async listen(): Promise<void> {
    const { host = DEFAULT_HOST, port = DEFAULT_PORT } = this.#options;
    // Node takes the empty name for all addresses of the machine, which nobody means by it.
    if (host === '') throw new RangeError('host must not be empty');
    await new Promise<void>((resolve, reject) => {
      this.#tcp.once('error', reject);
      this.#tcp.listen({ host, port }, () => {
        this.#tcp.off('error', reject);
        resolve();
      });
    });
  }

  /** Where the server listens. */
  get address(): AddressInfo {
    const address = this.#tcp.address();
    if (address === null || typeof address === 'string') throw new Error('not listening');
    return address;
  }

  get counts(): ServerCounts {
    const counts = { sessions: 0, acquired: 0, enqueued: 0 };
    for (const { table, sessions } of this.#namespaces) {
      counts.sessions += sessions.size;
      counts.acquired += table.size.acquired;
      counts.enqueued += table.size.enqueued;
    }
    return { connections: this.#entrance.count, namespaces: this.#namespaces.size, ...counts };
  }

  /**
   * Stops: no new connections, a goodbye to every client, all locks released. Resolves when the
   * last connection is closed; those that don't follow within `CLOSE_TIMEOUT_MS` are cut.
   */
  async close(): Promise<void> {
    this.#isClosing = true;
    const closed = [
      new Promise<void>((resolve) => this.#tcp.close(() => resolve())),
      // Node counts a socket as closed before those who listen to it have heard.
      ...[...this.#entrance.sockets()].map(
        (socket) => new Promise<void>((resolve) => socket.once('close', () => resolve())),
      ),
    ];
    for (const socket of this.#entrance.sockets()) {
      const conversation = this.#conversations.get(socket);
      // HTTP requests are answered at once: such a socket is idle, or has only half a request.
      if (conversation === undefined) socket.destroy();
      else conversation.shutDown();
    }
    this.#namespaces.endAll();
    const timer = this.#clock.setTimer(CLOSE_TIMEOUT_MS, () => {
      for (const socket of this.#entrance.sockets()) socket.destroy();
    });
    await Promise.all(closed);
    timer.cancel();
  }

  #welcome(socket: Socket): void {
    // First of all: a socket that fails with nobody listening would end the process.
    socket.on('error', () => socket.destroy());
    this.#clock.arrived?.();
    if (this.#isClosing) socket.destroy();
    else this.#entrance.welcome(socket);
  }

  #acceptLines(socket: Socket, head: Buffer, patience: Timer): LineConnection {
    const client = clientName(socket);
    this.#announce(client, socket, 'lines');
    const connection = new LineConnection(socket, head, this.#host, client, patience);
    this.#converse(socket, connection);
    return connection;
  }

  #converse(socket: Socket, conversation: Stoppable): void {
    this.#conversations.set(socket, conversation);
    socket.on('close', () => this.#conversations.delete(socket));
  }

  #announce(client: string, socket: Socket, kind: ClientKind): void {
    const { clientObserver } = this.#options;
    if (clientObserver === undefined) return;
    clientObserver.connected(client, kind);
    socket.on('close', () => clientObserver.disconnected(client));
  }

  #httpHost(): HttpHost {
    return {
      ...this.#host,
      visitors: visitorRules(this.#options.allowedOrigins ?? [], this.#options.allowedHosts ?? []),
      isLoopback: () => isLoopback(this.address.address),
      clientName,
      opened: (channel, socket) => {
        this.#announce(channel.client, socket, 'websocket');
        this.#converse(socket, channel);
      },
    };
  }
}

/** The address of a peer as people know it. */
function clientName({ remoteAddress = 'unknown', remotePort = 0 }: Socket): string {
  return addressName(remoteAddress, remotePort);
}

/** An address and a port in one word; an IPv6 address is put in brackets. */
export function addressName(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

function isLoopback(address: string): boolean {
  return address === '::1' || address.startsWith('127.') || address.startsWith('::ffff:127.');
}
