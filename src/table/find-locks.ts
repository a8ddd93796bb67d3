/** Looking at a path: which locks hold or await it, what is above and what is below. Changes nothing. */
import type { Budget } from './budget.ts';
import type { Lock } from './lock.ts';
import type { PathNode } from './path-node.ts';
import { type Entry, Kind, type Queue } from './queue.ts';
import type { Path } from './resource.ts';
import { isIntent } from './waits.ts';

/** Where a lock stands, seen from the path that is looked at; the first that applies. */
export type Place = 'same' | 'above' | 'below';

export interface LockMatch<C> {
  readonly lock: Lock<C>;
  readonly place: Place;
}

interface Cursor<C> {
  entry: Entry<C> | null;
  readonly place: Place;
}

/**
 * The locks with an id above `afterId` that have to do with `path`, in order of arrival.
 *
 * @param root of the trie
 * @param afterId where the last page ended; 0 for the beginning. To get there costs as much as there
 *   are locks before it or behind it, whichever are fewer.
 * @param budget is charged for each match; the caller ends a page when it is spent
 */
export function* findLocks<C>(
  root: PathNode<C>,
  path: Path,
  afterId: number,
  budget: Budget,
): Generator<LockMatch<C>> {
  const cursors = cursorsFor(root, path, afterId);
  for (let first = earliest(cursors); first !== undefined; first = earliest(cursors)) {
    const { lock } = first;
    let place: Place = 'below';
    for (const cursor of cursors) {
      budget.take();
      if (cursor.entry?.lock !== lock) continue;
      cursor.entry = cursor.entry.next;
      if (cursor.place === 'same' || place === 'below') place = cursor.place;
    }
    // What another resource of the same lock covers has no entries.
    if (place === 'above' && namesPath(lock, path, budget)) place = 'same';
    yield { lock, place };
  }
}

/** Cursors into all queues that matter: reads and writes on the way, and everything at the path. */
function cursorsFor<C>(root: PathNode<C>, path: Path, afterId: number): Cursor<C>[] {
  const cursors: Cursor<C>[] = [];
  let node = root;
  for (const segment of path) {
    for (const queue of node.queues()) {
      if (queue.kind !== Kind.S && queue.kind !== Kind.X) continue;
      cursors.push({ entry: firstAfter(queue, afterId), place: 'above' });
    }
    const child = node.child(segment);
    if (child === undefined) return cursors;
    node = child;
  }
  for (const queue of node.queues()) {
    // Limited reads are in the queue of reads, too.
    if (queue.kind === Kind.limit) continue;
    const place = isIntent(queue.kind) ? 'below' : 'same';
    cursors.push({ entry: firstAfter(queue, afterId), place });
  }
  return cursors;
}

/** The first entry of a lock with an id above `afterId`; looked for from both ends at once. */
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
  // A single one is covered by nothing.
  return resources.length > 1 && resources.some((r) => isSamePath(r.path, path, budget));
}

/** From the end, where paths that begin alike differ. */
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
