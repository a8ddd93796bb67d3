/**
 * Finds the deadlock that a waiting lock would close.
 *
 * Locks belong to owners: threads of work that hold locks while they wait for others. An owner is
 * *stuck* when it waits, and each of its waiting locks is blocked by a stuck owner. An owner that
 * waits for nothing can still move, and so can an owner one of whose waits may end; a lock without
 * an owner never blocks for good. So the stuck owners are the largest set in which every wait of
 * each owner is blocked by an owner of the set. If the new lock's owner is in it, and the waits
 * among them lead back to it, the newest request has closed a cycle.
 *
 * The search runs for requests only. An owner with several waits may also get stuck without a
 * request, when its only wait that could end does: the next request of an owner in the cycle finds
 * that, or nothing does.
 *
 *  1. Follow the waits backwards, from what waits behind the requester's other locks. If they don't
 *     lead back to the requester, there is no cycle. Usually nothing waits there, and that is all.
 *  2. Prove that the requester is stuck, or that it can move: stuck.ts.
 *  3. If it is stuck, the path found by 1 is the cycle if all owners on it are stuck. Otherwise the
 *     cycle is the shortest path forwards through stuck owners, if there is one.
 *
 * Either of 1 and 2 may be short where the other is long, so both begin with a small budget, which
 * grows until one of them ends: the cost is a few times that of the shorter one. A search that
 * `MAX_STEPS` cuts finds nothing: the bound can miss a deadlock, but never report a false one.
 */
import { Budget } from './budget.ts';
import { blockersOf } from './conflict.ts';
import type { Lock, TableLock } from './lock.ts';
import type { Entry, Queue } from './queue.ts';
import { StuckOwners } from './stuck.ts';
import { isAheadOf, type OwnerLookup, queuesAhead, type Wait, waitBetween } from './waits.ts';

/** Two entries that meet at a node: one waits because of the other. */
interface Link<C> {
  readonly waiter: Entry<C>;
  readonly blocker: Entry<C>;
}

/**
 * The budget of each part of a search, in steps. In the worst graphs that we know, a search that
 * spends all of it takes 0.3 to 1.5 ms (p50 of `node --import tsx test/bench/deadlock.ts`), and it
 * finds a cycle of a thousand owners.
 */
const MAX_STEPS = 16_384;
/** The budget of the first round, and the factor by which it grows from round to round. */
const FIRST_STEPS = 256;
const GROWTH = 4;

/**
 * @param lock enqueued, the newest of its table, and among the waits of its owner
 * @param maxSteps the most steps of each part of the search; infinite for no bound
 * @returns the waits of the cycle, beginning with one of the lock's owner; the blocker of each
 *   belongs to the owner of the next one's waiter, and the last blocker to the first owner.
 *   Undefined if there is no deadlock, or if the search was cut
 */
export function findDeadlock<C, O>(
  lock: TableLock<C>,
  owners: OwnerLookup<C, O>,
  maxSteps = MAX_STEPS,
): readonly Wait<C>[] | undefined {
  const asker = owners.ownerOf(lock);
  if (asker === undefined) return undefined;
  let steps = FIRST_STEPS;
  for (;;) {
    steps = Math.min(steps, maxSteps);
    const back = wayBack(lock, asker, owners, new Budget(steps));
    if (back === 'none') return undefined;
    const stuck = new StuckOwners(owners);
    const isStuck = stuck.has(asker, new Budget(steps));
    if (isStuck === false) return undefined;
    if (isStuck) {
      const isCircle = back !== 'cut' && areStuck(back, stuck, owners, new Budget(maxSteps));
      const way = isCircle ? back : wayForwards(asker, stuck, owners, new Budget(maxSteps));
      return way?.map(({ waiter, blocker }) => waitBetween(waiter, blocker));
    }
    if (steps === maxSteps) return undefined;
    steps *= GROWTH;
  }
}

/**
 * The shortest cycle through `asker`, searched backwards from what waits behind its locks, whether
 * its owners can move or not; `cut` when the budget is spent.
 */
function wayBack<C, O>(
  newest: TableLock<C>,
  asker: O,
  owners: OwnerLookup<C, O>,
  budget: Budget,
): Link<C>[] | 'none' | 'cut' {
  /** For each owner, its wait for an owner nearer to the asker. */
  const links = new Map<O, Link<C>>();
  const walked = new Map<Queue<C>, Entry<C>>();
  const toVisit = [asker];
  for (const owner of toVisit) {
    for (const link of linksFromBehind(owners.locksOf(owner), newest, walked, budget)) {
      const next = owners.ownerOf(link.waiter.lock);
      if (next === undefined || links.has(next)) continue;
      links.set(next, link);
      budget.takeForNew();
      if (next === asker) return along(links, asker, (at) => owners.ownerOf(at.blocker.lock));
      toVisit.push(next);
    }
    if (budget.isSpent) return 'cut';
  }
  return 'none';
}

