/** Options of a client and of a lock request, with their checks. */
import type { Resource } from './resources.ts';
import { MIN_ABANDON_TIMEOUT_MS } from './trust.ts';

export interface ClientOptions {
  /** The namespace, instead of the one in the URL. Default `default`. */
  readonly namespace?: string | undefined;
  /** Names the session for people who look at the server: at most 256 characters. */
  readonly label?: string | undefined;
  /** The token, if the server requires one. */
  readonly token?: string | undefined;
  /**
   * Milliseconds, an integer of at least 100, for which the server keeps the locks of this client
   * without hearing from it; the client trusts its locks for a little less. Default: the server's,
   * 60,000 unless configured.
   */
  readonly abandonTimeoutMs?: number | undefined;
  /** Milliseconds for one attempt to connect, an integer of at least 1. Default 10,000. */
  readonly connectTimeoutMs?: number | undefined;
  /** Cancels `connect`; has no effect once it has resolved. */
  readonly signal?: AbortSignal | undefined;
  /** The `WebSocket` class for ws:// and wss://. Default: the global one, if there is one. */
  readonly WebSocket?: WebSocketConstructor | undefined;
  /** Called with what a handler has thrown. Default: a warning in Node, else an uncaught error. */
  readonly onHandlerError?: ((error: unknown) => void) | undefined;
}

export type WebSocketConstructor = new (url: string, protocols?: string[]) => object;

export interface LockOptions {
  /** Milliseconds to wait at most, an integer of 0 or more; 0 doesn't wait. Default: no limit. */
  readonly waitMs?: number | undefined;
  /** Milliseconds after which the lock is lost, an integer of 1 or more. Default: no limit. */
  readonly holdMs?: number | undefined;
  /**
   * The thread of work that asks: a wait that would close a cycle among owners is refused with a
   * `DeadlockError`. At most 256 characters. Default: the owner of the `withLock` around this call, if
   * any.
   */
  readonly owner?: string | undefined;
  /** Names the lock for people who look at the server: at most 256 characters. */
  readonly label?: string | undefined;
  /** Cancels the wait, which rejects with the signal's reason. Has no effect once the lock is held. */
  readonly signal?: AbortSignal | undefined;
}

/** What a lock request asks for, checked. */
export interface LockTerms {
  readonly resources: readonly Resource[];
  readonly waitMs: number | undefined;
  readonly holdMs: number | undefined;
  readonly owner: string | undefined;
  readonly label: string | undefined;
}

export interface RequestOptions {
  /** Cancels the wait for the answer, which rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

export const DEFAULT_CONNECT_TIMEOUT_MS = 10_000;

/*
 * Programs without types may pass anything. What JSON can't express must not get as far as a message:
 * there it would be an error in the middle of a request.
 */

/** Throws a TypeError that names the invalid option. */
export function checkClientOptions(options: ClientOptions): void {
  checkText(options.namespace, 'namespace');
  checkText(options.label, 'label');
  checkText(options.token, 'token');
  checkMs(options.abandonTimeoutMs, 'abandonTimeoutMs', MIN_ABANDON_TIMEOUT_MS);
  checkMs(options.connectTimeoutMs, 'connectTimeoutMs', 1);
}

/** Throws a TypeError that names the invalid option. */
export function checkLockOptions(options: LockOptions): void {
  checkMs(options.waitMs, 'waitMs', 0);
  checkMs(options.holdMs, 'holdMs', 1);
  checkText(options.owner, 'owner');
  checkText(options.label, 'label');
}

/** Throws a TypeError that names the value if it is there and not a string. */
export function checkText(value: string | undefined, name: string): void {
  if (value === undefined || typeof value === 'string') return;
  throw new TypeError(`${name} must be a string, not ${String(value)}`);
}

function checkMs(value: number | undefined, name: string, leastMs: number): void {
  if (value === undefined || (Number.isSafeInteger(value) && value >= leastMs)) return;
  throw new TypeError(
    `${name} must be an integer of at least ${leastMs}, in milliseconds, not ${String(value)}`,
  );
}
