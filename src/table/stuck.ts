/**
 * Proves which owners are stuck (see deadlock.ts), and visits no more than the proof needs.
 *
 * It assumes that an owner is stuck and searches for what blocks each of its waits: owners that may
 * be stuck themselves, for which it assumes the same. When one of them turns out to be able to
 * move, the waits that it blocked are checked again. Once there is nothing left to check, the
 * owners still assumed to be stuck block each other: that is the proof. An owner that can move is
 * never assumed to be stuck again, so the search ends.
 *
 * A queue in which something waits has a `Line` with a `stop`: the first entry that still blocks
 * the entries behind it. In a queue of a mode that is the first entry of an owner that may be
 * stuck. In a limit queue it is the first entry of such an owner that has at least as many of them
 * ahead as its own limit. Assumptions only change from stuck to able to move, so a stop only moves
 * towards the tail: each entry is passed once, however many wait behind it.
 *
 * Invariants:
 *  1. An owner that is null in `#known` can move. One with a list there is assumed to be stuck;
 *     nothing is known of the others.
 *  2. `ahead` counts the watched entries before the stop. Those, and the stop if anything waits for
 *     it, are in the list of their owner in `#known`, once.
 *  3. Each wait of an owner that is assumed to be stuck is in `#toProve`, or in `waiters` of a line
 *     that blocks it.
 */
import type { Budget } from './budget.ts';
import { blockersOf } from './conflict.ts';
import type { TableLock } from './lock.ts';
import { type Entry, LimitEntry, type Queue } from './queue.ts';
import type { OwnerLookup } from './waits.ts';

interface Line<C> {
  stop: Entry<C> | null;
  /** The last entry of the queue that is in its owner's list. */
  watched: Entry<C> | null;
  /** For a limit queue only: see invariant 2. */
  ahead: number;
  /** The entries that wait for the stop. */
  waiters: Entry<C>[];
}

export class StuckOwners<C, O> {
  readonly #owners: OwnerLookup<C, O>;
  /**
   * For an owner assumed to be stuck, its entries that block others; null for one that turned out
   * to be able to move. Owners that wait for nothing are left out: checking again is as fast.
   */
  readonly #known = new Map<O, Entry<C>[] | null>();
  readonly #lines = new Map<Queue<C>, Line<C>>();
  /** For each wait not proven to be blocked, the first of its entries that may prove it. */
  readonly #toProve: Entry<C>[] = [];

  constructor(owners: OwnerLookup<C, O>) {
    this.#owners = owners;
  }

  /** Whether `owner` is stuck; undefined if the budget is spent: then the answer is unknown. */
  has(owner: O, budget: Budget): boolean | undefined {
    if (this.#watchedOf(owner, budget) === null) return budget.isSpent ? undefined : false;
    while (this.#known.get(owner) !== null && budget.take()) {
      const entry = this.#toProve.pop();
      if (entry === undefined) return true;
      const waiting = this.#owners.ownerOf(entry.lock);
      if (waiting === undefined || this.#known.get(waiting) === null) continue;
      if (!this.#isBlocked(entry, budget)) this.#free(waiting, budget);
    }
    return budget.isSpent ? undefined : false;
  }

  /** The list of `owner`, who is assumed to be stuck unless known to be able to move; then null. */
  #watchedOf(owner: O, budget: Budget): Entry<C>[] | null {
    const known = this.#known.get(owner);
    if (known !== undefined) return known;
    let watched: Entry<C>[] | null = null;
    for (const lock of this.#owners.waitsOf(owner)) {
      if (!budget.take()) break;
      // The view of the owners is the caller's; the locks in it are this table's own.
      const { entries, pending } = lock as TableLock<C>;
      if (entries === null || pending === 0) continue;
      if (watched === null) {
        watched = [];
        this.#known.set(owner, watched);
        budget.takeForNew();
      }
      this.#toProve.push(entries);
    }
    return watched;
  }

  /** `owner` can move: the waits that it blocked need another proof. */
  #free(owner: O, budget: Budget): void {
    const watched = this.#known.get(owner) ?? [];
    this.#known.set(owner, null);
    for (const entry of watched) {
      const line = this.#lineOf(entry.queue, budget);
      if (line.stop !== entry) {
        line.ahead--;
        if (line.stop instanceof LimitEntry && line.ahead >= line.stop.limit) continue;
      }
      for (const waiter of line.waiters) {
        if (!budget.take()) return;
        this.#toProve.push(waiter);
      }
      line.waiters = [];
    }
  }

  /**
   * Whether an owner that may be stuck blocks the lock of `from`, at that entry or at one that
   * follows it; the entries before it are no longer blocked. True if the budget is spent.
   */
  #isBlocked(from: Entry<C>, budget: Budget): boolean {
    for (let entry: Entry<C> | null = from; entry !== null; entry = entry.sibling) {
      if (!budget.take()) return true;
      if (entry.isReady) continue;
      const blockers = blockersOf(entry.queue.kind);
      let queue: Queue<C> | null = entry.queue.node;
      for (; queue !== null; queue = queue.nextQueue) {
        if ((queue.kind & blockers) === 0 || queue.head === null) continue;
        const line = this.#lineOf(queue, budget);
        if (!this.#isStopped(line, entry, budget)) continue;
        line.waiters.push(entry);
        return true;
      }
    }
    return false;
  }

  #lineOf(queue: Queue<C>, budget: Budget): Line<C> {
    let line = this.#lines.get(queue);
    if (line === undefined) {
      line = { stop: queue.head, watched: null, ahead: 0, waiters: [] };
      this.#lines.set(queue, line);
      budget.takeForNew();
    }
    return line;
  }

  /**
   * Moves the stop of `line` on, not past `entry`; returns whether the stop still blocks `entry`.
   */
  #isStopped(line: Line<C>, entry: Entry<C>, budget: Budget): boolean {
    // In a limit queue, the entry's own limit may be what blocks it.
    const lastId = entry instanceof LimitEntry ? entry.lock.id : entry.lock.id - 1;
    for (let { stop } = line; stop !== null; stop = stop.next) {
      line.stop = stop;
      if (stop.lock.id > lastId) return false;
      if (!budget.take()) return true;
      const owner = this.#owners.ownerOf(stop.lock);
      const watched = owner === undefined ? null : this.#watchedOf(owner, budget);
      if (watched === null) continue;
      if (line.watched !== stop) watched.push(stop);
      line.watched = stop;
      if (!(stop instanceof LimitEntry) || line.ahead >= stop.limit) return true;
      line.ahead++;
    }
    line.stop = null;
    return false;
  }
}
