/** What a caller may say about a client and about a lock, with its checks. */
import { MIN_ABANDON_TIMEOUT_MS } from './belief.ts';

export interface ClientOptions {
  /** The namespace, instead of the one in the URL. Default `default`. */
  readonly namespace?: string | undefined;
  /** A word for people who look at the server's sessions: at most 256 characters. */
  readonly label?: string | undefined;
  /** What the server wants to be shown, if it wants a token. */
  readonly token?: string | undefined;
  /**
   * Milliseconds, an integer of at least 100, for which the server keeps the locks of this client when
   * it has not heard of it; the client believes in its locks for a little less. Default: the
   * server's, 60,000 unless configured.
   */
  readonly abandonTimeoutMs?: number | undefined;
  /** Milliseconds for one attempt to connect, at least 1. Default 10,000. */
  readonly connectTimeoutMs?: number | undefined;
  /** Ends the attempt to connect; of no meaning once the client is there. */
  readonly signal?: AbortSignal | undefined;
  /** The `WebSocket` to be used for ws:// and wss://. Default: the global one, if there is one. */
  readonly WebSocket?: WebSocketConstructor | undefined;
  /** Hears what a handler of an event has thrown. Default: a warning. */
  readonly onHandlerError?: ((error: unknown) => void) | undefined;
}

export type WebSocketConstructor = new (url: string, protocols?: string[]) => object;

export interface LockOptions {
  /** Milliseconds to wait at most, an integer of 0 or more; 0 is now or never. Default: no limit. */
  readonly waitMs?: number | undefined;
  /** Milliseconds to hold at most, an integer of 1 or more: then the lock is lost. Default: no limit. */
  readonly holdMs?: number | undefined;
  /**
   * The thread of work that asks: a wait that would close a circle among owners is refused with a
   * `DeadlockError`. At most 256 characters. Default: that of the `withLock` around this call, if there
   * is one.
   */
  readonly owner?: string | undefined;
  /** A word for people who look at the server's locks: at most 256 characters. */
  readonly label?: string | undefined;
  /** Ends the wait, which rejects with the signal's reason. Of no meaning once the lock is held. */
  readonly signal?: AbortSignal | undefined;
}

export interface RequestOptions {
  /** Ends the wait for the answer, which rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

export const DEFAULT_CONNECT_TIMEOUT_MS = 10_000;

/** Throws a TypeError that says which option is wrong. */
export function checkClientOptions(options: ClientOptions): void {
  checkMs(options.abandonTimeoutMs, 'abandonTimeoutMs', MIN_ABANDON_TIMEOUT_MS);
  checkMs(options.connectTimeoutMs, 'connectTimeoutMs', 1);
}

/** Throws a TypeError that says which option is wrong. */
export function checkLockOptions(options: LockOptions): void {
  checkMs(options.waitMs, 'waitMs', 0);
  checkMs(options.holdMs, 'holdMs', 1);
}

function checkMs(value: number | undefined, name: string, leastMs: number): void {
  if (value === undefined || (Number.isSafeInteger(value) && value >= leastMs)) return;
  throw new TypeError(
    `${name} must be an integer of at least ${leastMs}, in milliseconds, not ${String(value)}`,
  );
}
