/**
 * What waits for what: for people who ask who is in the way, and for the search for deadlocks. It
 * only looks; it is no part of locking and releasing.
 */
import type { Budget } from './budget.ts';
import { blockersOf } from './conflict.ts';
import type { Lock, TableLock } from './lock.ts';
import type { PathNode } from './path-node.ts';
import { type Entry, Kind, LimitEntry, type Queue } from './queue.ts';

/**
 * How a lock stands in another's way, seen from the one that waits: at the same path, at one above
 * it, at one below it, or before it in the line of limited reads.
 */
export type Relation = 'same' | 'above' | 'below' | 'limit';

/** `waiter` waits because of `blocker`. */
export interface Wait<C> {
  readonly waiter: Lock<C>;
  readonly blocker: Lock<C>;
  readonly relation: Relation;
  /** The node at which the two meet. */
  readonly path: readonly string[];
}

/** Who owns which locks. Owners are compared by identity. */
export interface OwnerLookup<C, O> {
  ownerOf(lock: Lock<C>): O | undefined;
  /** All locks of `owner`, held or waited for. */
  locksOf(owner: O): Iterable<Lock<C>>;
  /** Those of them that wait; cheap to find among many that are held. */
  waitsOf(owner: O): Iterable<Lock<C>>;
}

/** The queues that may hold what `entry` waits for; none when it is ready. */
export function* queuesAhead<C>(entry: Entry<C>): Generator<Queue<C>> {
  if (entry.isReady) return;
  const blockers = blockersOf(entry.queue.kind);
  for (const queue of entry.queue.node.queues()) {
    if ((queue.kind & blockers) !== 0 && queue.head !== null) yield queue;
  }
}

/**
 * The locks that keep `lock` waiting, each once, in no particular order. All of them arrived before
 * it. Of limited reads those count that stand before it in a line that has not reached it.
 *
 * @param budget what may be spent: the same few locks may be ahead of each of 100,000 entries. When
 *   it is spent, locks may be missing.
 */
export function* waitsOf<C>(lock: TableLock<C>, budget: Budget): Generator<Wait<C>> {
  const seen = new Set<Lock<C>>();
  for (let entry = lock.entries; entry !== null; entry = entry.sibling) {
    for (const queue of queuesAhead(entry)) {
      for (let other = queue.head; isAheadOf(other, lock); other = other.next) {
        if (!budget.take()) return;
        if (seen.has(other.lock)) continue;
        seen.add(other.lock);
        yield waitBetween(entry, other);
      }
    }
  }
}

/** Whether `entry` is there and its lock arrived before `lock`. */
export function isAheadOf<C>(entry: Entry<C> | null, lock: TableLock<C>): entry is Entry<C> {
  return entry !== null && entry.lock.id < lock.id;
}

export function waitBetween<C>(entry: Entry<C>, other: Entry<C>): Wait<C> {
  const path = pathOf(entry.queue.node);
  return { waiter: entry.lock, blocker: other.lock, relation: relationOf(entry, other), path };
}

function relationOf<C>(entry: Entry<C>, other: Entry<C>): Relation {
  if (entry instanceof LimitEntry) return 'limit';
  if (isIntent(entry.queue.kind)) return 'above';
  return isIntent(other.queue.kind) ? 'below' : 'same';
}

/** Whether an entry of that kind says that its lock wants something below. */
export function isIntent(kind: Kind): boolean {
  return kind === Kind.IS || kind === Kind.IX;
}

export function pathOf<C>(node: PathNode<C>): string[] {
  const path: string[] = [];
  for (let at = node; at.parent !== null; at = at.parent) path.push(at.segment);
  return path.reverse();
}
