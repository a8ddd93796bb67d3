/**
 * The locks that exist at one time, as a tree of paths: finds the oldest that conflicts with a
 * given one in O(depth x log n).
 *
 * Each path has two heaps for all resources and two for writes: of the locks that name exactly that
 * path, and of those that name it or a path below. Ended locks are dropped when they come to the
 * top.
 */
import type { Resource } from '../../src/table/resource.ts';
import { limitsThatCount } from '../support/lock-model.ts';
import type { RequestRecord } from './record.ts';

/** A request with its id. */
export interface KnownLock extends RequestRecord {
  readonly id: number;
}

/** A binary heap, the smallest id on top. */
class Heap {
  readonly #items: KnownLock[] = [];

  push(lock: KnownLock): void {
    const items = this.#items;
    let at = items.push(lock) - 1;
    while (at > 0) {
      const up = (at - 1) >> 1;
      const parent = items[up];
      if (parent === undefined || parent.id <= lock.id) break;
      items[at] = parent;
      at = up;
    }
    items[at] = lock;
  }

  /** The one with the smallest id for which `isAlive` holds. */
  oldest(isAlive: (lock: KnownLock) => boolean): KnownLock | undefined {
    for (let top = this.#items[0]; top !== undefined; top = this.#items[0]) {
      if (isAlive(top)) return top;
      this.#pop();
    }
    return undefined;
  }

  #pop(): void {
    const items = this.#items;
    const last = items.pop();
    if (last === undefined || items.length === 0) return;
    let at = 0;
    for (;;) {
      let down = 2 * at + 1;
      const [left, right] = [items[down], items[down + 1]];
      if (left === undefined) break;
      let child = left;
      if (right !== undefined && right.id < left.id) {
        child = right;
        down++;
      }
      if (child.id >= last.id) break;
      items[at] = child;
      at = down;
    }
    items[at] = last;
  }
}

class Place {
  readonly below = new Map<string, Place>();
  readonly here = { read: new Heap(), write: new Heap() };
  readonly hereOrBelow = { read: new Heap(), write: new Heap() };
  /** Limited reads of exactly this path. */
  readonly line = new Set<KnownLock>();
}

export class LivingLocks {
  readonly #root = new Place();
  readonly #alive = new Set<KnownLock>();
  readonly #isAlive = (lock: KnownLock): boolean => this.#alive.has(lock);

  add(lock: KnownLock): void {
    this.#alive.add(lock);
    for (const { type, path } of lock.resources) {
      let place = this.#root;
      place.hereOrBelow[type].push(lock);
      for (const segment of path) {
        place = enter(place, segment);
        place.hereOrBelow[type].push(lock);
      }
      place.here[type].push(lock);
    }
    for (const path of limitsThatCount(lock.resources).keys()) this.#placeAt(path).line.add(lock);
  }

  remove(lock: KnownLock): void {
    this.#alive.delete(lock);
    for (const path of limitsThatCount(lock.resources).keys())
      this.#placeAt(path).line.delete(lock);
  }

  /** The oldest lock that arrived before `lock` and conflicts with it. */
  conflictAhead(lock: KnownLock): KnownLock | undefined {
    for (const resource of lock.resources) {
      for (const heap of this.#conflicting(resource)) {
        const oldest = heap.oldest(this.#isAlive);
        if (oldest !== undefined && oldest.id < lock.id) return oldest;
      }
    }
    return undefined;
  }

  /** A limit of `lock` that lets in fewer than stand before it in the line. */
  limitExceeded(lock: KnownLock): { path: string; limit: number; ahead: number } | undefined {
    for (const [path, limit] of limitsThatCount(lock.resources)) {
      let ahead = 0;
      for (const other of this.#placeAt(path).line) if (other.id < lock.id) ahead++;
      if (ahead >= limit) return { path, limit, ahead };
    }
    return undefined;
  }

  *#conflicting({ type, path }: Resource): Iterable<Heap> {
    let place: Place | undefined = this.#root;
    for (const segment of path) {
      yield place.here.write;
      if (type === 'write') yield place.here.read;
      place = place.below.get(segment);
      if (place === undefined) return;
    }
    yield place.hereOrBelow.write;
    if (type === 'write') yield place.hereOrBelow.read;
  }

  /** @param key a path as JSON */
  #placeAt(key: string): Place {
    const path: string[] = JSON.parse(key);
    return path.reduce(enter, this.#root);
  }
}

function enter(place: Place, segment: string): Place {
  let next = place.below.get(segment);
  if (next === undefined) {
    next = new Place();
    place.below.set(segment, next);
  }
  return next;
}
