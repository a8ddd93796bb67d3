/**
 * Sessions and locks as a store keeps them: what a restarted server needs to be the one it was. All
 * else follows from it. The state of a lock, for example, is a function of the live locks in order
 * of arrival.
 */
import type { Resource } from '../table/resource.ts';
import type { LockTerms, Ref } from './lock-record.ts';

export interface StoredSession {
  /** A positive integer. */
  readonly id: number;
  readonly namespace: string;
  /** Milliseconds (>= 0). */
  readonly abandonTimeoutMs: number;
  readonly label: string | undefined;
  /** The key by which it can be resumed, a hash of its secret name; undefined if it can't be. */
  readonly key: string | undefined;
}

export interface StoredLock {
  /** A positive integer below 2^53. */
  readonly id: number;
  /** The id of its session. */
  readonly session: number;
  /** In the client's order. */
  readonly resources: readonly Resource[];
  readonly ref: Ref | undefined;
  readonly terms: LockTerms;
  /**
   * Whether the lock was held, rather than enqueued, when it was stored. An enqueued lock is not
   * stored anew when it is granted, so it may be held by now.
   */
  readonly wasHeld: boolean;
  /** Since when it was held or enqueued then: whole milliseconds of the server's clock. */
  readonly sinceMs: number;
}
