/**
 * Who blocks whom in a `LockModel`, by the rules of the protocol: a lock waits for the conflicting
 * locks that arrived before it, and in the line of a limit. For hints beside the lists; why a lock
 * waits in detail is asked of the server. Pure.
 */
import type { Path } from '../client/resources.ts';
import type { Entry, LockModel, PageLock, PathNode } from './model.ts';

/** Nodes that are looked at below one resource. */
const MAX_NODES = 2000;

/** Waiting locks that `grantedBy` looks at. */
const MAX_WAITERS = 10_000;

const NONE: ReadonlySet<string> = new Set();

/**
 * The locks that `lock` waits for, each once or more, in no particular order.
 *
 * @param ended ids of locks that are taken for gone
 */
export function* blockersOf(
  model: LockModel,
  lock: PageLock,
  ended: ReadonlySet<string> = NONE,
): Generator<PageLock> {
  for (const resource of lock.resources) {
    const isWrite = resource.type === 'write';
    const nodes = nodesOn(model, resource.path);
    for (const node of nodes) yield* conflicting(node, lock, isWrite, ended);
    const end = nodes[resource.path.length];
    if (end === undefined) continue;
    for (const node of nodesBelow(end)) yield* conflicting(node, lock, isWrite, ended);
    if (end.entries.get(lock.id)?.limit !== undefined) yield* aheadInLine(end, lock, ended);
  }
}

/** Of the locks that `lock` waits for, the one that arrived first; undefined if none is known. */
export function oldestBlocker(model: LockModel, lock: PageLock): PageLock | undefined {
  let oldest: PageLock | undefined;
  for (const blocker of blockersOf(model, lock)) {
    if (oldest === undefined || blocker.order < oldest.order) oldest = blocker;
  }
  return oldest;
}

export interface Granted {
  readonly locks: readonly PageLock[];
  /**
   * Whether others may be granted that the page can't tell: it does not know all of their
   * resources.
   */
  readonly mayBeMore: boolean;
}

/** The waiting locks that are acquired if the locks in `ended` end, in order of arrival. */
export function grantedBy(model: LockModel, ended: ReadonlySet<string>): Granted {
  const locks: PageLock[] = [];
  let mayBeMore = false;
  let count = 0;
  for (const lock of model.locks()) {
    if (lock.state !== 'enqueued' || ended.has(lock.id)) continue;
    if (++count > MAX_WAITERS) {
      mayBeMore = true;
      break;
    }
    // Most are blocked by others, too, which the first step finds.
    if (!blockersOf(model, lock, ended).next().done || !isBlockedBy(model, lock, ended)) continue;
    if (lock.moreResources === 0) locks.push(lock);
    else mayBeMore = true;
  }
  locks.sort((a, b) => a.order - b.order);
  return { locks, mayBeMore };
}

function isBlockedBy(model: LockModel, lock: PageLock, ids: ReadonlySet<string>): boolean {
  for (const { id } of blockersOf(model, lock)) if (ids.has(id)) return true;
  return false;
}

/** The nodes from the root to `path`, as far as there are any. */
function nodesOn(model: LockModel, path: Path): PathNode[] {
  const nodes: PathNode[] = [model.root];
  let node: PathNode | undefined = model.root;
  for (const segment of path) {
    node = node.children.get(segment);
    if (node === undefined) break;
    nodes.push(node);
  }
  return nodes;
}

function* nodesBelow(node: PathNode): Generator<PathNode> {
  const toVisit = [...node.children.values()];
  for (let i = 0; i < toVisit.length && i < MAX_NODES; i++) {
    const next = toVisit[i];
    if (next === undefined) return;
    yield next;
    if (toVisit.length < MAX_NODES) toVisit.push(...next.children.values());
  }
}

function* conflicting(
  node: PathNode,
  lock: PageLock,
  isWrite: boolean,
  ended: ReadonlySet<string>,
): Generator<PageLock> {
  for (const entry of node.entries.values()) {
    // In order of arrival: the others are behind it.
    if (entry.lock.order >= lock.order) return;
    if ((isWrite || entry.isWrite) && !ended.has(entry.lock.id)) yield entry.lock;
  }
}

/** Those ahead of `lock` in the line of its limit, if it is not admitted once `ended` have left. */
function* aheadInLine(
  node: PathNode,
  lock: PageLock,
  ended: ReadonlySet<string>,
): Generator<PageLock> {
  const line: Entry[] = [];
  let isAdmitted = true;
  for (const entry of node.entries.values()) {
    if (entry.limit === undefined || ended.has(entry.lock.id)) continue;
    isAdmitted &&= line.length < entry.limit;
    if (entry.lock === lock) break;
    line.push(entry);
  }
  if (isAdmitted) return;
  for (const entry of line) yield entry.lock;
}
