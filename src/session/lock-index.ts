/**
 * The locks of one session: by id, by ref, and in order of arrival.
 *
 * Invariants:
 *  1. `#byId` has all locks, `#byRef` those with a ref.
 *  2. No two locks have the same ref.
 */
import { ChainedTable, hashOf, hashOfInteger } from '../table/chained-table.ts';
import type { Ref, SessionLock } from './lock-record.ts';

class LocksById extends ChainedTable<number, SessionLock> {
  get(id: number): SessionLock | undefined {
    return this.find(id, id | 0);
  }

  protected keyOf(lock: SessionLock): number {
    return lock.id;
  }

  /** Consecutive ids fall into different buckets, so they need no mixing. */
  protected hashOf(lock: SessionLock): number {
    return lock.id | 0;
  }

  protected nextOf(lock: SessionLock): SessionLock | null {
    return lock.context.nextById;
  }

  protected setNext(lock: SessionLock, next: SessionLock | null): void {
    lock.context.nextById = next;
  }
}

class LocksByRef extends ChainedTable<Ref, SessionLock> {
  get(ref: Ref): SessionLock | undefined {
    return this.find(ref, hashOfRef(ref));
  }

  protected keyOf(lock: SessionLock): Ref {
    return refOf(lock);
  }

  protected hashOf(lock: SessionLock): number {
    return hashOfRef(refOf(lock));
  }

  protected nextOf(lock: SessionLock): SessionLock | null {
    return lock.context.nextByRef;
  }

  protected setNext(lock: SessionLock, next: SessionLock | null): void {
    lock.context.nextByRef = next;
  }
}

export class LockIndex implements Iterable<SessionLock> {
  readonly #byId = new LocksById();
  /** Made for the first lock with a ref. */
  #byRef: LocksByRef | undefined;

  get size(): number {
    return this.#byId.size;
  }

  /** The only lock; undefined when there is none, or several. */
  get only(): SessionLock | undefined {
    return this.size === 1 ? this.#byId.all()[0] : undefined;
  }

  get(id: number): SessionLock | undefined {
    return this.#byId.get(id);
  }

  getByRef(ref: Ref): SessionLock | undefined {
    return this.#byRef?.get(ref);
  }

  /** A snapshot, for what needs no order: sorting 100,000 locks takes some 10 ms. */
  inAnyOrder(): readonly SessionLock[] {
    return this.#byId.all();
  }

  /** A snapshot in order of arrival: the index may change during the iteration. */
  [Symbol.iterator](): Iterator<SessionLock> {
    return this.#byId.all().sort(byArrival).values();
  }

  /** @param lock not in the index; its ref, if any, is not in use */
  add(lock: SessionLock): void {
    this.#byId.add(lock);
    if (lock.context.ref === undefined) return;
    this.#byRef ??= new LocksByRef();
    this.#byRef.add(lock);
  }

  /** @param lock one that is in the index */
  remove(lock: SessionLock): void {
    this.#byId.delete(lock);
    if (lock.context.ref !== undefined) this.#byRef?.delete(lock);
  }
}

function byArrival(a: SessionLock, b: SessionLock): number {
  return a.id - b.id;
}

/** The ref of a lock in the table of refs: never undefined there. */
function refOf(lock: SessionLock): Ref {
  return lock.context.ref ?? '';
}

function hashOfRef(ref: Ref): number {
  return typeof ref === 'string' ? hashOf(ref) : hashOfInteger(ref);
}
