/**
 * Decides from the histories of clients alone whether the server kept its promises.
 *
 * A client's knowledge is always late, so the checker uses bounds:
 *  - A lock was acquired at the latest when its client had read `acquired`.
 *  - It existed at least until its client sent `release`, if the reply was `released`; or until the
 *    client sent a later request that was answered, with no end of the lock in between.
 *  - From there on, without further messages, it existed for the abandon timeout (or until its
 *    `holdMs` or `waitMs` may have run out, if that is sooner): the server had a connection when it
 *    read that last request, which was after it was sent. A client that is disconnected, killed or
 *    stopped can rely on its lock no longer than that, and the checker claims no more. A waiting
 *    lock is kept that long only in a session that can be resumed.
 *  - It existed whenever the client library said that it was held.
 *
 * Hence each of these is a fault of the server, or of the library:
 *  - `exclusion`: a lock was reported as held while a conflicting one was certainly held.
 *  - `order`: a lock was reported as held while a conflicting one with a smaller id certainly
 *    waited. With `exclusion` this implies that ids of conflicting locks rise as they are acquired.
 *  - `limit`: a limited read was admitted with as many ahead of it as its own limit allows.
 *  - `arrival`: a request that was sent after another one's reply was read got the smaller id.
 *  - `id`: an id was given twice, or changed.
 *  - `ending`: a request never ended, or a message came after its end.
 *  - `too early`: a wait, a hold or a lost session ended before its time.
 *
 * The checker can't conclude that a lock which may have been lost already still existed (so it
 * misses faults that affect only clients past their abandon timeout: guard.ts is for these), nor
 * anything about requests whose reply no client read.
 *
 * O(n log n) with a few namespaces: a million events take some seconds.
 */
import type { HistoryEvent, Nanos } from './history.ts';
import { type KnownLock, LivingLocks } from './living-locks.ts';
import { type Breach, Records, type RequestRecord } from './record.ts';

export type Rule = Breach['rule'] | 'exclusion' | 'order' | 'limit' | 'arrival';

export interface Violation {
  readonly rule: Rule;
  /** The locks, clients and times. */
  readonly what: string;
}

export interface Verdict {
  readonly violations: readonly Violation[];
  readonly requests: number;
  /** Requests whose lock was reported as held. */
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

/** Events of the same time are ordered in favour of the server. */
const ORDER = { ends: 0, begins: 1, acquired: 2 };

/** Sweeps through time with the locks that certainly exist. */
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
