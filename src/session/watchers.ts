/** Who wants to hear what happens to locks at and below a path of one namespace. */
import type { Path } from '../table/resource.ts';
import type { SessionLock } from './lock-record.ts';

/**
 * What may happen to a lock. `timeout` and `expired` are its own limits, `evicted` is an
 * administrator, `abandoned` its client.
 */
export type LockEvent =
  | 'enqueued'
  | 'acquired'
  | 'released'
  | 'timeout'
  | 'expired'
  | 'evicted'
  | 'abandoned';

export interface Watcher {
  /** `lock` names something at or below a path that is watched. It must not throw. */
  watched(event: LockEvent, lock: SessionLock): void;
}

export class Watchers {
  /** The paths of each watcher. Empty for nearly every namespace: then nothing is looked at. */
  readonly #paths = new Map<Watcher, Path[]>();

  /** Once is enough: the same path again changes nothing. */
  add(watcher: Watcher, path: Path): void {
    const paths = this.#paths.get(watcher);
    if (paths === undefined) this.#paths.set(watcher, [path]);
    else if (!this.has(watcher, path)) paths.push(path);
  }

  /** @returns whether that path was watched */
  remove(watcher: Watcher, path: Path): boolean {
    const paths = this.#paths.get(watcher) ?? [];
    const left = paths.filter((known) => !isSame(known, path));
    if (left.length === 0) this.#paths.delete(watcher);
    else this.#paths.set(watcher, left);
    return left.length < paths.length;
  }

  removeAll(watcher: Watcher): void {
    this.#paths.delete(watcher);
  }

  has(watcher: Watcher, path: Path): boolean {
    return this.#paths.get(watcher)?.some((known) => isSame(known, path)) ?? false;
  }

  /** How many paths `watcher` watches. */
  countOf(watcher: Watcher): number {
    return this.#paths.get(watcher)?.length ?? 0;
  }

  tell(event: LockEvent, lock: SessionLock): void {
    if (this.#paths.size === 0) return;
    for (const [watcher, paths] of this.#paths) {
      const isWatched = lock.resources.some((resource) =>
        paths.some((path) => isAtOrBelow(resource.path, path)),
      );
      if (isWatched) watcher.watched(event, lock);
    }
  }
}

function isSame(a: Path, b: Path): boolean {
  return a.length === b.length && isAtOrBelow(a, b);
}

function isAtOrBelow(path: Path, top: Path): boolean {
  return path.length >= top.length && top.every((segment, i) => segment === path[i]);
}
