/**
 * What a session depends on: the host that all sessions of a server share, the registry of
 * sessions, the peer that it notifies, and the observer of all locks.
 */

import type { Clock } from '../runtime/clock.ts';
import type { Limits } from '../runtime/limits.ts';
import type { Wait } from '../table/waits.ts';
import type { Counters } from './counters.ts';
import type { LockAges } from './lock-ages.ts';
import type { ReleaseCause } from './lock-events.ts';
import type { LockRecord, SessionLock } from './lock-record.ts';
import type { MemoryAccount } from './memory.ts';
import type { Namespace } from './namespace.ts';
import type { Session } from './session.ts';

/**
 * A change of a lock that its client did not request: granted after a wait; removed from the queue
 * at its `waitMs` or because the server drains; released at its `holdMs`; taken away by an
 * administrator.
 */
export type LockChange = 'acquired' | 'timeout' | 'draining' | 'expired' | 'evicted';

/**
 * Why a session is done with its peer: another connection has resumed the session, an administrator
 * has ended it, or the server drains and the session holds nothing.
 */
export type SessionEnd = 'taken_over' | 'evicted' | 'draining';

/** The conversation with a session's client, as the session sees it. It must not throw. */
export interface Peer {
  /**
   * The table is consistent by then, so the peer may act. Called once for each lock that changes.
   */
  lockChanged(lock: SessionLock, change: LockChange): void;
  /** From now on the peer has no effect on the session. */
  sessionEnded(reason: SessionEnd): void;
}

/** Observes all events of locks. It must not throw or change a lock. */
export interface LockObserver {
  enqueued(lock: SessionLock): void;
  /** @param waitedMs how long it waited; 0 if it was acquired at once */
  acquired(lock: SessionLock, waitedMs: number): void;
  /** @param ended how long it was held or, if it never was, how long it waited */
  released(lock: SessionLock, cause: ReleaseCause, ended: EndedLock): void;
}

/**
 * Observes sessions. It must not throw or change anything. A session is lost with its connection: see
 * `ClientObserver` of net/listen/clients.ts.
 */
export interface SessionObserver {
  began(session: Session): void;
  /** Another connection has taken the session over. */
  resumed(session: Session): void;
  /** The abandon timeout has passed; the session still has its locks. */
  abandoned(session: Session): void;
}

/** What a lock was when it ended, and for how many milliseconds. */
export interface EndedLock {
  readonly wasHeld: boolean;
  readonly forMs: number;
}

/** The registry of all sessions, as a session sees it. */
export interface SessionRegistry {
  /** The server is draining: no new locks, and a session without locks ends. Never reset. */
  readonly isDraining: boolean;
  /** The account for the memory that clients use. */
  readonly memory: MemoryAccount;
  /** All locks of the server by age. */
  readonly ages: LockAges;
  /** The id of a new session: 1, 2, ..., over all namespaces. */
  nextSessionId(): number;
  /** Adds `session` to the namespace of that name, created if necessary. */
  join(namespace: string, session: Session): Namespace;
  /** Removes `session`, which must have no locks. Further calls do nothing. */
  leave(session: Session): void;
  /**
   * Sets whether `session` may be ended to make space for another: it is lost and has no locks. The
   * longest idle one is ended first.
   */
  setIdle(session: Session, isIdle: boolean): void;
}

/**
 * Records what must survive a restart, as it happens. It must not throw. Only a server with a store
 * has one.
 */
export interface Journal {
  /** `lock` is new: held or enqueued. */
  lockAdded(lock: SessionLock): void;
  /** The terms of `lock` have changed. */
  lockChanged(lock: SessionLock): void;
  /** `lock`, which was added, has ended. */
  lockRemoved(lock: SessionLock): void;
  /** `session` has ended; its locks are removed already. */
  sessionEnded(session: Session): void;
}

/** What all sessions of a server share. */
export interface SessionHost {
  readonly registry: SessionRegistry;
  readonly clock: Clock;
  readonly limits: Limits;
  readonly observer: LockObserver | undefined;
  readonly sessionObserver?: SessionObserver | undefined;
  readonly counters: Counters;
  /** Undefined without a store. */
  readonly journal?: Journal | undefined;
}

export interface SessionSettings {
  /** The name of the namespace; any string. */
  readonly namespace: string;
  /** Milliseconds (>= 0) for which the session outlives a lost connection. */
  readonly abandonTimeoutMs: number;
  /** The client's address, for people. */
  readonly client: string;
  /** The client's name for the session, for people. */
  readonly label?: string | undefined;
  /** By which the session can be resumed: see `keyOfName`; without it, it can't be. */
  readonly key?: string | undefined;
}

/** Why a lock request failed. */
export type LockError =
  | { readonly code: 'too_many_locks' | 'too_many_waiters' | 'server_full' | 'draining' }
  /** It conflicts, and its `waitMs` is 0. */
  | { readonly code: 'timeout'; readonly id: number }
  | { readonly code: 'deadlock'; readonly cycle: readonly Wait<LockRecord>[] };
