/**
 * A model of which owners wait for which, and which are stuck, as simple as possible: it compares
 * all pairs of locks and tries all sets of owners. It follows the definitions at the top of
 * src/table/deadlock.ts and src/table/waits.ts, and uses none of the table's structure.
 */
import type { Path, Resource } from '../../src/table/resource.ts';
import type { Relation } from '../../src/table/waits.ts';
import { isPrefix, limitsThatCount, locksConflict, type ModelLock } from './lock-model.ts';

/** One way in which a lock blocks another. */
export interface Meeting {
  readonly relation: Relation;
  readonly path: Path;
}

export class WaitModel<L extends ModelLock> {
  /** Locks that are not released, in arrival order. */
  readonly #alive: readonly L[];
  readonly #ownerOf: (lock: L) => string | undefined;

  constructor(alive: readonly L[], ownerOf: (lock: L) => string | undefined) {
    this.#alive = alive;
    this.#ownerOf = ownerOf;
  }

  /** Each lock that `waiter` waits for, with all the ways in which it blocks `waiter`. */
  waitsOf(waiter: L): Map<L, Meeting[]> {
    const waits = new Map<L, Meeting[]>();
    for (const other of this.#alive) {
      if (other.id >= waiter.id) break;
      const meetings = [...conflicts(waiter, other), ...this.#lines(waiter, other, this.#alive)];
      if (meetings.length > 0) waits.set(other, meetings);
    }
    return waits;
  }

  /** The largest set of owners in which every wait of each owner is blocked by one of the set. */
  stuck(): Set<string> {
    const waiting = this.#owners().filter((owner) => this.#waitsOfOwner(owner).length > 0);
    const union = new Set<string>();
    for (let bits = 1; bits < 2 ** waiting.length; bits++) {
      const set = new Set(waiting.filter((_, i) => bits & (1 << i)));
      // The locks left once all other owners have released theirs.
      const left = this.#alive.filter((lock) => set.has(this.#ownerOf(lock) ?? ''));
      const isStuck = [...set].every((owner) =>
        this.#waitsOfOwner(owner).every((lock) => this.#isBlocked(lock, left)),
      );
      if (isStuck) for (const owner of set) union.add(owner);
    }
    return union;
  }

  /** The fewest waits that lead from `owner` back to itself through `among`; if none, undefined. */
  shortestCycle(owner: string, among: ReadonlySet<string>): number | undefined {
    const seen = new Set<string>();
    let at = [owner];
    for (let length = 1; at.length > 0; length++) {
      const next = at.flatMap((name) => this.#ownersInTheWayOf(name));
      if (next.includes(owner)) return length;
      at = [...new Set(next)].filter((name) => among.has(name) && !seen.has(name));
      for (const name of at) seen.add(name);
    }
    return undefined;
  }

  #owners(): string[] {
    return [...new Set(this.#alive.map(this.#ownerOf))].filter((owner) => owner !== undefined);
  }

  #waitsOfOwner(owner: string): L[] {
    const own = this.#alive.filter((lock) => this.#ownerOf(lock) === owner);
    return own.filter((lock) => this.#isBlocked(lock, this.#alive));
  }

  #ownersInTheWayOf(owner: string): string[] {
    return this.#waitsOfOwner(owner)
      .flatMap((lock) => [...this.waitsOf(lock).keys()].map(this.#ownerOf))
      .filter((other) => other !== undefined);
  }

  #isBlocked(lock: L, among: readonly L[]): boolean {
    return among.some(
      (other) =>
        other.id < lock.id &&
        (locksConflict(lock, other) || this.#lines(lock, other, among).length > 0),
    );
  }

  /** The limit queues in which `other` is ahead of `waiter`, and that block it. */
  #lines(waiter: L, other: L, among: readonly L[]): Meeting[] {
    const meetings: Meeting[] = [];
    for (const key of limitsThatCount(waiter.resources).keys()) {
      const line = among
        .filter((lock) => lock.id <= waiter.id)
        .map((lock) => limitsThatCount(lock.resources).get(key))
        .filter((limit) => limit !== undefined);
      const isHeldUp = line.some((limit, at) => at >= limit);
      const isAhead = limitsThatCount(other.resources).has(key);
      if (isHeldUp && isAhead) meetings.push({ relation: 'limit', path: JSON.parse(key) });
    }
    return meetings;
  }
}

/** All the ways in which `other` conflicts with `waiter`, seen from `waiter`. */
function conflicts(waiter: ModelLock, other: ModelLock): Meeting[] {
  return waiter.resources.flatMap((own) =>
    other.resources.flatMap((its) => meeting(own, its) ?? []),
  );
}

function meeting(own: Resource, its: Resource): Meeting | undefined {
  if (own.type === 'read' && its.type === 'read') return undefined;
  if (isPrefix(its.path, own.path)) {
    const relation = its.path.length === own.path.length ? 'same' : 'above';
    return { relation, path: its.path };
  }
  return isPrefix(own.path, its.path) ? { relation: 'below', path: own.path } : undefined;
}
