/** The answers to `inspect` and `stats`, typed. */
import type { Calls, Question } from './calls.ts';
import { ProtocolError } from './errors.ts';
import { decodeLabels, decodeResources, type Labels, type ListedResources } from './lock-fields.ts';
import type { RequestOptions } from './options.ts';
import { type Fields, isCount, isFields, isPath, type Reply } from './replies.ts';
import type { Path } from './resources.ts';

export interface InspectOptions extends RequestOptions {
  /** Only locks at, above or below this path. Default: all. */
  readonly path?: Path | undefined;
  /** Only this lock. */
  readonly id?: string | undefined;
}

/** A lock that another one waits for. */
export interface Blocker {
  readonly id: string;
  readonly state: 'acquired' | 'enqueued';
  /** Where it blocks the waiter: at the `same` path, `above` or `below` it, or by its `limit`. */
  readonly relation: string;
  readonly path: Path;
}

/** A lock as it is at the moment; see `inspect` in PROTOCOL.md. */
export interface InspectedLock extends ListedResources, Labels {
  readonly id: string;
  readonly state: 'acquired' | 'enqueued';
  /** Where it is, relative to the requested path. */
  readonly place?: string | undefined;
  /** The address of its client. */
  readonly client: string;
  readonly sessionId: string;
  /** Whether its session has lost its connection and was not resumed yet. */
  readonly lost: boolean;
  /** Milliseconds for which it has been held, or has waited. */
  readonly forMs: number;
  /** Milliseconds for which it may be held, or may wait. */
  readonly limitMs?: number | undefined;
  /** Up to ten of the locks that it waits for; `waitsForMore` says whether there are others. */
  readonly waitsFor: readonly Blocker[];
  readonly waitsForMore: boolean;
}

/** Statistics of the client's namespace. */
export interface Stats {
  readonly namespace: string;
  readonly sessions: number;
  readonly locks: { readonly acquired: number; readonly enqueued: number };
  readonly resources: { readonly acquired: number; readonly enqueued: number };
  readonly paths: number;
}

interface Page {
  readonly locks: readonly InspectedLock[];
  readonly next: string | undefined;
}

/** Locks in one page. */
const PAGE = 500;

/** The locks in order of arrival, page by page. */
export async function* inspect(
  calls: Calls,
  options: InspectOptions,
): AsyncGenerator<InspectedLock, void, undefined> {
  const { path, id, signal } = options;
  let after: string | undefined;
  do {
    const fields = id === undefined ? { path, after, max: PAGE } : { id };
    const page: Page = await calls.ask(pageQuestion(fields), signal);
    yield* page.locks;
    after = page.next;
  } while (after !== undefined);
}

export const STATS: Question<Stats> = {
  action: 'stats',
  fields: {},
  read({ fields: { namespace, sessions, locks, resources, paths } }) {
    const isGood = typeof namespace === 'string' && isCount(sessions) && isCount(paths);
    if (!isGood || !isPair(locks) || !isPair(resources)) return bad();
    return { value: { namespace, sessions, locks, resources, paths } };
  },
};

function bad(): ProtocolError {
  return new ProtocolError('the answer has a missing or invalid field');
}

function pageQuestion(fields: object): Question<Page> {
  let locks: InspectedLock[] = [];
  return {
    action: 'inspect',
    fields,
    begin() {
      locks = [];
    },
    read({ fields }: Reply) {
      if (fields.end === true) {
        const { next } = fields;
        if (next !== undefined && typeof next !== 'string') return bad();
        return { value: { locks, next } };
      }
      const lock = decodeLock(fields);
      if (lock === undefined) return bad();
      locks.push(lock);
      return 'more';
    },
  };
}

function decodeLock(fields: Fields): InspectedLock | undefined {
  const { id, state, place, client, sessionId, lost, forMs, limitMs } = fields;
  const { waitsFor = [], waitsForMore } = fields;
  const resources = decodeResources(fields);
  const labels = decodeLabels(fields);
  if (resources === undefined || labels === undefined) return undefined;
  if (typeof id !== 'string' || !isState(state) || typeof client !== 'string') return undefined;
  if (typeof sessionId !== 'string' || !isCount(forMs)) return undefined;
  if (limitMs !== undefined && !isCount(limitMs)) return undefined;
  if (place !== undefined && typeof place !== 'string') return undefined;
  if (!Array.isArray(waitsFor) || !waitsFor.every(isBlocker)) return undefined;
  return {
    ...{ id, state, ...resources, client, sessionId, lost: lost === true, ...labels, forMs },
    ...(place === undefined ? {} : { place }),
    ...(limitMs === undefined ? {} : { limitMs }),
    ...{ waitsFor, waitsForMore: waitsForMore === true },
  };
}

function isBlocker(value: unknown): value is Blocker {
  if (!isFields(value)) return false;
  const { id, state, relation, path } = value;
  return typeof id === 'string' && isState(state) && typeof relation === 'string' && isPath(path);
}

function isState(value: unknown): value is 'acquired' | 'enqueued' {
  return value === 'acquired' || value === 'enqueued';
}

function isPair(value: unknown): value is { acquired: number; enqueued: number } {
  return isFields(value) && isCount(value.acquired) && isCount(value.enqueued);
}
