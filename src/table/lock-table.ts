/**
 * The lock table: puts conflicting locks in arrival order and reports which become held.
 *
 * It is pure and synchronous: no I/O, no timers, no clock, no callbacks. `release` returns the
 * locks that became held, and the caller notifies their holders once the table is consistent again.
 *
 * How it works. Locks are entered in a trie of path segments in the modes of multi-granularity
 * locking (J. Gray et al., "Granularity of Locks and Degrees of Consistency in a Shared Data Base",
 * 1975): a write of a/b enters IX at the root and at a, and X at a/b; a read enters IS, IS, S. Two
 * locks conflict exactly when, at some node, they have entries of conflicting modes:
 *
 *          IS  IX  S   X
 *     IS    .   .  .   x       Gray's fifth mode, SIX, conflicts with what S or IX conflicts with,
 *     IX    .   .  x   x       and with nothing else: a lock that reads a node and writes below it
 *     S     .   x  .   x       has both an S and an IX entry there. That makes the table smaller
 *     X     x   x  x   x       and saves a fifth queue at every node.
 *
 *  Rule 1. An entry is ready when no entry of a conflicting mode and another lock is ahead of it
 *          at its node. As ids rise along each queue, that is: when no *head* of a conflicting
 *          queue has a smaller id. Entries of one lock share its id and never block each other.
 *  Rule 2. A lock is acquired when all its entries are ready; `pending` counts the others.
 *  Rule 3. Readiness changes only when the head of a conflicting queue leaves. Whether the entry
 *          that leaves was held or waited for makes no difference: a cancelled waiter unblocks the
 *          entries behind it just as a released holder does.
 *  Rule 4. A limited read has one more entry, in its node's limit queue. That is ready when all
 *          entries ahead of it there are ready, and fewer than its own limit are admitted.
 *
 * Costs: `lock` and `release` take O(resources x depth) amortised, with no term in the number of
 * holders or waiters. A released lock leaves nothing behind: its entries and nodes are removed.
 */
import { Budget } from './budget.ts';
import { blockersOf, kindsOf, mustWait } from './conflict.ts';
import { findDeadlock } from './deadlock.ts';
import { findLocks, type LockMatch } from './find-locks.ts';
import { invariant } from './invariant.ts';
import { type Lock, TableLock } from './lock.ts';
import { PathNode } from './path-node.ts';
import { Entry, Kind, LimitEntry, LimitQueue, type Mode, type Queue } from './queue.ts';
import {
  inPrecedence,
  type Path,
  type ReadResource,
  type Resource,
  type TableSize,
} from './resource.ts';
import { verifyTable } from './verify.ts';
import { type OwnerLookup, type Wait, waitsOf } from './waits.ts';

