/**
 * The locks of one namespace as the page knows them: from listings (`inspect`) and from events
 * (`watch`), on the tree of their paths. Pure: time comes in as an argument, nothing is drawn.
 *
 * A listing begins (`begin`), names locks (`list`), and is complete (`complete`): what it did not
 * name, and no event has touched since it began, is gone. Events may come in between.
 */
import type { InspectedLock } from '../client/inspect.ts';
import type { Path, Resource } from '../client/resources.ts';
import type { LockEvent } from '../client/watch.ts';
import { pathText } from '../operators/path-text.ts';

/** A lock; times are in milliseconds by the clock that the caller uses. */
export interface PageLock {
  readonly id: string;
  /** The id as a number: locks are in order of arrival by it. */
  readonly order: number;
  state: 'acquired' | 'enqueued';
  /** When it was acquired, or enqueued. */
  sinceMs: number;
  /** Milliseconds for which it may be held, or may wait; undefined also if not known. */
  limitMs: number | undefined;
  /** Whether its session has lost its connection. */
  isLost: boolean;
  /** When it is abandoned, if its session is lost. */
  abandonedAtMs: number | undefined;
  readonly resources: readonly Resource[];
  /** Resources that are not known. */
  readonly moreResources: number;
  readonly client: string;
  readonly sessionId: string;
  readonly session: string | undefined;
  readonly label: string | undefined;
  readonly owner: string | undefined;
  /** The last listing that it was in, or that it changed after. */
  listing: number;
}

/** What a lock has at a node: of several resources at the same path, the strongest. */
export interface Entry {
  readonly lock: PageLock;
  readonly isWrite: boolean;
  readonly limit: number | undefined;
}

export interface PathNode {
  readonly segment: string;
  /** The segment as a number, if it is one; else NaN. */
  readonly number: number;
  /** Its path as text. */
  readonly text: string;
  readonly parent: PathNode | undefined;
  readonly children: Map<string, PathNode>;
  /** By lock id, in order of arrival. */
  entries: Map<string, Entry>;
  /** The largest `order` that was ever entered. */
  lastOrder: number;
}

export class LockModel {
  readonly root: PathNode = newNode('', undefined);
  readonly #locks = new Map<string, PageLock>();
  #listing = 0;
  #version = 0;
  #acquired = 0;
  #enqueued = 0;

  /** Rises with each change. */
  get version(): number {
    return this.#version;
  }

  get acquired(): number {
    return this.#acquired;
  }

  get enqueued(): number {
    return this.#enqueued;
  }

  get size(): number {
    return this.#locks.size;
  }

  get(id: string): PageLock | undefined {
    return this.#locks.get(id);
  }

  locks(): IterableIterator<PageLock> {
    return this.#locks.values();
  }

