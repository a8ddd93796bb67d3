/** The answers to `inspect`, `namespaces` and `stats`, typed. */
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
  /** Of a lost session: for how many milliseconds its locks are kept unless it is resumed. */
  readonly abandonedInMs?: number | undefined;
  /** Milliseconds for which it has been held, or has waited. */
  readonly forMs: number;
  /** Milliseconds for which it may be held, or may wait. */
  readonly limitMs?: number | undefined;
  /** Up to ten of the locks that it waits for; `waitsForMore` says whether there are others. */
  readonly waitsFor: readonly Blocker[];
  readonly waitsForMore: boolean;
}

/** A namespace in use; its sessions include those that have lost their connection. */
export interface ListedNamespace {
  readonly namespace: string;
  readonly sessions: number;
  readonly locks: { readonly acquired: number; readonly enqueued: number };
}

/** Statistics of the client's namespace. */
export interface Stats extends ListedNamespace {
  readonly resources: { readonly acquired: number; readonly enqueued: number };
  readonly paths: number;
}

interface Page<T> {
  readonly items: readonly T[];
  /** Where the next page continues, if there is one. */
  readonly next: string | undefined;
}

/** Locks or namespaces in one page. */
const PAGE = 500;

/** The locks in order of arrival, page by page. */
export function inspect(
  calls: Pick<Calls, 'ask'>,
  { path, id, signal }: InspectOptions,
): AsyncGenerator<InspectedLock, void, undefined> {
  const ask = (after: string | undefined): Promise<Page<InspectedLock>> => {
    const fields = id === undefined ? { path, after, max: PAGE } : { id };
    return calls.ask(pageQuestion('inspect', fields, decodeLock), signal);
  };
  return allPages(ask);
}

/** The namespaces by name, page by page. */
export function namespaces(
  calls: Pick<Calls, 'ask'>,
  { signal }: RequestOptions,
): AsyncGenerator<ListedNamespace, void, undefined> {
  const ask = (after: string | undefined): Promise<Page<ListedNamespace>> =>
    calls.ask(pageQuestion('namespaces', { after, max: PAGE }, decodeNamespace), signal);
  return allPages(ask);
}

async function* allPages<T>(
  ask: (after: string | undefined) => Promise<Page<T>>,
): AsyncGenerator<T, void, undefined> {
  let after: string | undefined;
  do {
    const page: Page<T> = await ask(after);
    yield* page.items;
    after = page.next;
  } while (after !== undefined);
}

export const STATS: Question<Stats> = {
  action: 'stats',
  fields: {},
  read({ fields }) {
    const { resources, paths } = fields;
    const counts = decodeNamespace(fields);
    if (counts === undefined || !isPair(resources) || !isCount(paths)) return bad();
    return { value: { ...counts, resources, paths } };
  },
};

function bad(): ProtocolError {
  return new ProtocolError('the answer has a missing or invalid field');
}

/** @param decode returns undefined for an invalid item */
function pageQuestion<T>(
  action: string,
  fields: object,
  decode: (fields: Fields) => T | undefined,
): Question<Page<T>> {
  let items: T[] = [];
  return {
    action,
    fields,
    begin() {
      items = [];
    },
    read({ fields }: Reply) {
      if (fields.end === true) {
        const { next } = fields;
        if (next !== undefined && typeof next !== 'string') return bad();
        return { value: { items, next } };
      }
      const item = decode(fields);
      if (item === undefined) return bad();
      items.push(item);
      return 'more';
    },
  };
}

function decodeNamespace({ namespace, sessions, locks }: Fields): ListedNamespace | undefined {
  if (typeof namespace !== 'string' || !isCount(sessions) || !isPair(locks)) return undefined;
  return { namespace, sessions, locks };
}

function decodeLock(fields: Fields): InspectedLock | undefined {
  const { id, state, place, client, sessionId, lost, abandonedInMs, forMs, limitMs } = fields;
  const { waitsFor = [], waitsForMore } = fields;
  const resources = decodeResources(fields);
  const labels = decodeLabels(fields);
  if (resources === undefined || labels === undefined) return undefined;
  if (typeof id !== 'string' || !isState(state) || typeof client !== 'string') return undefined;
  if (typeof sessionId !== 'string' || !isCount(forMs)) return undefined;
  if (limitMs !== undefined && !isCount(limitMs)) return undefined;
  if (abandonedInMs !== undefined && !isCount(abandonedInMs)) return undefined;
  if (place !== undefined && typeof place !== 'string') return undefined;
  if (!Array.isArray(waitsFor) || !waitsFor.every(isBlocker)) return undefined;
  return {
    ...{ id, state, ...resources, client, sessionId, lost: lost === true, ...labels, forMs },
    ...(place === undefined ? {} : { place }),
    ...(abandonedInMs === undefined ? {} : { abandonedInMs }),
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