export class LockTable<C = void> {
  readonly #root = new PathNode<C>(null, '');
  readonly #nextId: () => number;
  readonly #size = {
    acquired: 0,
    enqueued: 0,
    resourcesAcquired: 0,
    resourcesEnqueued: 0,
    paths: 0,
  };
  #lastId = 0;

  /**
   * @param nextId gives each lock its id: a safe integer above 0, larger at every call. Tables
   *   that share a counter have ids that are unique among them. Counts from 1 by default.
   */
  constructor(nextId: () => number = () => this.#lastId + 1) {
    this.#nextId = nextId;
  }

  get size(): TableSize {
    return this.#size;
  }

  /** The id of the newest lock so far, 0 before the first. */
  get lastId(): number {
    return this.#lastId;
  }

  get isEmpty(): boolean {
    return this.#size.acquired === 0 && this.#size.enqueued === 0;
  }

  /**
   * Requests `resources` together. The lock is acquired at once if none of them conflicts with an
   * earlier lock that is not yet released; otherwise it is enqueued, and a later `release` returns
   * it.
   *
   * @param resources one or more. They may overlap: a lock never conflicts with itself. The array
   *   is kept, not copied; the caller must not change it any more.
   * @param context available as `lock.context`; the table never reads it
   */
  lock(resources: readonly Resource[], context: C): Lock<C> {
    // All checks come before any change: misuse leaves the table as it was.
    invariant(resources.length > 0, 'a lock needs at least one resource');
    invariant(resources.every(hasValidLimit), 'a limit is an integer of at least 1');
    const id = this.#nextId();
    invariant(
      id > this.#lastId && Number.isSafeInteger(id),
      'lock ids must be rising safe integers',
    );
    this.#lastId = id;

    const lock = new TableLock<C>(id, resources, context);
    for (const resource of inPrecedence(resources)) {
      if (resource.type === 'write') this.#claimWrite(lock, resource.path);
      else this.#claimRead(lock, resource);
    }
    if (lock.pending === 0) {
      this.#size.acquired++;
      this.#size.resourcesAcquired += resources.length;
    } else {
      this.#size.enqueued++;
      this.#size.resourcesEnqueued += resources.length;
    }
    return lock;
  }

  /**
   * Removes `lock`, whether it is held or waits, and returns the locks that became held by that, in
   * arrival order.
   *
   * @param lock a lock of this table that is not yet released; anything else is a bug of the caller
   *   and throws
   */
  release(lock: Lock<C>): Lock<C>[] {
    return this.#release(this.#own(lock));
  }

  /** @throws Error unless `lock` belongs to this table and is not released */
  #own(lock: Lock<C>): TableLock<C> {
    invariant(lock instanceof TableLock, 'the lock does not come from a lock table');
    invariant(lock.entries !== null, 'the lock is already released');
    let { node } = lock.entries.queue;
    while (node.parent !== null) node = node.parent;
    invariant(node === this.#root, 'the lock belongs to another table');
    return lock;
  }

  #release(lock: TableLock<C>): Lock<C>[] {
    const count = lock.resources.length;
    if (lock.pending === 0) {
      this.#size.acquired--;
      this.#size.resourcesAcquired -= count;
    } else {
      this.#size.enqueued--;
      this.#size.resourcesEnqueued -= count;
    }

    const acquired: Lock<C>[] = [];
    for (let entry = lock.entries; entry !== null; entry = entry.sibling) {
      this.#leave(entry, acquired);
    }
    lock.entries = null;
    return acquired.length > 1 ? acquired.sort(byArrival) : acquired;
  }

  /**
   * The locks at `path`, above it and below it, in order of arrival.
   *
   * @param afterId the last id of the previous page: locks up to it are left out
   * @param budget charged for each step; the caller stops when it is spent
   * @param last the lock with the id `afterId`, if it is not released: then no lock is passed over
   */
  findLocks(
    path: Path,
    afterId = 0,
    budget = new Budget(Infinity),
    last?: Lock<C>,
  ): Iterable<LockMatch<C>> {
    return findLocks(this.#root, path, afterId, budget, last && this.#own(last));
  }

  /**
   * What `lock` waits for: the conflicting locks that arrived before it; none if it is held.
   *
   * @param budget the list ends when it is spent; unlimited by default
   */
  waitsOf(lock: Lock<C>, budget = new Budget(Infinity)): Iterable<Wait<C>> {
    return waitsOf(this.#own(lock), budget);
  }

  /**
   * The cycle of waits that `lock` closes among owners of locks; undefined if it closes none.
   *
   * @param lock enqueued, and the newest of this table
   * @param maxSteps see `findDeadlock` in deadlock.ts, as for the result
   */
  findDeadlock<O>(
    lock: Lock<C>,
    owners: OwnerLookup<C, O>,
    maxSteps?: number,
  ): readonly Wait<C>[] | undefined {
    return findDeadlock(this.#own(lock), owners, maxSteps);
  }

  /**
   * Checks every invariant of the table, and throws an error that names a broken one. For tests.
   */
  verify(): void {
    verifyTable(this.#root, this.#size);
  }

  /**
   * Enters what a write needs, from the root down: IX above, X at its path.
   *
   * Here and in #claimRead, what an earlier resource of the same lock covers is left out. The
   * newest lock's entries are at the tails, so they are found there, and `inPrecedence` guarantees
   * that a resource that covers others was entered first.
   */
  #claimWrite(lock: TableLock<C>, path: Path): void {
    let node = this.#root;
    for (const segment of path) {
      const own = kindsOf(lock, node);
      if ((own & Kind.X) !== 0) return;
      if ((own & Kind.IX) === 0) this.#join(lock, node, Kind.IX);
      node = this.#descend(node, segment);
    }
    if ((kindsOf(lock, node) & Kind.X) === 0) this.#join(lock, node, Kind.X);
  }

  /** Enters what a read needs: IS above (unless it has IX), S at its path, and its limit entry. */
  #claimRead(lock: TableLock<C>, { path, limit }: ReadResource): void {
    let isShared = false;
    let node = this.#root;
    let own = kindsOf(lock, node);
    for (const segment of path) {
      if ((own & Kind.X) !== 0) return;
      isShared ||= (own & Kind.S) !== 0;
      // The lock shares all below already: only an entry in the limit queue may be missing.
      if (isShared && limit === undefined) return;
      if (!isShared && (own & (Kind.IX | Kind.IS)) === 0) this.#join(lock, node, Kind.IS);
      node = this.#descend(node, segment);
      own = kindsOf(lock, node);
    }
    if ((own & Kind.X) !== 0) return;
    if (!isShared && (own & Kind.S) === 0) this.#join(lock, node, Kind.S);
    if (limit !== undefined && (own & Kind.limit) === 0) this.#joinLimit(lock, node, limit);
  }

  #descend(node: PathNode<C>, segment: string): PathNode<C> {
    const child = node.childOrNew(segment);
    if (child.isEmpty) this.#size.paths++;
    return child;
  }

  #join(lock: TableLock<C>, node: PathNode<C>, mode: Mode): void {
    const queue = node.queueFor(mode);
    const ready = !mustWait(node, mode, lock.id);
    queue.append(new Entry(lock, queue), ready);
    if (!ready) lock.pending++;
  }

  #joinLimit(lock: TableLock<C>, node: PathNode<C>, limit: number): void {
    const queue = node.limitQueue();
    const ready = queue.frontier === null && queue.admitted < limit;
    queue.append(new LimitEntry(lock, queue, limit), ready);
    if (ready) queue.admitted++;
    else lock.pending++;
  }

  #leave(entry: Entry<C>, acquired: Lock<C>[]): void {
    const { queue } = entry;
    if (queue instanceof LimitQueue) {
      this.#leaveLimit(entry, queue, acquired);
    } else {
      const wasHead = queue.head === entry;
      queue.unlink(entry);
      if (wasHead) this.#advanceBlockedBy(queue, acquired);
    }
    this.#prune(queue.node);
  }

  #leaveLimit(entry: Entry<C>, queue: LimitQueue<C>, acquired: Lock<C>[]): void {
    if (entry.isReady) queue.admitted--;
    queue.unlink(entry);
    for (let next = queue.frontier; next !== null; next = queue.frontier) {
      if (queue.admitted >= next.limit) return;
      queue.admitted++;
      queue.frontier = next.next as LimitEntry<C> | null;
      this.#becameReady(next.lock, acquired);
    }
  }

  /** The head of `left` has left: readies the entries of that node that waited for it alone. */
  #advanceBlockedBy(left: Queue<C>, acquired: Lock<C>[]): void {
    const { node, kind } = left;
    for (let queue: Queue<C> | null = node; queue !== null; queue = queue.nextQueue) {
      if (queue.frontier !== null && (blockersOf(queue.kind) & kind) !== 0) {
        this.#advance(node, queue, queue.kind as Mode, acquired);
      }
    }
  }

  #advance(node: PathNode<C>, queue: Queue<C>, mode: Mode, acquired: Lock<C>[]): void {
    for (let next = queue.frontier; next !== null; next = queue.frontier) {
      if (mustWait(node, mode, next.lock.id)) return;
      queue.frontier = next.next;
      this.#becameReady(next.lock, acquired);
    }
  }

  /**
   * An entry of `lock` became ready. It is never the lock that leaves: entries of one lock do not
   * wait for each other (rule 1).
   */
  #becameReady(lock: TableLock<C>, acquired: Lock<C>[]): void {
    lock.pending--;
    if (lock.pending > 0) return;
    this.#size.enqueued--;
    this.#size.acquired++;
    this.#size.resourcesEnqueued -= lock.resources.length;
    this.#size.resourcesAcquired += lock.resources.length;
    acquired.push(lock);
  }

  /** Removes `node` if it is empty, and then each ancestor that becomes empty by that. */
  #prune(node: PathNode<C>): void {
    for (let at = node; at.isEmpty && at.parent !== null; at = at.parent) {
      at.parent.removeChild(at);
      this.#size.paths--;
    }
  }
}

function hasValidLimit(resource: Resource): boolean {
  if (resource.type === 'write' || resource.limit === undefined) return true;
  return Number.isSafeInteger(resource.limit) && resource.limit >= 1;
}

function byArrival<C>(a: Lock<C>, b: Lock<C>): number {
  return a.id - b.id;
}
