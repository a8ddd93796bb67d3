/** Finds the locks at a path, above it and below it, for `inspect`. Changes nothing. */
import type { Budget } from './budget.ts';
import type { Lock, TableLock } from './lock.ts';
import type { PathNode } from './path-node.ts';
import { type Entry, Kind, type Queue } from './queue.ts';
import type { Path } from './resource.ts';
import { isIntent } from './waits.ts';

/** Where a lock is, seen from the path that is searched; the first that applies. */
export type Place = 'same' | 'above' | 'below';

export interface LockMatch<C> {
  readonly lock: Lock<C>;
  readonly place: Place;
}

/** Entries of a lock that are looked at: it may have a hundred thousand. */
const MOST_ENTRIES = 64;

interface Cursor<C> {
  entry: Entry<C> | null;
  readonly place: Place;
}

/**
 * The locks with an id above `afterId` at, above or below `path`, in order of arrival.
 *
 * @param root the root of the trie
 * @param afterId the last id of the previous page; 0 for the first page. Without `last`, getting
 *   there costs a step for each lock before it, or for each lock after it, whichever are fewer.
 * @param last the lock with that id, if there still is one: getting there then costs nothing
 * @param budget charged for each match; the caller ends the page when it is spent
 */
export function* findLocks<C>(
  root: PathNode<C>,
  path: Path,
  afterId: number,
  budget: Budget,
  last?: TableLock<C>,
): Generator<LockMatch<C>> {
  const cursors = cursorsFor(root, path, (queue) => {
    const entry = last && entryIn(queue, last);
    return entry === undefined ? firstAfter(queue, afterId) : entry.next;
  });
  for (let first = earliest(cursors); first !== undefined; first = earliest(cursors)) {
    const { lock } = first;
    let place: Place = 'below';
    for (const cursor of cursors) {
      budget.take();
      if (cursor.entry?.lock !== lock) continue;
      cursor.entry = cursor.entry.next;
      if (cursor.place === 'same' || place === 'below') place = cursor.place;
    }
    // A resource that another one of the same lock covers has no entries of its own.
    if (place === 'above' && namesPath(lock, path, budget)) place = 'same';
    yield { lock, place };
  }
}

/** Cursors into the queues of reads and writes above `path`, and into all queues at it. */
function cursorsFor<C>(
  root: PathNode<C>,
  path: Path,
  firstOf: (queue: Queue<C>) => Entry<C> | null,
): Cursor<C>[] {
  const cursors: Cursor<C>[] = [];
  let node = root;
  for (const segment of path) {
    for (const queue of node.queues()) {
      if (queue.kind !== Kind.S && queue.kind !== Kind.X) continue;
      cursors.push({ entry: firstOf(queue), place: 'above' });
    }
    const child = node.child(segment);
    if (child === undefined) return cursors;
    node = child;
  }
  for (const queue of node.queues()) {
    // Limited reads are in the queue of reads as well.
    if (queue.kind === Kind.limit) continue;
    const place = isIntent(queue.kind) ? 'below' : 'same';
    cursors.push({ entry: firstOf(queue), place });
  }
  return cursors;
}

/** The entry of `lock` in `queue`; undefined if there is none among the first `MOST_ENTRIES`. */
function entryIn<C>(queue: Queue<C>, lock: TableLock<C>): Entry<C> | undefined {
  let left = MOST_ENTRIES;
  for (let entry = lock.entries; entry !== null && left > 0; entry = entry.sibling, left--) {
    if (entry.queue === queue) return entry;
  }
  return undefined;
}

/** The first entry of a lock with an id above `afterId`, searched from both ends at once. */
function firstAfter<C>(queue: Queue<C>, afterId: number): Entry<C> | null {
  let front = queue.head;
  let back = queue.tail;
  while (front !== null && front.lock.id <= afterId) {
    if (back === null || back.lock.id <= afterId) return back?.next ?? null;
    front = front.next;
    back = back.prev;
  }
  return front;
}

function earliest<C>(cursors: readonly Cursor<C>[]): Entry<C> | undefined {
  let first: Entry<C> | undefined;
  for (const { entry } of cursors) {
    if (entry !== null && (first === undefined || entry.lock.id < first.lock.id)) first = entry;
  }
  return first;
}

function namesPath<C>({ resources }: Lock<C>, path: Path, budget: Budget): boolean {
  // A single resource has no other that could cover it.
  return resources.length > 1 && resources.some((r) => isSamePath(r.path, path, budget));
}

/** Compares from the end: paths with a common prefix differ there. */
function isSamePath(a: Path, b: Path, budget: Budget): boolean {
  budget.take();
  if (a.length !== b.length) return false;
  let at = a.length - 1;
  while (at >= 0 && a[at] === b[at]) {
    budget.take();
    at--;
  }
  return at < 0;
}
