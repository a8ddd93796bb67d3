/**
 * What a session is made with and whom it tells: the host that all sessions of a server share, its
 * settings, its peer, and the observers.
 */

import type { Clock } from '../runtime/clock.ts';
import type { Limits } from '../runtime/limits.ts';
import type { Wait } from '../table/waits.ts';
import type { Counters } from './counters.ts';
import type { Drain } from './drain.ts';
import type { LockRecord, SessionLock } from './lock-record.ts';
import type { Namespaces } from './namespace.ts';
import type { Session } from './session.ts';

/** Who is told what becomes of locks without having asked: the conversation with the client. */
export interface Peer {
  /** An enqueued lock is held. */
  acquired(lock: SessionLock): void;
  /** A lock waited as long as it may and has left the queue. */
  timedOut(lock: SessionLock): void;
  /** A lock was held as long as it may and has been released. */
  expired(lock: SessionLock): void;
  /** An enqueued lock has to leave the queue: the server drains. */
  turnedAway(lock: SessionLock): void;
  /** The server drains and the session holds nothing any more: it has ended. */
  dismissed(): void;
  /** An administrator takes a lock away, held or enqueued; the session goes on unless it is ended. */
  lockEvicted(lock: SessionLock): void;
  /** An administrator ends the session: it has ended already. */
  sessionEvicted(): void;
  /** Another connection has resumed the session: this one has no part in it any more. */
  takenOver(): void;
}

/**
 * Why a lock was released: it was asked for, it waited or was held too long, an administrator took
 * it away, its session ended, its connection was lost while it waited, nobody came back in time, or
 * it waited when the server began to drain.
 */
export type ReleaseCause =
  | 'released'
  | 'timeout'
  | 'expired'
  | 'evicted'
  | 'ended'
  | 'lost'
  | 'abandoned'
  | 'draining';

/** Hears of everything that happens to locks. It must not throw or touch any lock. */
export interface LockObserver {
  enqueued(lock: SessionLock): void;
  acquired(lock: SessionLock): void;
  released(lock: SessionLock, cause: ReleaseCause): void;
}

/** What all sessions of a server share. */
export interface SessionHost {
  readonly namespaces: Namespaces;
  /** The sessions that can be resumed, by their secret names. */
  readonly resumable: Map<string, Session>;
  /** Makes a name that nobody can guess and that was never used before. */
  readonly newName: () => string;
  readonly clock: Clock;
  readonly limits: Limits;
  readonly observer: LockObserver | undefined;
  readonly drain: Drain;
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
