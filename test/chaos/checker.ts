/**
 * Says from the histories of clients alone whether the server kept its promises.
 *
 * What a client knows is older than what is so, therefore the checker reckons with bounds:
 *  - A lock was acquired at the latest when its client had read `acquired`.
 *  - It was there at least until its client sent `release`, if that was answered with `released`; or
 *    until the client sent a later request that was answered, with no end of the lock in between.
 *  - From there on, if nothing more was heard, for the abandon timeout (or until its `holdMs` or
 *    `waitMs` may have run out, if that is sooner): the server had a connection when it read that
 *    last request, which was after it was sent. This is the latest that a client which is cut off,
 *    killed or stopped can know of its lock, and the latest that is claimed for it here. A place in
 *    the queue is kept that long only in a session that can be resumed.
 *
 * Hence each of these is a fault of the server and of nobody else:
 *  - `exclusion`: a lock was told to be held while another, which conflicts, was held for sure.
 *  - `order`: it was told to be held while one that conflicts and has a smaller id waited for sure.
 *    With `exclusion` this also says that ids of conflicting locks rise in the order of acquisition.
 *  - `limit`: it was let in to a limited read with as many before it as its own limit allows.
 *  - `arrival`: a request that was sent after another one's answer was read got the smaller id.
 *  - `id`: an id was given twice, or changed.
 *  - `ending`: a request never ended, or more was told after its end.
 *  - `too early`: a wait, a hold or a lost session ended before its time.
 *
 * What can't be concluded: that a lock which may have been lost already was still there (so a fault
 * that hits only clients past their abandon timeout is not seen: the guard of guard.ts is for that),
 * and anything about requests whose answer nobody read.
 *
 * O(n log n) in a handful of namespaces: a million events take some seconds.
 */
import type { HistoryEvent, Nanos } from './history.ts';
import { type KnownLock, LivingLocks } from './living-locks.ts';
import { type Breach, Records, type RequestRecord } from './record.ts';

export type Rule = Breach['rule'] | 'exclusion' | 'order' | 'limit' | 'arrival';

export interface Violation {
  readonly rule: Rule;
  /** Which locks, clients and times. */
  readonly what: string;
}

export interface Verdict {
  readonly violations: readonly Violation[];
  readonly requests: number;
  /** Requests whose lock was told to be held. */
  readonly acquired: number;
  /** Requests by how they ended. */
  readonly endings: Readonly<Record<string, number>>;
}

/** @param histories of all processes that used the server, each in its own order */
export function check(histories: Iterable<readonly HistoryEvent[]>): Verdict {
  const { requests, breaches } = new Records(histories);
  const violations: Violation[] = [...breaches];
  const known = requests.filter(isKnown);
  checkIds(known, violations);
  for (const namespace of new Set(known.map((lock) => lock.namespace))) {
    checkHolds(
      known.filter((lock) => lock.namespace === namespace),
      violations,
    );
  }
  const endings: Record<string, number> = {};
  for (const { ending = 'open' } of requests) endings[ending] = (endings[ending] ?? 0) + 1;
  const acquired = requests.filter(({ acquiredAt }) => acquiredAt !== undefined).length;
  return { violations, requests: requests.length, acquired, endings };
}

/** Ids are unique and rise in order of arrival, over all namespaces. */
function checkIds(locks: readonly KnownLock[], violations: Violation[]): void {
  const byId = new Map<number, KnownLock>();
  for (const lock of locks) {
    const other = byId.get(lock.id);
    if (other !== undefined) violations.push({ rule: 'id', what: `${told(lock)}, ${told(other)}` });
    byId.set(lock.id, lock);
  }
  const asked = locks.toSorted((a, b) => a.requestedAt - b.requestedAt);
  const answered = locks.toSorted((a, b) => a.answeredAt - b.answeredAt);
  let newest: KnownLock | undefined;
  let next = 0;
  for (const lock of asked) {
    for (let other = answered[next]; other !== undefined; other = answered[++next]) {
      if (other.answeredAt >= lock.requestedAt) break;
      if (newest === undefined || other.id > newest.id) newest = other;
    }
    if (newest !== undefined && newest.id > lock.id) {
      violations.push({
        rule: 'arrival',
        what: `${told(lock)} was asked for after ${told(newest)}`,
      });
    }
  }
}

interface Moment {
  readonly at: Nanos;
  readonly what: 'ends' | 'begins' | 'acquired';
  readonly lock: KnownLock;
}

/** What happens in one moment happens in the order that accuses nobody. */
const ORDER = { ends: 0, begins: 1, acquired: 2 };

/** Goes through time with the locks that are alive for sure. */
function checkHolds(locks: readonly KnownLock[], violations: Violation[]): void {
  const moments: Moment[] = [];
  for (const lock of locks) {
    const { requestedAt, aliveUntil, acquiredAt } = lock;
    if (aliveUntil > requestedAt) {
      moments.push(
        { at: requestedAt, what: 'begins', lock },
        { at: aliveUntil, what: 'ends', lock },
      );
    }
    if (acquiredAt !== undefined) moments.push({ at: acquiredAt, what: 'acquired', lock });
  }
  moments.sort((a, b) => a.at - b.at || ORDER[a.what] - ORDER[b.what]);
  const living = new LivingLocks();
  for (const { at, what, lock } of moments) {
    if (what === 'begins') living.add(lock);
    else if (what === 'ends') living.remove(lock);
    else checkGrant(living, lock, at, violations);
  }
}

function checkGrant(
  living: LivingLocks,
  lock: KnownLock,
  at: Nanos,
  violations: Violation[],
): void {
  const other = living.conflictAhead(lock);
  if (other !== undefined) {
    const isHeld = other.acquiredAt !== undefined && other.acquiredAt <= at;
    const what = `at ${at}: ${told(lock)} was acquired while ${told(other)}`;
    const rule = isHeld ? 'exclusion' : 'order';
    violations.push({ rule, what: `${what} ${isHeld ? 'was held' : 'waited'}` });
  }
  const line = living.limitExceeded(lock);
  if (line !== undefined) {
    const what = `at ${at}: ${told(lock)} with ${line.ahead} before it at ${line.path}`;
    violations.push({ rule: 'limit', what });
  }
}

function isKnown(request: RequestRecord): request is KnownLock {
  return request.id !== undefined;
}

function told({ id, client, ref, namespace, resources }: KnownLock): string {
  const names = resources.map(({ type, path }) => `${type} ${JSON.stringify(path)}`).join(', ');
  return `lock ${id} (${client} request ${ref}, ${namespace}: ${names})`;
}
