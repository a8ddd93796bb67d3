/**
 * Finds the deadlock that a waiting lock would close.
 *
 * Locks belong to owners: threads of work that hold locks while they wait for others. An owner is
 * *stuck* when it waits, and each lock it waits for is blocked by an owner that is stuck. An owner
 * that waits for nothing can still move, and so can one of whose waits only one may end; a lock
 * without an owner is never in the way for good. So the stuck owners are the largest set in which
 * each one's every wait is blocked by another of the set. If the new lock's owner is in it, and the
 * waits among them lead back to it, the newest request has closed a cycle.
 *
 * Only requests are judged. An owner with several waits may get stuck without one, when the wait
 * that could still end does: that is found when one of those concerned asks for more, or never.
 *
 *  1. Follow the waits from the new lock, from owner to owner. Mostly that ends without coming back
 *     to where it began, and there is no deadlock. Each queue is walked once, whoever waits in it.
 *  2. Otherwise take out, from all owners found, those that can move, until no more can. Each wait
 *     is looked at again only when an owner by which it was known to be stuck has been taken out.
 *  3. If the new lock's owner is left, the shortest way back to it through those left is the cycle.
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
    // Stuck, and yet not in a circle: behind others that are.
    if (!ways.has(owner) || this.#stepsLeft < 0) return undefined;
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
    const proofs = new Proofs<C, O>();
    const freed: O[] = [];
    const free = (owner: O): void => {
      owners.delete(owner);
      freed.push(owner);
    };
    for (const owner of owners) {
      const waiting = this.#waiting(owner);
      const isStuck = waiting.length > 0 && waiting.every((l) => this.#prove(l, owners, proofs));
      if (!isStuck) free(owner);
    }
    for (const mover of freed) {
      for (const lock of proofs.takeThoseOn(mover)) {
        const owner = this.#owners.ownerOf(lock);
        if (owner === undefined || !owners.has(owner)) continue;
        if (!this.#prove(lock, owners, proofs)) free(owner);
      }
      if (!owners.has(asker)) return undefined;
    }
    return owners.has(asker) ? owners : undefined;
  }

  /** Whether `lock` would still wait if all but the `stuck` owners let go; notes by whom it would. */
  #prove(lock: TableLock<C>, stuck: ReadonlySet<O>, proofs: Proofs<C, O>): boolean {
    this.#stepsLeft--;
    for (let entry = lock.entries; entry !== null; entry = entry.sibling) {
      for (const queue of queuesAhead(entry)) {
        const blockers =
          entry instanceof LimitEntry
            ? this.#blockersInLine(entry, queue, stuck)
            : this.#firstBlocker(lock, queue, stuck, proofs);
        for (const blocker of blockers) proofs.add(blocker, lock);
        if (blockers.length > 0) return true;
      }
    }
    return false;
  }

  /** The owner of the first lock of a stuck one in `queue`, if that is ahead of `lock`. */
  #firstBlocker(
    lock: TableLock<C>,
    queue: Queue<C>,
    stuck: ReadonlySet<O>,
    { firsts }: Proofs<C, O>,
  ): O[] {
    let first = firsts.get(queue) ?? queue.head;
    let owner: O | undefined;
    while (isAheadOf(first, lock) && this.#stepsLeft-- > 0) {
      firsts.set(queue, first);
      owner = this.#stuckOwnerOf(first.lock, stuck);
      if (owner !== undefined) return [owner];
      first = first.next;
    }
    return [];
  }

  /** The same for limited reads: the line that is left must let each of its own in, up to `entry`. */
  #blockersInLine(entry: LimitEntry<C>, queue: Queue<C>, stuck: ReadonlySet<O>): O[] {
    const left: O[] = [];
    for (let other = queue.head; isAheadOf(other, entry.lock); other = other.next) {
      if (this.#stepsLeft-- <= 0) return [];
      const owner = this.#stuckOwnerOf(other.lock, stuck);
      if (owner === undefined) continue;
      left.push(owner);
      if (other instanceof LimitEntry && left.length > other.limit) return left;
    }
    return left.length >= entry.limit ? left : [];
  }

  #stuckOwnerOf(lock: Lock<C>, stuck: ReadonlySet<O>): O | undefined {
    const owner = this.#owners.ownerOf(lock);
    return owner !== undefined && stuck.has(owner) ? owner : undefined;
  }

  #waiting(owner: O): TableLock<C>[] {
    // The view of the owners is the caller's; the locks in it are this table's own.
    return [...this.#owners.waitsOf(owner)] as TableLock<C>[];
  }
}

/** By which owners each lock is known to be stuck: when one of them can move, it is to be seen anew. */
class Proofs<C, O> {
  readonly #locks = new Map<O, TableLock<C>[]>();
  /** In each queue, how far it holds no lock of a stuck owner: that only ever moves on. */
  readonly firsts = new Map<Queue<C>, Entry<C>>();

  add(owner: O, lock: TableLock<C>): void {
    const locks = this.#locks.get(owner);
    if (locks === undefined) this.#locks.set(owner, [lock]);
    else locks.push(lock);
  }

  takeThoseOn(owner: O): readonly TableLock<C>[] {
    const locks = this.#locks.get(owner) ?? [];
    this.#locks.delete(owner);
    return locks;
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
