/**
 * Finds the deadlock that a waiting lock would close.
 *
 * Locks belong to owners: threads of work that hold locks while they wait for others. An owner is
 * *stuck* when it waits, and each lock it waits for is blocked by an owner that is stuck. An owner
 * that waits for nothing can still move, and so can one of whose waits only one may end; a lock
 * without an owner is never in the way for good. So the stuck owners are the largest set in which
 * each one's every wait is blocked by another of the set. The newest request has closed a cycle if
 * its owner is in it and in the way of itself there. That it is in it is not enough: others may be
 * stuck without it, where an owner took back the one wait that could still end.
 *
 *  1. Follow the waits from the new lock, from owner to owner. Mostly that ends without coming back
 *     to where it began, and there is no deadlock. Each queue is walked once, whoever waits in it.
 *  2. Otherwise take out, from all owners found, those that can move, until no more can.
 *  3. The shortest way back to the new lock's owner through those left, if there is one, is the cycle.
 *
 * The search looks at no more than `MAX_STEPS` entries, so that it can't hold up the server. Past
 * that it gives up and finds nothing.
 */
import type { Lock, TableLock } from './lock.ts';
import { type Entry, LimitEntry, type Queue } from './queue.ts';
import { isAheadOf, queuesAhead, type Wait, waitBetween } from './waits.ts';

/** Who owns which locks. Owners are compared by identity. */
export interface Owners<C, O> {
  ownerOf(lock: Lock<C>): O | undefined;
  /** The locks that `owner` waits for. */
  waitsOf(owner: O): Iterable<Lock<C>>;
}

const MAX_STEPS = 1_000_000;

/**
 * @param lock one that is enqueued, the newest of its table, and among the waits of its owner
 * @returns the waits that make the cycle, beginning with one of that owner; each one's blocker
 *   belongs to the owner of the next one's waiter, and the last one's to the first owner
 */
export function findDeadlock<C, O>(
  lock: TableLock<C>,
  owners: Owners<C, O>,
): readonly Wait<C>[] | undefined {
  return new Search(lock, owners).run();
}

class Search<C, O> {
  readonly #lock: TableLock<C>;
  readonly #owners: Owners<C, O>;
  #stepsLeft = MAX_STEPS;

  constructor(lock: TableLock<C>, owners: Owners<C, O>) {
    this.#lock = lock;
    this.#owners = owners;
  }

  run(): Wait<C>[] | undefined {
    const owner = this.#owners.ownerOf(this.#lock);
    if (owner === undefined) return undefined;
    const reached = this.#follow(owner, undefined);
    if (!reached.has(owner)) return undefined;
    const stuck = this.#stuckAmong(new Set(reached.keys()), owner);
    if (stuck === undefined) return undefined;
    const ways = this.#follow(owner, stuck);
    if (this.#stepsLeft < 0 || !ways.has(owner)) return undefined;
    return wayTo(owner, ways, this.#owners);
  }

  /**
   * The owners in the way of `asker`, directly or through others, each with the wait by which it was
   * first found; breadth first, and not past `asker`, where the waits began.
   *
   * @param within the only owners to look at; all when left out
   */
  #follow(asker: O, within: ReadonlySet<O> | undefined): Map<O, Wait<C>> {
    const ways = new Map<O, Wait<C>>();
    const walked = new Map<Queue<C>, Entry<C>>();
    const toVisit = this.#waiting(asker);
    for (const lock of toVisit) {
      for (const [entry, other] of this.#unwalkedAhead(lock, walked)) {
        const owner = this.#owners.ownerOf(other.lock);
        if (owner === undefined || ways.has(owner)) continue;
        if (within !== undefined && !within.has(owner)) continue;
        ways.set(owner, waitBetween(entry, other));
        if (owner !== asker) toVisit.push(...this.#waiting(owner));
      }
    }
    return ways;
  }

  /** What stands in the way of `lock`, without the parts of queues that were walked before. */
  *#unwalkedAhead(
    lock: TableLock<C>,
    walked: Map<Queue<C>, Entry<C>>,
  ): Generator<readonly [Entry<C>, Entry<C>]> {
    for (let entry = lock.entries; entry !== null; entry = entry.sibling) {
      for (const queue of queuesAhead(entry)) {
        const last = walked.get(queue);
        let other = last === undefined ? queue.head : last.next;
        for (; isAheadOf(other, lock) && this.#stepsLeft-- > 0; other = other.next) {
          walked.set(queue, other);
          yield [entry, other];
        }
      }
    }
  }

  /** Those of `owners` that can't move unless another of them does; undefined if `asker` can. */
  #stuckAmong(owners: Set<O>, asker: O): Set<O> | undefined {
    for (let before = -1; before !== owners.size; ) {
      before = owners.size;
      for (const owner of owners) {
        if (this.#canMove(owner, owners)) owners.delete(owner);
      }
      if (!owners.has(asker)) return undefined;
    }
    return owners;
  }

  #canMove(owner: O, stuck: ReadonlySet<O>): boolean {
    const waiting = this.#waiting(owner);
    return waiting.length === 0 || !waiting.every((lock) => this.#isStuck(lock, stuck));
  }

  /** Whether `lock` would still wait if all but the `stuck` owners let go of everything. */
  #isStuck(lock: TableLock<C>, stuck: ReadonlySet<O>): boolean {
    for (let entry = lock.entries; entry !== null; entry = entry.sibling) {
      for (const queue of queuesAhead(entry)) {
        const isStuck =
          entry instanceof LimitEntry
            ? this.#isLineStuck(entry, queue, stuck)
            : this.#hasStuckAhead(lock, queue, stuck);
        if (isStuck) return true;
      }
    }
    return false;
  }

  #hasStuckAhead(lock: TableLock<C>, queue: Queue<C>, stuck: ReadonlySet<O>): boolean {
    for (let other = queue.head; isAheadOf(other, lock); other = other.next) {
      if (this.#stepsLeft-- <= 0) return false;
      if (this.#isOwnedByOne(other.lock, stuck)) return true;
    }
    return false;
  }

  /** The same for limited reads: the line that is left must let each of its own in, up to `entry`. */
  #isLineStuck(entry: LimitEntry<C>, queue: Queue<C>, stuck: ReadonlySet<O>): boolean {
    let left = 0;
    for (let other = queue.head; isAheadOf(other, entry.lock); other = other.next) {
      if (this.#stepsLeft-- <= 0) return false;
      if (!this.#isOwnedByOne(other.lock, stuck)) continue;
      if (other instanceof LimitEntry && left >= other.limit) return true;
      left++;
    }
    return left >= entry.limit;
  }

  #isOwnedByOne(lock: Lock<C>, of: ReadonlySet<O>): boolean {
    const owner = this.#owners.ownerOf(lock);
    return owner !== undefined && of.has(owner);
  }

  #waiting(owner: O): TableLock<C>[] {
    // The view of the owners is the caller's; the locks in it are this table's own.
    return [...this.#owners.waitsOf(owner)] as TableLock<C>[];
  }
}

/** From each owner back to the one that waits for it: the waits that lead to `owner`, in order. */
function wayTo<C, O>(owner: O, ways: ReadonlyMap<O, Wait<C>>, owners: Owners<C, O>): Wait<C>[] {
  const waits: Wait<C>[] = [];
  let wait = ways.get(owner);
  while (wait !== undefined) {
    waits.push(wait);
    const waiterOwner = owners.ownerOf(wait.waiter);
    wait = waiterOwner === undefined || waiterOwner === owner ? undefined : ways.get(waiterOwner);
  }
  return waits.reverse();
}
