/**
 * What `inspect` answers: who holds, who waits, since when, and behind whom. One JSON object a
 * lock, which a person can read at a terminal, and one at the end. It changes nothing.
 */

import type { SessionLock } from '../session/lock-record.ts';
import type { Namespace } from '../session/namespace.ts';
import { Budget } from '../table/budget.ts';
import type { Place } from '../table/find-locks.ts';
import type { Answers } from './answers.ts';
import type { Channel } from './channel.ts';
import { RequestError } from './errors.ts';
import { firstOf, resourceFields, wordFields } from './lock-fields.ts';
import type { InspectRequest } from './requests.ts';

/** Bytes after which an answer ends, though it could have more locks. */
const MAX_ANSWER_LENGTH = 256 * 1024;

/** Steps in the table after which an answer ends in the same way; some 2 ms. */
const MAX_STEPS = 65_536;

/** @param nowMs the time by the server's clock */
export function answerInspect(
  request: InspectRequest,
  namespace: Namespace,
  nowMs: number,
  channel: Channel,
  answers: Answers,
): void {
  const lines = inspect(request, namespace, nowMs);
  // It may have walked past as many locks as there are.
  channel.yieldTurn();
  if (lines instanceof RequestError) answers.error('inspect', request.ref, lines);
  else for (const line of lines) answers.fields('inspect', request.ref, line);
}

/** The lines of the answer, as fields to be put after its action and ref. */
function inspect(
  request: InspectRequest,
  namespace: Namespace,
  nowMs: number,
): object[] | RequestError {
  if (request.id === undefined) return inspectPath(request, namespace, nowMs);
  const lock = namespace.lockById(request.id);
  if (lock === undefined) {
    return new RequestError('no_such_lock', `this namespace has no lock ${request.id}`);
  }
  const line = describe(lock, undefined, namespace, nowMs, new Budget(MAX_STEPS));
  return [line, summary([lock], undefined)];
}

function inspectPath(
  { path, after, max }: InspectRequest,
  namespace: Namespace,
  nowMs: number,
): object[] {
  const lines: object[] = [];
  const locks: SessionLock[] = [];
  const budget = new Budget(MAX_STEPS);
  let length = 0;
  for (const { lock, place } of namespace.table.findLocks(path, after, budget)) {
    const isFull = locks.length === max || length > MAX_ANSWER_LENGTH || budget.isSpent;
    if (isFull && locks.length > 0) {
      return [...lines, summary(locks, locks.at(-1))];
    }
    const line = describe(lock, place, namespace, nowMs, budget);
    length += JSON.stringify(line).length;
    lines.push(line);
    locks.push(lock);
  }
  return [...lines, summary(locks, undefined)];
}

/** The last line: the numbers of this answer and, if there is more, where to go on. */
function summary(locks: readonly SessionLock[], last: SessionLock | undefined): object {
  const acquired = locks.filter((lock) => lock.state === 'acquired').length;
  const next = last === undefined ? {} : { next: String(last.id) };
  return { end: true, acquired, enqueued: locks.length - acquired, ...next };
}

function describe(
  lock: SessionLock,
  place: Place | undefined,
  { table }: Namespace,
  nowMs: number,
  budget: Budget,
): object {
  const { session, terms, sinceMs } = lock.context;
  return {
    id: String(lock.id),
    state: lock.state,
    place,
    ...resourceFields(lock.resources),
    client: session.client,
    sessionId: String(session.id),
    lost: session.isLost ? true : undefined,
    ...wordFields(lock),
    // Never more than it was: `sinceMs` is rounded up.
    forMs: Math.max(0, Math.floor(nowMs - sinceMs)),
    limitMs: lock.state === 'acquired' ? terms.holdMs : terms.waitMs,
    ...(lock.state === 'acquired' ? {} : waits(lock, table, budget)),
  };
}

function waits(lock: SessionLock, table: Namespace['table'], budget: Budget): object {
  const { listed, hasMore } = firstOf(table.waitsOf(lock, budget));
  const waitsFor = listed.map(({ blocker, relation, path }) => ({
    id: String(blocker.id),
    state: blocker.state,
    relation,
    path,
  }));
  return { waitsFor, waitsForMore: hasMore || budget.isSpent ? true : undefined };
}
