/** Looking at a path: which locks hold or await it, what is above and what is below. Changes nothing. */
import type { Lock } from './lock.ts';
import type { PathNode } from './path-node.ts';
import { type Entry, Kind } from './queue.ts';
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
 * @param afterId where the last look ended; 0 for the beginning
 */
export function* findLocks<C>(
  root: PathNode<C>,
  path: Path,
  afterId: number,
): Generator<LockMatch<C>> {
  const cursors = cursorsFor(root, path);
  for (const cursor of cursors) {
    while (cursor.entry !== null && cursor.entry.lock.id <= afterId)
      cursor.entry = cursor.entry.next;
  }
  for (let first = earliest(cursors); first !== undefined; first = earliest(cursors)) {
    const { lock } = first;
    let place: Place = 'below';
    for (const cursor of cursors) {
      if (cursor.entry?.lock !== lock) continue;
      cursor.entry = cursor.entry.next;
      if (cursor.place === 'same' || place === 'below') place = cursor.place;
    }
    // What another resource of the same lock covers has no entries.
    if (place === 'above' && namesPath(lock, path)) place = 'same';
    yield { lock, place };
  }
}

/** The heads of all queues that matter: reads and writes on the way, and everything at the path. */
function cursorsFor<C>(root: PathNode<C>, path: Path): Cursor<C>[] {
  const cursors: Cursor<C>[] = [];
  let node = root;
  for (const segment of path) {
    for (const { kind, head } of node.queues()) {
      if (kind === Kind.S || kind === Kind.X) cursors.push({ entry: head, place: 'above' });
    }
    const child = node.child(segment);
    if (child === undefined) return cursors;
    node = child;
  }
  for (const { kind, head } of node.queues()) {
    // Limited reads are in the queue of reads, too.
    if (kind !== Kind.limit)
      cursors.push({ entry: head, place: isIntent(kind) ? 'below' : 'same' });
  }
  return cursors;
}

function earliest<C>(cursors: readonly Cursor<C>[]): Entry<C> | undefined {
  let first: Entry<C> | undefined;
  for (const { entry } of cursors) {
    if (entry !== null && (first === undefined || entry.lock.id < first.lock.id)) first = entry;
  }
  return first;
}

function namesPath<C>({ resources }: Lock<C>, path: Path): boolean {
  // A single one is covered by nothing.
  return resources.length > 1 && resources.some((resource) => isSamePath(resource.path, path));
}

function isSamePath(a: Path, b: Path): boolean {
  return a.length === b.length && a.every((segment, i) => segment === b[i]);
}
