/**
 * The locks of a server by age: those that wait and those that are held, each in the order since
 * when they do. So the oldest is known at once, and locks that have waited or been held for too long
 * are found without looking at the others.
 *
 * The lists are linked through the records of the locks: to enter and to leave takes a few writes.
 */
import type { SessionLock } from './lock-record.ts';

/** Locks in order of `sinceMs`. */
export class AgeList {
  #oldest: SessionLock | null = null;
  #newest: SessionLock | null = null;
  #unreported: SessionLock | null = null;

  get oldest(): SessionLock | null {
    return this.#oldest;
  }

  /** The oldest lock that is not reported yet; all younger ones are not, either. */
  get unreported(): SessionLock | null {
    return this.#unreported;
  }

  /** The oldest unreported lock, of which there must be one, is reported. */
  reported(): void {
    this.#unreported = this.#unreported?.context.younger ?? null;
  }

  /** From the oldest to the youngest; the list must not change meanwhile. */
  *[Symbol.iterator](): Generator<SessionLock, void, undefined> {
    for (let lock = this.#oldest; lock !== null; lock = lock.context.younger) yield lock;
  }

  /** @param lock in no list; since no earlier than all locks of this one */
  add(lock: SessionLock): void {
    const record = lock.context;
    record.ageList = this;
    record.older = this.#newest;
    if (this.#newest === null) this.#oldest = lock;
    else this.#newest.context.younger = lock;
    this.#newest = lock;
    this.#unreported ??= lock;
  }

  /** @param lock in this list */
  remove(lock: SessionLock): void {
    const record = lock.context;
    const { older, younger } = record;
    if (older === null) this.#oldest = younger;
    else older.context.younger = younger;
    if (younger === null) this.#newest = older;
    else younger.context.older = older;
    if (this.#unreported === lock) this.#unreported = younger;
    record.ageList = record.older = record.younger = null;
  }
}

export class LockAges {
  readonly waiting = new AgeList();
  readonly held = new AgeList();
  /** Called when a lock has entered one of the lists. */
  entered: (() => void) | undefined;

  waits(lock: SessionLock): void {
    this.waiting.add(lock);
    this.entered?.();
  }

  /** @param lock new, or waiting until now */
  holds(lock: SessionLock): void {
    lock.context.ageList?.remove(lock);
    this.held.add(lock);
    this.entered?.();
  }

  ends(lock: SessionLock): void {
    lock.context.ageList?.remove(lock);
  }

  /** Enters locks from a store, in any order, before all others. */
  restore(locks: readonly SessionLock[]): void {
    const byAge = [...locks].sort((a, b) => a.context.sinceMs - b.context.sinceMs);
    for (const lock of byAge) (lock.state === 'acquired' ? this.held : this.waiting).add(lock);
    this.entered?.();
  }
}
