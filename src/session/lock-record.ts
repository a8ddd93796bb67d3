/**
 * What a session remembers of a lock beside the lock itself: who asked, how it is called, how long
 * it may wait and be held, and since when it has been doing so.
 */

import type { Timer } from '../runtime/clock.ts';
import type { Lock } from '../table/lock.ts';
import type { Session } from './session.ts';

/** A client's own name for a request of its. */
export type Ref = string | number;

/** What a client may say about a lock beside its resources. */
export interface LockTerms {
  /** Milliseconds to wait at most: 0 never waits. No end when left out. */
  readonly waitMs?: number | undefined;
  /** Milliseconds (>= 1) to be held at most. No end when left out. */
  readonly holdMs?: number | undefined;
  /** The thread of work that asks, by a name of the client's. */
  readonly owner?: string | undefined;
  /** A word for people who look at the lock. */
  readonly label?: string | undefined;
}

/** What most locks say: nothing beside their resources. One for all of them. */
export const NO_TERMS: LockTerms = {
  waitMs: undefined,
  holdMs: undefined,
  owner: undefined,
  label: undefined,
};

/** A thread of work of one session, known as long as it has locks. */
export interface Owner {
  readonly name: string;
  readonly session: Session;
  readonly locks: Set<SessionLock>;
  /**
   * Those of them that wait, made for the first: an owner may hold thousands, and whether it waits is
   * asked for each one that is in another's way. One that has just been granted may still be in it.
   */
  waits: Set<SessionLock> | undefined;
}

export class LockRecord {
  readonly session: Session;
  readonly ref: Ref | undefined;
  readonly terms: LockTerms;
  readonly owner: Owner | undefined;
  /** What the lock takes, as charged to the account of memory. */
  readonly bytes: number;
  /**
   * Since when, by the server's clock and in whole milliseconds, rounded up, it waits or, once it is
   * acquired, is held.
   */
  sinceMs: number;
  /** Runs while it waits, or while it is held: whichever has a limit. */
  timer: Timer | undefined;
  /** The links of `LockIndex`. */
  nextById: SessionLock | null = null;
  nextByRef: SessionLock | null = null;

  constructor(
    session: Session,
    ref: Ref | undefined,
    terms: LockTerms,
    owner: Owner | undefined,
    bytes: number,
    sinceMs: number,
  ) {
    this.session = session;
    this.ref = ref;
    this.terms = terms;
    this.owner = owner;
    this.bytes = bytes;
    this.sinceMs = sinceMs;
  }
}

export type SessionLock = Lock<LockRecord>;

/**
 * The order in which locks that end together are released. A lock waits for earlier ones only, so
 * that, newest first, none of them lets another one through.
 *
 * @param locks in order of arrival
 */
export function newestFirst(locks: Iterable<SessionLock>): SessionLock[] {
  return [...locks].reverse();
}
