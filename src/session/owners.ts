/**
 * The owners of one session's locks: threads of work, by name. An owner without locks is forgotten.
 */
import { SmallSet } from '../runtime/small-set.ts';
import { TextTable } from '../table/chained-table.ts';
import type { Owner, SessionLock } from './lock-record.ts';
import type { Session } from './session.ts';

class OwnersByName extends TextTable<Owner> {
  protected keyOf(owner: Owner): string {
    return owner.name;
  }
}

export class Owners {
  readonly #session: Session;
  readonly #byName = new OwnersByName();

  constructor(session: Session) {
    this.#session = session;
  }

  /** The owner of that name, created if necessary. */
  named(name: string): Owner {
    let owner = this.#byName.get(name);
    if (owner === undefined) {
      owner = {
        name,
        session: this.#session,
        locks: new SmallSet(),
        waits: undefined,
        nextInChain: null,
      };
      this.#byName.add(owner);
    }
    return owner;
  }

  /** `lock` has been entered in the table, and counts for its owner if it has one. */
  own(lock: SessionLock): void {
    const { owner } = lock.context;
    if (owner === undefined) return;
    owner.locks.add(lock);
    if (lock.state !== 'enqueued') return;
    owner.waits ??= new SmallSet();
    owner.waits.add(lock);
  }

  /** `lock`, which was enqueued, has been granted. */
  granted(lock: SessionLock): void {
    lock.context.owner?.waits?.delete(lock);
  }

  /** `lock` has left the table. */
  disown(lock: SessionLock): void {
    const { owner } = lock.context;
    if (owner === undefined) return;
    owner.locks.delete(lock);
    owner.waits?.delete(lock);
    if (owner.locks.size === 0) this.#byName.delete(owner);
  }
}

/** The owners, as the deadlock search of the table needs them. */
export const OWNERS_OF_LOCKS = {
  ownerOf: (lock: SessionLock): Owner | undefined => lock.context.owner,
  locksOf: (owner: Owner): Iterable<SessionLock> => owner.locks,
  waitsOf: (owner: Owner): Iterable<SessionLock> => owner.waits ?? [],
};
