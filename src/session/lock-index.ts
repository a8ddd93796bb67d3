/**
 * The locks of one session: in order of arrival, by id, and by ref.
 *
 * Two chained hash tables and a list, all intrusive: the links are fields of the locks' records. A
 * `Map` would do the same with more garbage: every few deletions it moves to a new table, and the
 * old one, once it has lived long enough, keeps alive what it held, for the collector to carry
 * around. At full speed that was a fifth of the server's time.
 *
 * Invariants:
 *  1. `size` locks are in the list, ids rising from `first` on, in exactly one chain of `#byId` and,
 *     if they have a ref, in exactly one of `#byRef`.
 *  2. The number of chains is a power of two; there are no more locks than chains, so chains are
 *     short. A client that chose refs to make them long would wait for itself: at most for as many
 *     steps as a session may have locks.
 *  3. The links of a lock that is not in here are null, so that none keeps another alive.
 */
import type { Ref, SessionLock } from './lock-record.ts';

type Chains = (SessionLock | null)[];

const MIN_CHAINS = 8;
/** Chains for one lock at least, before their number is halved. */
const MAX_SPARSENESS = 8;

export class LockIndex implements Iterable<SessionLock> {
  #size = 0;
  #first: SessionLock | null = null;
  #last: SessionLock | null = null;
  /** Made for the first lock, as most connections that wait around have none. */
  #byId: Chains = [];
  /** Made for the first lock with a ref; as long as `#byId` from then on. */
  #byRef: Chains | undefined;

  get size(): number {
    return this.#size;
  }

  /** The lock that arrived first. */
  get first(): SessionLock | undefined {
    return this.#first ?? undefined;
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

  /** In order of arrival. The lock that was given last may be removed meanwhile, no other. */
  *[Symbol.iterator](): Generator<SessionLock> {
    let lock = this.#first;
    while (lock !== null) {
      const { next } = lock.context;
      yield lock;
      lock = next;
    }
  }

  /** @param lock newer than all others, with a ref that none of them has */
  add(lock: SessionLock): void {
    this.#size++;
    if (this.#size > this.#byId.length) this.#resize(Math.max(MIN_CHAINS, this.#size * 2));
    this.#chain(lock);
    lock.context.previous = this.#last;
    if (this.#last === null) this.#first = lock;
    else this.#last.context.next = lock;
    this.#last = lock;
  }

  /** @param lock one that is in here */
  remove(lock: SessionLock): void {
    const record = lock.context;
    this.#unchain(lock);
    if (record.previous === null) this.#first = record.next;
    else record.previous.context.next = record.next;
    if (record.next === null) this.#last = record.previous;
    else record.next.context.previous = record.previous;
    record.previous = null;
    record.next = null;
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

  /** Sets the number of chains to the first power of two that is not below `atLeast`. */
  #resize(atLeast: number): void {
    let length = MIN_CHAINS;
    while (length < atLeast) length *= 2;
    this.#byId = emptyChains(length);
    if (this.#byRef !== undefined) this.#byRef = emptyChains(length);
    for (const lock of this) this.#chain(lock);
  }
}

function emptyChains(length: number): Chains {
  return new Array<SessionLock | null>(length).fill(null);
}

/** @param length a power of two; 0 has no slot, and -1 & whatever gives one that isn't there */
function slotOfId(id: number, length: number): number {
  return (id | 0) & (length - 1);
}

function slotOfRef(ref: Ref, length: number): number {
  return (typeof ref === 'number' ? ref | 0 : hashOf(ref)) & (length - 1);
}

/** FNV-1a, over UTF-16 units. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash ^ (hash >>> 15);
}
