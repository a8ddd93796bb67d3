/**
 * Which lock waits for which: for `inspect` and for the search for deadlocks. Changes nothing, and
 * locking and releasing do not use it.
 */
import type { Budget } from './budget.ts';
import { blockersOf } from './conflict.ts';
import type { Lock, TableLock } from './lock.ts';
import type { PathNode } from './path-node.ts';
import { type Entry, Kind, LimitEntry, type Queue } from './queue.ts';

/**
 * Where a lock blocks another, seen from the one that waits: at the same path, at one above it, at
 * one below it, or ahead of it in the queue of limited reads.
 */
export type Relation = 'same' | 'above' | 'below' | 'limit';

/** `waiter` waits because of `blocker`. */
export interface Wait<C> {
  readonly waiter: Lock<C>;
  readonly blocker: Lock<C>;
  readonly relation: Relation;
  /** The path of the node at which they conflict. */
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

/** The queues that may hold what `entry` waits for; none if it is ready. */
export function* queuesAhead<C>(entry: Entry<C>): Generator<Queue<C>> {
  if (entry.isReady) return;
  const blockers = blockersOf(entry.queue.kind);
  for (const queue of entry.queue.node.queues()) {
    if ((queue.kind & blockers) !== 0 && queue.head !== null) yield queue;
  }
}

/**
 * The locks that `lock` waits for, each once, in no particular order. All of them arrived before
 * it. If it waits for its limit, these are all limited reads ahead of it in that queue.
 *
 * @param budget bounds the search: the same few locks may be ahead of each of 100,000 entries. If
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

/** Whether `entry` exists and its lock arrived before `lock`. */
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

/** Whether an entry of that kind announces that its lock has a resource below the node. */
export function isIntent(kind: Kind): boolean {
  return kind === Kind.IS || kind === Kind.IX;
}

export function pathOf<C>(node: PathNode<C>): string[] {
  const path: string[] = [];
  for (let at = node; at.parent !== null; at = at.parent) path.push(at.segment);
  return path.reverse();
}
