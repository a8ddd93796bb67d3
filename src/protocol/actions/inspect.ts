/**
 * `inspect`: the locks at, above and below a path: who holds, who waits, since when, and for which
 * locks. The answer is one JSON object per lock, and a summary at the end. It changes nothing.
 */
import { idText } from '../../runtime/id-text.ts';
import { quotedBytes, quotedListBytes } from '../../runtime/quoted.ts';
import type { Ref, SessionLock } from '../../session/lock-record.ts';
import type { Namespace } from '../../session/namespace.ts';
import type { Session } from '../../session/session.ts';
import { Budget } from '../../table/budget.ts';
import type { Place } from '../../table/find-locks.ts';
import type { Path } from '../../table/resource.ts';
import { RequestError } from '../errors.ts';
import { decodeId } from '../ids.ts';
import { decodeMax, MAX_ANSWER_LENGTH } from '../paging.ts';
import { firstOf, resourcesText, wordsText } from '../replies.ts';
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
    else replies.texts(request, lines);
  },
  help: [
    {
      example: { action: 'inspect', path: ['orders'] },
      does: 'who holds and who waits; without a path, everywhere',
    },
  ],
};

/**
 * The lines of the answer: for each, the fields after its action and ref, as a byte string. Put
 * together by hand: a thousand locks take a quarter of the time that objects and `JSON.stringify`
 * take, and others wait meanwhile.
 *
 * @param nowMs the present time of the server's clock
 */
export function inspectLines(
  request: InspectRequest,
  namespace: Namespace,
  nowMs: number,
): string[] | RequestError {
  if (request.id === undefined) return inspectPath(request, namespace, nowMs);
  const lock = namespace.lockById(request.id);
  if (lock === undefined) {
    return new RequestError('no_such_lock', `this namespace has no lock ${request.id}`);
  }
  const line = new Describer(namespace, nowMs, new Budget(MAX_STEPS)).describe(lock, undefined);
  return [line, summary(namespace, [lock], undefined)];
}

function inspectPath(
  { path, after, max }: InspectRequest,
  namespace: Namespace,
  nowMs: number,
): string[] {
  const lines: string[] = [];
  const locks: SessionLock[] = [];
  const budget = new Budget(MAX_STEPS);
  const describer = new Describer(namespace, nowMs, budget);
  let length = 0;
  const before = after === 0 ? undefined : namespace.lockById(after);
  let last: SessionLock | undefined;
  for (const { lock, place } of namespace.table.findLocks(path, after, budget, before)) {
    const isFull = locks.length === max || length > MAX_ANSWER_LENGTH || budget.isSpent;
    if (isFull && locks.length > 0) {
      last = locks.at(-1);
      break;
    }
    const line = describer.describe(lock, place);
    length += line.length;
    lines.push(line);
    locks.push(lock);
  }
  lines.push(summary(namespace, locks, last));
  return lines;
}

/** The last line: counts of the locks above and, if there are more, the id to continue after. */
function summary(
  { name }: Namespace,
  locks: readonly SessionLock[],
  last: SessionLock | undefined,
): string {
  const acquired = locks.filter((lock) => lock.state === 'acquired').length;
  const next = last === undefined ? '' : `,"next":"${idText(last.id)}"`;
  const counts = `"acquired":${acquired},"enqueued":${locks.length - acquired}`;
  return `"end":true,"namespace":${quotedBytes(name)},${counts}${next}`;
}

const PLACES: Readonly<Record<Place, string>> = {
  same: '"place":"same",',
  above: '"place":"above",',
  below: '"place":"below",',
};

/** Describes locks of a namespace at one moment. */
class Describer {
  readonly #namespace: Namespace;
  readonly #nowMs: number;
  readonly #budget: Budget;
  /** The session last described, and its fields: locks next to one another are often of one session. */
  #session: Session | undefined;
  #sessionText = '';

  constructor(namespace: Namespace, nowMs: number, budget: Budget) {
    this.#namespace = namespace;
    this.#nowMs = nowMs;
    this.#budget = budget;
  }

  describe(lock: SessionLock, place: Place | undefined): string {
    const { session, terms, sinceMs } = lock.context;
    if (session !== this.#session) this.#describeSession(session);
    const isHeld = lock.state === 'acquired';
    const limitMs = isHeld ? terms.holdMs : terms.waitMs;
    // Never too long, but it may come out negative: `sinceMs` is rounded up.
    const forMs = Math.max(0, Math.floor(this.#nowMs - sinceMs));
    return (
      `"id":"${idText(lock.id)}${isHeld ? '","state":"acquired",' : '","state":"enqueued",'}` +
      `${place === undefined ? '' : PLACES[place]}${resourcesText(lock.resources)}` +
      `${this.#sessionText}${wordsText(lock)},"forMs":${forMs}${numberText('limitMs', limitMs)}` +
      `${isHeld ? '' : waitsText(lock, this.#namespace.table, this.#budget)}`
    );
  }

  #describeSession(session: Session): void {
    const abandonedInMs = session.abandonedInMs(this.#nowMs);
    this.#session = session;
    this.#sessionText =
      `,"client":${quotedBytes(session.client)},"sessionId":"${idText(session.id)}"` +
      `${session.isLost ? ',"lost":true' : ''}${numberText('abandonedInMs', abandonedInMs)}`;
  }
}

function numberText(name: string, value: number | undefined): string {
  return value === undefined ? '' : `,"${name}":${value}`;
}

function waitsText(lock: SessionLock, table: Namespace['table'], budget: Budget): string {
  const { listed, hasMore } = firstOf(table.waitsOf(lock, budget));
  const waitsFor = listed.map(
    ({ blocker: { id, state }, relation, path }) =>
      `{"id":"${idText(id)}","state":"${state}","relation":"${relation}","path":${quotedListBytes(path)}}`,
  );
  const more = hasMore || budget.isSpent ? ',"waitsForMore":true' : '';
  return `,"waitsFor":[${waitsFor.join()}]${more}`;
}
