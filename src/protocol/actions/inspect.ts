/**
 * `inspect`: the locks at, above and below a path: who holds, who waits, since when, and for which
 * locks. The answer is one JSON object per lock, and a summary at the end. It changes nothing.
 */
import type { Ref, SessionLock } from '../../session/lock-record.ts';
import type { Namespace } from '../../session/namespace.ts';
import { Budget } from '../../table/budget.ts';
import type { Place } from '../../table/find-locks.ts';
import type { Path } from '../../table/resource.ts';
import { RequestError } from '../errors.ts';
import { decodeId } from '../ids.ts';
import { decodeMax, MAX_ANSWER_LENGTH } from '../paging.ts';
import { firstOf, resourceFields, wordFields } from '../replies.ts';
import type { ActionDefinition } from '../requests.ts';
import { decodePathOrRoot } from '../resources.ts';

export interface InspectRequest {
  readonly action: 'inspect';
  readonly ref: Ref | undefined;
  readonly path: Path;
  /** Restricts the answer to this lock. */
  readonly id: number | undefined;
  /** Continues after the lock with this id; 0 begins with the first. */
  readonly after: number;
  /** Most locks in the answer; at least 1. */
  readonly max: number;
}

/** Steps in the table after which an answer ends; about 2 ms. */
const MAX_STEPS = 65_536;

export const inspect: ActionDefinition<InspectRequest> = {
  fields: ['path', 'id', 'after', 'max'],
  decode(message, ref, limits) {
    const path = decodePathOrRoot(message.path, limits);
    if (path instanceof RequestError) return path;
    const id = decodeId(message.id, 'id');
    if (id instanceof RequestError) return id;
    const after = decodeId(message.after, 'after');
    if (after instanceof RequestError) return after;
    const max = decodeMax(message.max);
    if (max instanceof RequestError) return max;
    return { action: 'inspect', ref, path, id, after: after ?? 0, max };
  },
  answer(context, request) {
    const { host, channel, replies } = context;
    const lines = inspectLines(request, context.session().namespace, host.clock.now());
    // The walk may have taken `MAX_STEPS`.
    channel.yieldTurn();
    if (lines instanceof RequestError) replies.error(request, lines);
    else for (const line of lines) replies.fields(request, line);
  },
  help: [
    {
      example: { action: 'inspect', path: ['orders'] },
      does: 'who holds and who waits; without a path, everywhere',
    },
  ],
};

/**
 * The lines of the answer: for each, the fields after its action and ref.
 *
 * @param nowMs the present time of the server's clock
 */
export function inspectLines(
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
  return [line, summary(namespace, [lock], undefined)];
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
  const last = after === 0 ? undefined : namespace.lockById(after);
  for (const { lock, place } of namespace.table.findLocks(path, after, budget, last)) {
    const isFull = locks.length === max || length > MAX_ANSWER_LENGTH || budget.isSpent;
    if (isFull && locks.length > 0) {
      return [...lines, summary(namespace, locks, locks.at(-1))];
    }
    const line = describe(lock, place, namespace, nowMs, budget);
    length += JSON.stringify(line).length;
    lines.push(line);
    locks.push(lock);
  }
  return [...lines, summary(namespace, locks, undefined)];
}

/** The last line: counts of the locks above and, if there are more, the id to continue after. */
function summary(
  { name }: Namespace,
  locks: readonly SessionLock[],
  last: SessionLock | undefined,
): object {
  const acquired = locks.filter((lock) => lock.state === 'acquired').length;
  const next = last === undefined ? {} : { next: String(last.id) };
  return { end: true, namespace: name, acquired, enqueued: locks.length - acquired, ...next };
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
    abandonedInMs: session.abandonedInMs(nowMs),
    ...wordFields(lock),
    // Never too long, but it may come out negative: `sinceMs` is rounded up.
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