/**
 * The shortest cycle of stuck owners through `asker`; undefined if none, or the budget is spent.
 */
function wayForwards<C, O>(
  asker: O,
  stuck: StuckOwners<C, O>,
  owners: OwnerLookup<C, O>,
  budget: Budget,
): Link<C>[] | undefined {
  /** For each owner, the wait for it of an owner nearer to the asker. */
  const links = new Map<O, Link<C>>();
  const walked = new Map<Queue<C>, Entry<C>>();
  const toVisit = [asker];
  for (const owner of toVisit) {
    if (budget.isSpent) return undefined;
    // Proven only when visited: the search may reach the asker first.
    if (stuck.has(owner, budget) !== true) continue;
    for (const link of linksAhead(owners.waitsOf(owner), walked, budget)) {
      const next = owners.ownerOf(link.blocker.lock);
      if (next === undefined || links.has(next)) continue;
      links.set(next, link);
      budget.takeForNew();
      if (next === asker) {
        return along(links, asker, (at) => owners.ownerOf(at.waiter.lock)).reverse();
      }
      toVisit.push(next);
    }
  }
  return undefined;
}

function areStuck<C, O>(
  way: readonly Link<C>[],
  stuck: StuckOwners<C, O>,
  owners: OwnerLookup<C, O>,
  budget: Budget,
): boolean {
  return way.every(({ waiter }) => {
    const owner = owners.ownerOf(waiter.lock);
    return owner !== undefined && stuck.has(owner, budget) === true;
  });
}

/**
 * The waits for one of `locks` that are not in `walked`, which holds the foremost entry visited of
 * each queue: what waits there for one lock also waits for every lock ahead of it.
 *
 * @param newest left out: nothing can wait behind it
 */
function* linksFromBehind<C>(
  locks: Iterable<Lock<C>>,
  newest: TableLock<C>,
  walked: Map<Queue<C>, Entry<C>>,
  budget: Budget,
): Generator<Link<C>> {
  for (const blocker of entriesOf(locks, newest, budget)) {
    // Conflict is symmetric: of two entries that conflict, the one ahead blocks the other.
    const waiting = blockersOf(blocker.queue.kind);
    let queue: Queue<C> | null = blocker.queue.node;
    for (; queue !== null; queue = queue.nextQueue) {
      if (!budget.take()) return;
      if ((queue.kind & waiting) === 0 || !isBehind(queue.tail, blocker)) continue;
      const last = walked.get(queue);
      let waiter = last === undefined ? queue.tail : last.prev;
      for (; isBehind(waiter, blocker); waiter = waiter.prev) {
        if (!budget.take()) return;
        walked.set(queue, waiter);
        yield { waiter, blocker };
      }
    }
  }
}

/**
 * What `locks` wait for, except what `walked` covers: it has the last entry visited of each queue.
 */
function* linksAhead<C>(
  locks: Iterable<Lock<C>>,
  walked: Map<Queue<C>, Entry<C>>,
  budget: Budget,
): Generator<Link<C>> {
  for (const waiter of entriesOf(locks, undefined, budget)) {
    for (const queue of queuesAhead(waiter)) {
      const last = walked.get(queue);
      let blocker = last === undefined ? queue.head : last.next;
      for (; isAheadOf(blocker, waiter.lock); blocker = blocker.next) {
        if (!budget.take()) return;
        walked.set(queue, blocker);
        yield { waiter, blocker };
      }
    }
  }
}

/** All entries of `locks`, without those of `except`. */
function* entriesOf<C>(
  locks: Iterable<Lock<C>>,
  except: TableLock<C> | undefined,
  budget: Budget,
): Generator<Entry<C>> {
  for (const lock of locks) {
    if (!budget.take()) return;
    if (lock === except) continue;
    // The view of the owners is the caller's; the locks in it are this table's own.
    let { entries: entry } = lock as TableLock<C>;
    for (; entry !== null; entry = entry.sibling) {
      if (!budget.take()) return;
      yield entry;
    }
  }
}

/** Whether `entry` exists, waits, and arrived after `blocker`. */
function isBehind<C>(entry: Entry<C> | null, blocker: Entry<C>): entry is Entry<C> {
  return entry !== null && entry.lock.id > blocker.lock.id && !entry.isReady;
}

/** The cycle of links that begins at `asker`; `next` gives the owner that a link leads to. */
function along<C, O>(
  links: ReadonlyMap<O, Link<C>>,
  asker: O,
  next: (link: Link<C>) => O | undefined,
): Link<C>[] {
  const way: Link<C>[] = [];
  let owner: O | undefined = asker;
  do {
    const link: Link<C> | undefined = owner === undefined ? undefined : links.get(owner);
    if (link === undefined) break;
    way.push(link);
    owner = next(link);
  } while (owner !== asker);
  return way;
}
