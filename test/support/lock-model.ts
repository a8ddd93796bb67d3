/**
 * A model of a lock table, as simple as possible and regardless of speed: it compares pairs of
 * locks in arrival order, by the definitions (PROTOCOL.md, section 1).
 */
import type { Path, Resource } from '../../src/table/resource.ts';

export interface ModelLock {
  readonly id: number;
  readonly resources: readonly Resource[];
}

interface Alive extends ModelLock {
  /** The smallest limit by path (as JSON) of the limited reads that count. */
  readonly limits: ReadonlyMap<string, number>;
}

export class LockModel {
  /** Locks that are not released, in arrival order. */
  #alive: Alive[] = [];

  lock({ id, resources }: ModelLock): void {
    this.#alive.push({ id, resources, limits: limitsThatCount(resources) });
  }

  release(id: number): void {
    this.#alive = this.#alive.filter((lock) => lock.id !== id);
  }

  /** The ids of the locks that are held now. */
  acquired(): Set<number> {
    const held = this.#alive.filter((lock, i) => {
      const earlier = this.#alive.slice(0, i);
      return !earlier.some((other) => locksConflict(lock, other)) && this.#isAdmitted(lock);
    });
    return new Set(held.map((lock) => lock.id));
  }

  /** Whether, at every path that it reads with a limit, it and all ahead of it are admitted. */
  #isAdmitted(lock: Alive): boolean {
    for (const path of lock.limits.keys()) {
      const line = this.#alive.filter((other) => other.limits.has(path) && other.id <= lock.id);
      if (line.some((other, at) => at >= (other.limits.get(path) ?? 0))) return false;
    }
    return true;
  }
}

export function locksConflict(a: ModelLock, b: ModelLock): boolean {
  return a.resources.some((ra) => b.resources.some((rb) => resourcesConflict(ra, rb)));
}

export function resourcesConflict(a: Resource, b: Resource): boolean {
  if (a.type === 'read' && b.type === 'read') return false;
  return isPrefix(a.path, b.path) || isPrefix(b.path, a.path);
}

export function isPrefix(short: Path, long: Path): boolean {
  return short.length <= long.length && short.every((segment, i) => segment === long[i]);
}

/** Leaves out what a write of the same lock covers. Of two limits on a path, the smaller counts. */
export function limitsThatCount(resources: readonly Resource[]): Map<string, number> {
  const smallest = new Map<string, number>();
  for (const resource of resources) {
    if (resource.type === 'write' || resource.limit === undefined) continue;
    const isCovered = resources.some(
      (other) => other.type === 'write' && isPrefix(other.path, resource.path),
    );
    if (isCovered) continue;
    const key = JSON.stringify(resource.path);
    smallest.set(key, Math.min(resource.limit, smallest.get(key) ?? Number.POSITIVE_INFINITY));
  }
  return smallest;
}
