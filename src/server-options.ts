/** Options of `Server`, with their defaults. */

import type { Ownership } from './cluster/ownership.ts';
import type { RejectedHeader } from './net/http/origin-policy.ts';
import type { ClientObserver } from './net/listen/clients.ts';
import type { TlsFiles } from './net/listen/listener.ts';
import type { AdminObserver } from './protocol/channel.ts';
import type { Clock } from './runtime/clock.ts';
import type { Limits } from './runtime/limits.ts';
import type { StallReport } from './runtime/stall-meter.ts';
import type { LockObserver, SessionObserver } from './session/session-host.ts';
import type { SlowLock } from './session/slow-locks.ts';
import type { Store } from './store/store.ts';

export const DEFAULT_HOST = '127.0.0.1';
export const DEFAULT_PORT = 9009;
/** As many as Linux queues at most unless it is told otherwise (net.core.somaxconn). */
export const DEFAULT_BACKLOG = 4096;
export const DEFAULT_ABANDON_TIMEOUT_MS = 60_000;
export const DEFAULT_STALL_THRESHOLD_MS = 500;
/** Shorter than the 20 s of silence that the protocol allows at most, with time for an answer. */
export const DEFAULT_PING_INTERVAL_MS = 15_000;

/** Of the keys in etcd. */
export const DEFAULT_ETCD_PREFIX = '/locktopus/';
export const DEFAULT_LEASE_TTL_S = 10;

/** Called for failed authentication; for logs. Calls can be frequent: clients cause them. */
export interface AuthObserver {
  /** A client sent an invalid token. */
  wrongToken(client: string): void;
  /** A TLS handshake failed. `client` is undefined if its address is no longer known. */
  handshakeFailed(why: string, client: string | undefined): void;
}

/** Called when the store fails. */
export interface StoreObserver {
  /**
   * The store has failed, and the server with it: connections are cut, and it must be started anew.
   * Every lock confirmed to a client is kept.
   */
  failed(error: Error): void;
}

export interface ServerOptions {
  /** Keeps sessions and locks across restarts; no other server may use it. Default none. */
  readonly store?: Store | undefined;
  readonly storeObserver?: StoreObserver | undefined;
  /** Of the store, which several servers share: this one serves only while it owns it. Default none. */
  readonly ownership?: Ownership | undefined;
  /** An IP address, or a name: then all its addresses on this machine. Default `127.0.0.1`. */
  readonly host?: string;
  /** 0 picks a free port. Default 9009. */
  readonly port?: number;
  /** Whether to listen on `host` and `port` at all. Default true. */
  readonly tcp?: boolean;
  /** TLS for all TCP connections. Default none. */
  readonly tls?: TlsFiles | undefined;
  /** A Unix socket to listen on as well. `mode`: permissions of its file, default 0o660. */
  readonly socket?: { readonly path: string; readonly mode?: number } | undefined;
  /** Descriptors of sockets that already listen. They replace all addresses above. */
  readonly fds?: readonly number[] | undefined;
  /**
   * Connections (>= 1) that may wait to be accepted, on each address; the system may lower it, and
   * the clients of more of them try again after a second. Default 4096.
   */
  readonly backlog?: number;
  /**
   * Milliseconds (>= 0) for which locks outlive a lost connection. Default 60,000. Capped at
   * `limits.maxAbandonTimeoutMs`.
   */
  readonly defaultAbandonTimeoutMs?: number;
  /**
   * Overrides `DEFAULT_LIMITS`. In a small heap the default of `maxLockBytes` is lower: see
   * `roomForLocks`.
   */
  readonly limits?: Partial<Limits>;
  /** Web origins that may connect, besides the server's own; `*` for any. Default none. */
  readonly allowedOrigins?: readonly string[];
  /** Host names accepted on loopback besides `localhost`; `*` for any. Default none. */
  readonly allowedHosts?: readonly string[];
  /** Tokens of clients. Without any, clients need not authenticate. See `MIN_TOKEN_LENGTH`. */
  readonly tokens?: readonly string[];
  /**
   * Tokens of administrators, who may evict any lock. Without any, local clients are
   * administrators; with client tokens, only those on the Unix socket.
   */
  readonly adminTokens?: readonly string[];
  readonly adminObserver?: AdminObserver | undefined;
  readonly authObserver?: AuthObserver | undefined;
  /**
   * Called when a request is rejected because of its Host or Origin. Calls can be frequent: web
   * pages cause them.
   */
  readonly headerObserver?: ((rejected: RejectedHeader, client: string) => void) | undefined;
  readonly lockObserver?: LockObserver | undefined;
  readonly sessionObserver?: SessionObserver | undefined;
  /** Milliseconds (>= 1) after which a lock that waits or is held is slow; 0 for never. Default 0. */
  readonly slowLockMs?: number;
  /** Called once for each lock that has waited for so long, and once if it is held for so long. */
  readonly slowLockObserver?: ((slow: SlowLock) => void) | undefined;
  readonly clientObserver?: ClientObserver | undefined;
  /** Called when the connection limit rejects a connection. Calls can be frequent. */
  readonly fullObserver?: (() => void) | undefined;
  /** Called when accepting fails, for example for lack of descriptors. Calls can be frequent. */
  readonly stuckObserver?: ((error: Error) => void) | undefined;
  /**
   * Called when the file of the Unix socket was removed or replaced. `error` says why it could not
   * be created again; undefined if it was.
   */
  readonly pathObserver?: ((path: string, error: Error | undefined) => void) | undefined;
  /** Milliseconds (>= 1) between two pings of a WebSocket. Default 15,000. */
  readonly pingIntervalMs?: number;
  /**
   * Whether all sockets are read into one shared buffer. This uses an undocumented field of Node;
   * see shared-read.ts. Default true.
   */
  readonly sharedReads?: boolean;
  /** Milliseconds (>= 0) from which a stall of the event loop counts; 0 for never. Default 500. */
  readonly stallThresholdMs?: number;
  /** Called for stalls, rate-limited for a log. */
  readonly stallObserver?: ((report: StallReport) => void) | undefined;
  /** Default the system's clock; tests bring their own. */
  readonly clock?: Clock;
}
