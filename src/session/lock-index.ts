/**
 * The locks of one session: by id, by ref, and in order of arrival.
 *
 * Two chained hash tables, intrusive: the links are fields of the locks' records. A `Map` would do
 * the same with more garbage: every few deletions it moves to a new table, and the old one, once it
 * has lived long enough, keeps alive what it held, for the collector to carry around. At full speed
 * that was a fifth of the server's time.
 *
 * Invariants:
 *  1. `size` locks are in here, each in exactly one chain of `#byId` and, if it has a ref, in exactly
 *     one of `#byRef`.
 *  2. The number of chains is a power of two. There are no more locks than chains, so chains are
 *     short, and not many fewer, so going through all of them is cheap. A client that chooses its
 *     refs can make one as long as its session may have locks: some 20 us for each such request.
 *  3. The links of a lock that is not in here are null, so that none keeps another alive.
 */
import { hashOf } from '../table/hash.ts';
import type { Ref, SessionLock } from './lock-record.ts';

type Chains = (SessionLock | null)[];

const MIN_CHAINS = 8;
/** Chains for one lock at least, before their number is halved. */
const MAX_SPARSENESS = 8;

export class LockIndex implements Iterable<SessionLock> {
  #size = 0;
  /** Made for the first lock, as most connections that wait around have none. */
  #byId: Chains = [];
  /** Made for the first lock with a ref; as long as `#byId` from then on. */
  #byRef: Chains | undefined;

  get size(): number {
    return this.#size;
  }

  /** The only lock; undefined when there is none, or several. */
  get only(): SessionLock | undefined {
    return this.#size === 1 ? this.#all()[0] : undefined;
  }

  get(id: number): SessionLock | undefined {
    let lock = this.#byId[slotOfId(id, this.#byId.length)] ?? null;
    while (lock !== null && lock.id !== id) lock = lock.context.nextById;
    return lock ?? undefined;
  }

  getByRef(ref: Ref): SessionLock | undefined {
    if (this.#byRef === undefined) return undefined;
    let lock = this.#byRef[slotOfRef(ref, this.#byRef.length)] ?? null;
    while (lock !== null && lock.context.terms.ref !== ref) lock = lock.context.nextByRef;
    return lock ?? undefined;
  }

  /** Those that are in here now, in order of arrival, whatever happens to them meanwhile. */
  [Symbol.iterator](): Iterator<SessionLock> {
    return this.#all().sort(byArrival).values();
  }

  /** @param lock with a ref that none of the others has */
  add(lock: SessionLock): void {
    if (this.#size === this.#byId.length) this.#resize(Math.max(MIN_CHAINS, this.#size * 2));
    this.#size++;
    this.#chain(lock);
  }

  /** @param lock one that is in here */
  remove(lock: SessionLock): void {
    this.#unchain(lock);
    this.#size--;
    if (this.#byId.length > MIN_CHAINS && this.#size * MAX_SPARSENESS < this.#byId.length) {
      this.#resize(this.#byId.length / 2);
    }
  }

  #chain(lock: SessionLock): void {
    const slot = slotOfId(lock.id, this.#byId.length);
    lock.context.nextById = this.#byId[slot] ?? null;
    this.#byId[slot] = lock;
    const { ref } = lock.context.terms;
    if (ref === undefined) return;
    this.#byRef ??= emptyChains(this.#byId.length);
    const refSlot = slotOfRef(ref, this.#byRef.length);
    lock.context.nextByRef = this.#byRef[refSlot] ?? null;
    this.#byRef[refSlot] = lock;
  }

  #unchain(lock: SessionLock): void {
    const record = lock.context;
    const slot = slotOfId(lock.id, this.#byId.length);
    const head = this.#byId[slot] ?? null;
    if (head === lock) {
      this.#byId[slot] = record.nextById;
    } else {
      let before = head;
      while (before !== null && before.context.nextById !== lock) before = before.context.nextById;
      if (before !== null) before.context.nextById = record.nextById;
    }
    record.nextById = null;
    if (this.#byRef !== undefined && record.terms.ref !== undefined) {
      this.#unchainRef(lock, this.#byRef, record.terms.ref);
    }
  }

  #unchainRef(lock: SessionLock, byRef: Chains, ref: Ref): void {
    const slot = slotOfRef(ref, byRef.length);
    const head = byRef[slot] ?? null;
    if (head === lock) {
      byRef[slot] = lock.context.nextByRef;
    } else {
      let before = head;
      while (before !== null && before.context.nextByRef !== lock) {
        before = before.context.nextByRef;
      }
      if (before !== null) before.context.nextByRef = lock.context.nextByRef;
    }
    lock.context.nextByRef = null;
  }

  #resize(length: number): void {
    const all = this.#all();
    this.#byId = emptyChains(length);
    if (this.#byRef !== undefined) this.#byRef = emptyChains(length);
    for (const lock of all) this.#chain(lock);
  }

  #all(): SessionLock[] {
    const all: SessionLock[] = [];
    for (const head of this.#byId) {
      for (let lock = head; lock !== null; lock = lock.context.nextById) all.push(lock);
    }
    return all;
  }
}

function byArrival(a: SessionLock, b: SessionLock): number {
  return a.id - b.id;
}

function emptyChains(length: number): Chains {
  return new Array<SessionLock | null>(length).fill(null);
}

/** @param length a power of two; 0 has no slot, and -1 & whatever gives one that isn't there */
function slotOfId(id: number, length: number): number {
  return (id | 0) & (length - 1);
}

function slotOfRef(ref: Ref, length: number): number {
  return (typeof ref === 'number' ? ref ^ (ref / 2 ** 32) : hashOf(ref)) & (length - 1);
}
