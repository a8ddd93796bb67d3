/**
 * The locks of one session: by id, by ref, and in order of arrival. A client that chooses its refs can
 * make one chain as long as its session may have locks: some 20 us for each such request.
 *
 * Invariants:
 *  1. `#byId` has all locks, `#byRef` those with a ref.
 *  2. No two have the same ref.
 */
import { ChainedTable } from '../table/chained-table.ts';
import { hashOf } from '../table/hash.ts';
import type { Ref, SessionLock } from './lock-record.ts';

class LocksById extends ChainedTable<SessionLock> {
  find(id: number): SessionLock | undefined {
    let lock = this.chainOf(id | 0);
    while (lock !== null && lock.id !== id) lock = lock.context.nextById;
    return lock ?? undefined;
  }

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

class LocksByRef extends ChainedTable<SessionLock> {
  find(ref: Ref): SessionLock | undefined {
    let lock = this.chainOf(hashOfRef(ref));
    while (lock !== null && lock.context.terms.ref !== ref) lock = lock.context.nextByRef;
    return lock ?? undefined;
  }

  protected hashOf(lock: SessionLock): number {
    return hashOfRef(lock.context.terms.ref);
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
    return this.#byId.find(id);
  }

  getByRef(ref: Ref): SessionLock | undefined {
    return this.#byRef?.find(ref);
  }

  /** Those that are in here now, in order of arrival, whatever happens to them meanwhile. */
  [Symbol.iterator](): Iterator<SessionLock> {
    return this.#byId.all().sort(byArrival).values();
  }

  /** @param lock with a ref that none of the others has */
  add(lock: SessionLock): void {
    this.#byId.add(lock);
    if (lock.context.terms.ref === undefined) return;
    this.#byRef ??= new LocksByRef();
    this.#byRef.add(lock);
  }

  /** @param lock one that is in here */
  remove(lock: SessionLock): void {
    this.#byId.delete(lock);
    if (lock.context.terms.ref !== undefined) this.#byRef?.delete(lock);
  }
}

function byArrival(a: SessionLock, b: SessionLock): number {
  return a.id - b.id;
}

function hashOfRef(ref: Ref | undefined): number {
  if (typeof ref === 'string') return hashOf(ref);
  return ref === undefined ? 0 : ref ^ (ref / 2 ** 32);
}
