/** What whoever makes a server may say about it, and what it does when they don't. */

import type { TlsFiles } from './net/listen/listener.ts';
import type { AdminObserver } from './protocol/channel.ts';
import type { Clock } from './runtime/clock.ts';
import type { Limits } from './runtime/limits.ts';
import type { StallReport } from './runtime/stall-meter.ts';
import type { LockObserver } from './session/session-host.ts';

export const DEFAULT_HOST = '127.0.0.1';
export const DEFAULT_PORT = 9009;
export const DEFAULT_ABANDON_TIMEOUT_MS = 60_000;
export const DEFAULT_STALL_THRESHOLD_MS = 500;
/** With the time that an answer takes, less than the 20 s of silence that are promised at most. */
export const DEFAULT_PING_INTERVAL_MS = 15_000;

/** How a client talks to the server. */
export type ClientKind = 'lines' | 'websocket';

/** Hears of clients that come and go, for logs. */
export interface ClientObserver {
  connected(client: string, kind: ClientKind): void;
  disconnected(client: string): void;
}

/** Hears of those who were not let in, for logs. It may be often. */
export interface AuthObserver {
  /** Somebody showed a token that is not known. */
  wrongToken(client: string): void;
  /** The handshake of TLS failed for what a client said, whose address may be gone already. */
  handshakeFailed(why: string, client: string | undefined): void;
}

export interface ServerOptions {
  /** What to listen on: an IP, or a name for all its addresses on this machine. Default `127.0.0.1`. */
  readonly host?: string;
  /** 0 takes a free port. Default 9009. */
  readonly port?: number;
  /** Whether to listen on `host` and `port` at all. Default true. */
  readonly tcp?: boolean;
  /** TLS for everything that comes in by TCP. Default none. */
  readonly tls?: TlsFiles | undefined;
  /** A Unix socket to listen on, too, and the permissions of its file. Default none, and 0o660. */
  readonly socket?: { readonly path: string; readonly mode?: number } | undefined;
  /** Sockets that are listening already, by descriptor, instead of all of the above. */
  readonly fds?: readonly number[] | undefined;
  /** Milliseconds (>= 0) for which locks outlive a lost connection. Default 60,000, or what may be at most. */
  readonly defaultAbandonTimeoutMs?: number;
  /** Bounds that differ from `DEFAULT_LIMITS`, or in a small heap from `roomForLocks`. */
  readonly limits?: Partial<Limits>;
  /** Origins whose web pages may connect, beside the server's own; `*` for any. Default none. */
  readonly allowedOrigins?: readonly string[];
  /** Names by which the server may be addressed on loopback, beside `localhost`. Default none. */
  readonly allowedHosts?: readonly string[];
  /** Whoever shows one of these may enter; without any, everybody may. See `MIN_TOKEN_LENGTH`. */
  readonly tokens?: readonly string[];
  /** Whoever shows one of these may touch the locks of others; without any, who is local may. */
  readonly adminTokens?: readonly string[];
  readonly adminObserver?: AdminObserver | undefined;
  readonly authObserver?: AuthObserver | undefined;
  readonly lockObserver?: LockObserver | undefined;
  readonly clientObserver?: ClientObserver | undefined;
  /** Hears when somebody is turned away: there are as many connections as may be. It may be often. */
  readonly fullObserver?: (() => void) | undefined;
  /** Hears when somebody could not be let in, for want of descriptors, say. It may be often. */
  readonly stuckObserver?: ((error: Error) => void) | undefined;
  /**
   * Hears that the file of the Unix socket was removed or replaced: with an error why it could not be
   * made again, or without one when it was.
   */
  readonly pathObserver?: ((path: string, error: Error | undefined) => void) | undefined;
  /** Milliseconds (>= 1) between two pings of a WebSocket. Default 15,000. */
  readonly pingIntervalMs?: number;
  /**
   * Whether sockets are read into one shared buffer, which takes a field of Node's without a documented
   * name; see shared-read.ts. Default true.
   */
  readonly sharedReads?: boolean;
  /** Milliseconds (>= 0) from which on a stall of the event loop counts; 0 measures none. */
  readonly stallThresholdMs?: number;
  /** Hears of stalls, seldom enough for a log. */
  readonly stallObserver?: ((report: StallReport) => void) | undefined;
  /** For tests. */
  readonly clock?: Clock;
}
