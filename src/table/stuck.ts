/**
 * Proves which owners are stuck (see deadlock.ts), and looks at no more than the proof needs.
 *
 * It assumes that an owner is stuck and looks for what blocks each of its waits: owners that may be
 * stuck themselves, of whom the same is assumed. When one of them turns out to be able to move, the
 * waits that it blocked are looked at again. Once there is nothing left to look at, those still
 * assumed to be stuck block each other: that is the proof. An owner that can move is never assumed to
 * be stuck again, so the search ends.
 *
 * A queue in which something waits has a `Line`, and its `stop`: the first entry that still holds up
 * what is behind it. In a queue of a mode that is the first entry of an owner that may be stuck. In
 * a queue of limited reads it is the first entry of such an owner that has as many of them ahead as
 * its own limit allows. As owners are only ever found to be able to move, a stop only moves towards
 * the tail: each entry is passed once, however many wait behind it.
 *
 * Invariants:
 *  1. What `#known` says can move is not stuck; of the others nothing is known yet, or assumed.
 *  2. `ahead` counts those of the watched entries that are before the stop. Those, and the stop if
 *     anything waits for it, are in the list of their owner in `#known`, once.
 *  3. Each wait of an owner that is assumed to be stuck is in `#toProve`, or in `waiters` of a line
 *     that holds it up.
 */
import type { Budget } from './budget.ts';
import { blockersOf } from './conflict.ts';
import type { TableLock } from './lock.ts';
import { type Entry, LimitEntry, type Queue } from './queue.ts';
import type { OwnerLookup } from './waits.ts';

interface Line<C> {
  stop: Entry<C> | null;
  /** The last entry that its owner's list has. */
  watched: Entry<C> | null;
  /** In a queue of limited reads. */
  ahead: number;
  /** The entries that wait for the stop. */
  waiters: Entry<C>[];
}

export class StuckOwners<C, O> {
  readonly #owners: OwnerLookup<C, O>;
  /**
   * Of those assumed to be stuck the entries by which they hold up others, null of those of which that
   * was found to be wrong. What waits for nothing is not in here: that is as fast to see.
   */
  readonly #known = new Map<O, Entry<C>[] | null>();
  readonly #lines = new Map<Queue<C>, Line<C>>();
  /** For each wait without a proof, the first of its entries that may hold one. */
  readonly #toProve: Entry<C>[] = [];

  constructor(owners: OwnerLookup<C, O>) {
    this.#owners = owners;
  }

  /** Whether `owner` is stuck; undefined when the budget is spent, and then nothing more is known. */
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

  /** The list of `owner`, which is assumed to be stuck if nothing is known of it; null if it can move. */
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

  /** `owner` can move: what it held up is to be proven anew. */
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
   * Whether the lock of `from` is held up by an owner that may be stuck, at that entry or at one
   * that follows it; those before it no longer are. True when the budget is spent.
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

  /** Moves the stop of `line` on, at most past `entry`, and says whether it still stops that. */
  #isStopped(line: Line<C>, entry: Entry<C>, budget: Budget): boolean {
    // In a line of limited reads its own limit may be what stops it.
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