  clear(): void {
    for (const lock of [...this.#locks.values()]) this.#remove(lock);
    this.root.lastOrder = 0;
    this.#version++;
  }

  begin(): void {
    this.#listing++;
  }

  /** @param nowMs when the listing was received */
  list(listed: InspectedLock, nowMs: number): void {
    const { state, forMs, limitMs, lost, abandonedInMs } = listed;
    const lock = this.#find(listed);
    this.#setState(lock, state);
    // The same moment again, give or take the network: keep it, or ages jump back and forth.
    const sinceMs = nowMs - forMs;
    if (Math.abs(lock.sinceMs - sinceMs) > SAME_MOMENT_MS) lock.sinceMs = sinceMs;
    lock.limitMs = limitMs;
    lock.isLost = lost;
    lock.abandonedAtMs = abandonedInMs === undefined ? undefined : nowMs + abandonedInMs;
    this.#version++;
  }

  complete(): void {
    for (const lock of [...this.#locks.values()]) {
      if (lock.listing < this.#listing) this.#remove(lock);
    }
    this.#version++;
  }

  /** @param nowMs when the event was received */
  hear(event: LockEvent, nowMs: number): void {
    this.#version++;
    if (event.event === 'acquired' || event.event === 'enqueued') {
      const lock = this.#find(event);
      const isNew = lock.state !== event.event || lock.sinceMs === UNKNOWN;
      this.#setState(lock, event.event);
      if (!isNew) return;
      lock.sinceMs = nowMs;
      lock.limitMs = undefined;
      return;
    }
    const lock = this.#locks.get(event.id);
    if (lock !== undefined) this.#remove(lock);
  }

  /** The lock that has waited longest; undefined if none waits. */
  longestWaiting(): PageLock | undefined {
    let longest: PageLock | undefined;
    for (const lock of this.#locks.values()) {
      if (lock.state !== 'enqueued') continue;
      if (longest === undefined || lock.sinceMs < longest.sinceMs) longest = lock;
    }
    return longest;
  }

  #find(seen: InspectedLock | LockEvent): PageLock {
    const known = this.#locks.get(seen.id);
    if (known !== undefined) {
      known.listing = this.#listing;
      return known;
    }
    const { id, resources, moreResources, client, sessionId, session, label, owner } = seen;
    const lock: PageLock = {
      ...{ id, order: Number(id), resources, moreResources, client, sessionId, session, label },
      ...{ owner, state: 'enqueued', sinceMs: UNKNOWN, limitMs: undefined },
      ...{ isLost: false, abandonedAtMs: undefined, listing: this.#listing },
    };
    this.#locks.set(id, lock);
    this.#enqueued++;
    for (const resource of resources) this.#enter(lock, resource);
    return lock;
  }

  #enter(lock: PageLock, resource: Resource): void {
    let node = this.root;
    for (const segment of resource.path) {
      let child = node.children.get(segment);
      if (child === undefined) {
        child = newNode(segment, node);
        node.children.set(segment, child);
      }
      node = child;
    }
    node.entries.set(lock.id, strongest(node.entries.get(lock.id), entryOf(lock, resource)));
    // A listing may name a lock after an event has named a later one.
    if (lock.order < node.lastOrder) node.entries = sorted(node.entries);
    else node.lastOrder = lock.order;
  }

  #remove(lock: PageLock): void {
    this.#locks.delete(lock.id);
    if (lock.state === 'acquired') this.#acquired--;
    else this.#enqueued--;
    for (const { path } of lock.resources) {
      let node = this.nodeAt(path);
      node?.entries.delete(lock.id);
      while (node?.parent !== undefined && node.entries.size === 0 && node.children.size === 0) {
        node.parent.children.delete(node.segment);
        node = node.parent;
      }
    }
  }

  /** Undefined if no lock has a resource at or below `path`. */
  nodeAt(path: Path): PathNode | undefined {
    let node: PathNode | undefined = this.root;
    for (const segment of path) node = node?.children.get(segment);
    return node;
  }

  #setState(lock: PageLock, state: PageLock['state']): void {
    if (lock.state === state) return;
    const change = state === 'acquired' ? 1 : -1;
    this.#acquired += change;
    this.#enqueued -= change;
    lock.state = state;
  }
}

const UNKNOWN = Number.NEGATIVE_INFINITY;
const SAME_MOMENT_MS = 1500;

function newNode(segment: string, parent: PathNode | undefined): PathNode {
  const own = pathText(parent === undefined ? [] : [segment]);
  const text = parent?.parent === undefined ? own : `${parent.text}/${own}`;
  const number = /^\d{1,15}$/.test(segment) ? Number(segment) : Number.NaN;
  return { segment, number, text, parent, children: new Map(), entries: new Map(), lastOrder: 0 };
}

function entryOf(lock: PageLock, resource: Resource): Entry {
  if (resource.type === 'write') return { lock, isWrite: true, limit: undefined };
  // What a write of the same lock covers is part of that write.
  const isCovered = lock.resources.some(
    ({ type, path }) => type === 'write' && path.every((name, i) => name === resource.path[i]),
  );
  return { lock, isWrite: false, limit: isCovered ? undefined : resource.limit };
}

/** A write covers reads; of two limits the smaller one applies. */
function strongest(a: Entry | undefined, b: Entry): Entry {
  if (a === undefined || b.isWrite) return b;
  if (a.isWrite) return a;
  const limit = Math.min(a.limit ?? Infinity, b.limit ?? Infinity);
  return limit === Infinity ? a : { ...a, limit };
}

/** In order of arrival. */
function sorted(entries: ReadonlyMap<string, Entry>): Map<string, Entry> {
  return new Map([...entries].sort(([, a], [, b]) => a.lock.order - b.lock.order));
}
