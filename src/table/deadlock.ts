/**
 * Finds the deadlock that a waiting lock would close.
 *
 * Locks belong to owners: threads of work that hold locks while they wait for others. An owner is
 * *stuck* when it waits, and each lock it waits for is blocked by an owner that is stuck. An owner
 * that waits for nothing can still move, and so can one of whose waits only one may end; a lock
 * without an owner is never in the way for good. So the stuck owners are the largest set in which
 * each one's every wait is blocked by another of the set. If the new lock's owner is in it, and the
 * waits among them lead back to it, the newest request has closed a circle.
 *
 * Only requests are judged. An owner with several waits may get stuck without one, when the wait
 * that could still end does: that is found when one of those concerned asks for more, or never.
 *
 *  1. Follow the waits backwards, from what waits behind the asker's other locks. If they don't lead
 *     back to the asker there is no circle. Mostly nothing waits behind them, and that is all.
 *  2. Prove that the asker is stuck, or that it can move: stuck.ts.
 *  3. If it is stuck, the way that was found by 1 is the circle if all on it are stuck. Otherwise it
 *     is the shortest way forwards through stuck owners, if there is one.
 *
 * Either of 1 and 2 may be short where the other is long, so both begin with a small budget, which
 * grows until one of them is through: the cost is a few times that of the shorter one. A search that
 * `MAX_STEPS` cuts finds nothing: the bound can lose a deadlock, but never invent one.
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
 * The budget of each part of a search. In the worst graphs that we know a search that spends all of
 * it takes 0.3 to 1.5 ms (p50 of `node --import tsx test/bench/deadlock.ts`), and a circle of a
 * thousand owners is found.
 */
const MAX_STEPS = 16_384;
/** The budget of the first round, and its growth from round to round. */
const FIRST_STEPS = 256;
const GROWTH = 4;

/**
 * @param lock one that is enqueued, the newest of its table, and among the waits of its owner
 * @param maxSteps each part of the search may take; infinite for a search that is never cut
 * @returns the waits that make the circle, beginning with one of that owner; each one's blocker
 *   belongs to the owner of the next one's waiter, and the last one's to the first owner
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
 * The shortest circle through `asker`, found backwards from what waits behind its locks, whether
 * those on it can move or not; `cut` when the budget is spent.
 */
function wayBack<C, O>(
  newest: TableLock<C>,
  asker: O,
  owners: OwnerLookup<C, O>,
  budget: Budget,
): Link<C>[] | 'none' | 'cut' {
  /** How each owner waits for one that is nearer to the asker. */
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

/** The shortest circle of stuck owners through `asker`, or undefined: there is none, or no budget. */
function wayForwards<C, O>(
  asker: O,
  stuck: StuckOwners<C, O>,
  owners: OwnerLookup<C, O>,
  budget: Budget,
): Link<C>[] | undefined {
  /** How each owner is waited for by one that is nearer to the asker. */
  const links = new Map<O, Link<C>>();
  const walked = new Map<Queue<C>, Entry<C>>();
  const toVisit = [asker];
  for (const owner of toVisit) {
    if (budget.isSpent) return undefined;
    // Not before it is visited: the asker may be found first.
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
 * What waits because of one of `locks`, as far as it is not in `walked`, which holds the foremost
 * entry seen of each queue: what waits in it for one lock also waits for all ahead of that.
 *
 * @param newest one behind which nothing can wait
 */
function* linksFromBehind<C>(
  locks: Iterable<Lock<C>>,
  newest: TableLock<C>,
  walked: Map<Queue<C>, Entry<C>>,
  budget: Budget,
): Generator<Link<C>> {
  for (const blocker of entriesOf(locks, newest, budget)) {
    // Which of two is in the way of the other is a matter of who is ahead: the modes are mutual.
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

/** What `locks` wait for, as far as it is not in `walked`: the last entry seen of each queue. */
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

/** All entries of `locks` but for those of `except`. */
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

/** Whether `entry` is there, waits, and arrived after `blocker`. */
function isBehind<C>(entry: Entry<C> | null, blocker: Entry<C>): entry is Entry<C> {
  return entry !== null && entry.lock.id > blocker.lock.id && !entry.isReady;
}

/** The links from `asker` on, each found by the owner to which the one before leads. */
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
