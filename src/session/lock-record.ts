/**
 * The session's record of a lock, beside the lock in the table: its session, ref, terms and owner,
 * its charge for memory, and since when it has waited or been held.
 */

import type { Timer } from '../runtime/clock.ts';
import type { SmallSet } from '../runtime/small-set.ts';
import type { Lock } from '../table/lock.ts';
import type { AgeList } from './lock-ages.ts';
import type { Session } from './session.ts';

/** A client's own name for a request. */
export type Ref = string | number;

/** The optional fields of a lock request beside its resources. */
export interface LockTerms {
  /** Most milliseconds to wait; 0 never waits, undefined waits without limit. */
  readonly waitMs?: number | undefined;
  /** Most milliseconds (>= 1) to hold; undefined holds without limit. */
  readonly holdMs?: number | undefined;
  /** The client's name for the thread of work that requests the lock; for deadlock detection. */
  readonly owner?: string | undefined;
  /** A description of the lock, for people. */
  readonly label?: string | undefined;
}

/** No terms, as for most locks: one object that they share. */
export const NO_TERMS: LockTerms = {
  waitMs: undefined,
  holdMs: undefined,
  owner: undefined,
  label: undefined,
};

export function termsOf(
  waitMs: number | undefined,
  holdMs: number | undefined,
  owner: string | undefined,
  label: string | undefined,
): LockTerms {
  const isBare = (waitMs ?? holdMs ?? owner ?? label) === undefined;
  return isBare ? NO_TERMS : { waitMs, holdMs, owner, label };
}

/** A thread of work of one session; exists as long as it has locks. */
export interface Owner {
  readonly name: string;
  readonly session: Session;
  readonly locks: SmallSet<SessionLock>;
  /**
   * Its waiting locks, so that a deadlock search need not scan all its locks; made for the first. A
   * lock that has just been granted may still be in the set.
   */
  waits: SmallSet<SessionLock> | undefined;
  /** The link of `Owners`. */
  nextInChain: Owner | null;
}

export class LockRecord {
  readonly session: Session;
  readonly ref: Ref | undefined;
  /**
   * As they were requested, but for a hold that was extended: its `holdMs` then counts from
   * `sinceMs` to the end that holds now.
   */
  terms: LockTerms;
  readonly owner: Owner | undefined;
  /** Bytes charged to the memory account for this lock. */
  bytes: number;
  /**
   * Since when the lock has been waiting or, once acquired, held: milliseconds of the server's
   * clock, rounded up to an integer.
   */
  sinceMs: number;
  /** The timer of `waitMs` while the lock waits, then of `holdMs`; undefined without a limit. */
  timer: Timer | undefined;
  /** The links of `LockIndex`. */
  nextById: SessionLock | null = null;
  nextByRef: SessionLock | null = null;
  /** The links of `AgeList`, and the one that it is in: null if the lock neither waits nor is held. */
  ageList: AgeList | null = null;
  older: SessionLock | null = null;
  younger: SessionLock | null = null;

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

  /**
   * The `holdMs`, counted from when the lock was acquired, by which its hold ends `holdMs`
   * milliseconds from now: no less, and exact as long as it is a safe integer.
   */
  holdSince(nowMs: number, holdMs: number): number {
    // Not below 0, though `sinceMs` is rounded up: the difference is above -1.
    const heldMs = Math.ceil(nowMs - this.sinceMs);
    return Math.min(heldMs + holdMs, Number.MAX_SAFE_INTEGER);
  }
}

export type SessionLock = Lock<LockRecord>;

/**
 * The order in which to release locks that end together. A lock waits only for earlier ones, so
 * when they are released newest first, none of them is granted because of another.
 *
 * @param locks in order of arrival
 */
export function newestFirst(locks: Iterable<SessionLock>): SessionLock[] {
  return [...locks].reverse();
}
