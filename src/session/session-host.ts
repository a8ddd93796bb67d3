/**
 * What a session needs of others: the host that all sessions of a server share with its registry of
 * sessions, the peer that hears of its locks, and the observer.
 */

import type { Clock } from '../runtime/clock.ts';
import type { Limits } from '../runtime/limits.ts';
import type { Wait } from '../table/waits.ts';
import type { Counters } from './counters.ts';
import type { ReleaseCause } from './lock-events.ts';
import type { LockRecord, SessionLock } from './lock-record.ts';
import type { MemoryAccount } from './memory.ts';
import type { Namespace } from './namespace.ts';
import type { Session } from './session.ts';

/**
 * What a lock has become without its client asking for it: held after a wait; out of the queue
 * because it waited as long as it may, or because the server drains; released because it was held as
 * long as it may; taken away by an administrator.
 */
export type LockChange = 'acquired' | 'timeout' | 'draining' | 'expired' | 'evicted';

/**
 * Why a session has no use for its peer any more: another connection has resumed it, an administrator
 * has ended it, or the server drains and it holds nothing.
 */
export type SessionEnd = 'taken_over' | 'evicted' | 'draining';

/** The conversation with the client of a session, as the session sees it. It must not throw. */
export interface Peer {
  /** By then the table is whole again, and of several locks that change each is reported in turn. */
  lockChanged(lock: SessionLock, change: LockChange): void;
  /** Nothing that the peer does reaches the session any more. */
  sessionEnded(reason: SessionEnd): void;
}

/** Hears of everything that happens to locks. It must not throw or touch any lock. */
export interface LockObserver {
  enqueued(lock: SessionLock): void;
  acquired(lock: SessionLock): void;
  released(lock: SessionLock, cause: ReleaseCause): void;
}

/** The sessions of a server, as one of them sees the rest: where it enters, leaves, and pays. */
export interface SessionRegistry {
  /** The server is about to stop: no new locks, and a session without locks ends. Never goes back. */
  readonly isDraining: boolean;
  /** What is kept for clients is charged to this account. */
  readonly memory: MemoryAccount;
  /** The number of a new session: from 1, over all namespaces. */
  nextSessionId(): number;
  /** Enters `session` in the namespace of that name, which is made when there is none. */
  join(namespace: string, session: Session): Namespace;
  /** Takes out a session that holds and awaits nothing any more. Again, it does nothing. */
  leave(session: Session): void;
  /**
   * Whether `session` may be ended to make room for another one: its connection is gone, and it has no
   * lock. The one that has been idle for longest is the first to go.
   */
  setIdle(session: Session, isIdle: boolean): void;
}

/** What all sessions of a server share. */
export interface SessionHost {
  readonly registry: SessionRegistry;
  readonly clock: Clock;
  readonly limits: Limits;
  readonly observer: LockObserver | undefined;
  readonly counters: Counters;
}

export interface SessionSettings {
  /** The name of the namespace; any string. */
  readonly namespace: string;
  /** Milliseconds (>= 0) for which the session outlives a lost connection. */
  readonly abandonTimeoutMs: number;
  /** The client as people know it, for logs: an address. */
  readonly client: string;
  /** The client's own word for itself. */
  readonly label?: string | undefined;
  /** The secret by which it can be resumed; none, and it can't be. */
  readonly name?: string | undefined;
}

/** Why there is no lock after all. */
export type LockError =
  | { readonly code: 'too_many_locks' | 'too_many_waiters' | 'server_full' | 'draining' }
  /** It would have had to wait, and was not to. */
  | { readonly code: 'timeout'; readonly id: number }
  | { readonly code: 'deadlock'; readonly cycle: readonly Wait<LockRecord>[] };
