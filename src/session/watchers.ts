/**
 * The watched paths of one namespace, and the delivery of lock events to their watchers.
 *
 * The watched paths form a tree. To find the watchers of a lock, each of its paths is walked as far
 * as it is in the tree: the cost is linear in the segments of the lock and in the watchers found,
 * and independent of all others. Without watchers it is nothing.
 *
 * Invariants:
 *  1. Every node but the root is watched or has a child.
 *  2. Each node and each watched path is charged to the memory account as long as it exists.
 */
import { TextTable } from '../table/chained-table.ts';
import type { Path, Resource } from '../table/resource.ts';
import { LOCK_EVENTS, type LockEvent, type WatchedWord } from './lock-events.ts';
import type { SessionLock } from './lock-record.ts';
import { type MemoryAccount, WATCH_BYTES, watchNodeBytes } from './memory.ts';

/** An event; all its watchers get the same object. */
export class WatchedEvent {
  readonly event: WatchedWord;
  readonly lock: SessionLock;
  #message: string | undefined;

  constructor(event: WatchedWord, lock: SessionLock) {
    this.event = event;
    this.lock = lock;
  }

  /** @param make builds the message; called once per event, however many watchers send it */
  message(make: (event: WatchedEvent) => string): string {
    this.#message ??= make(this);
    return this.#message;
  }
}

export interface Watcher {
  /** The lock has a resource at or below a watched path. It must not throw. */
  watched(event: WatchedEvent): void;
}

/** A watcher and the nodes that it watches. */
interface Subscription {
  readonly watcher: Watcher;
  readonly nodes: Set<WatchNode>;
  /** The number of the last search that found it. */
  foundIn: number;
}

class WatchNode {
  readonly parent: WatchNode | null;
  readonly segment: string;
  children: WatchChildren | null = null;
  subscriptions: Set<Subscription> | null = null;
  /** The number of the last search that collected its subscriptions. */
  foundIn = 0;
  nextInChain: WatchNode | null = null;

  constructor(parent: WatchNode | null, segment: string) {
    this.parent = parent;
    this.segment = segment;
  }
}

class WatchChildren extends TextTable<WatchNode> {
  protected keyOf(node: WatchNode): string {
    return node.segment;
  }
}

export class Watchers {
  readonly #memory: MemoryAccount;
  readonly #root = new WatchNode(null, '');
  /** Empty for nearly every namespace: then `tell` returns at once. */
  readonly #subscriptions = new Map<Watcher, Subscription>();
  #searches = 0;

  constructor(memory: MemoryAccount) {
    this.#memory = memory;
  }

  /**
   * Idempotent.
   *
   * @returns whether `path` is watched now; false if the memory limit is reached
   */
  add(watcher: Watcher, path: Path): boolean {
    if (this.has(watcher, path)) return true;
    if (!this.#memory.hasRoom(this.#bytesFor(path))) return false;
    const node = this.#make(path);
    const subscription = this.#subscriptionOf(watcher);
    node.subscriptions ??= new Set();
    node.subscriptions.add(subscription);
    subscription.nodes.add(node);
    this.#memory.charge(WATCH_BYTES);
    return true;
  }

  /** No effect if `watcher` does not watch `path`. */
  remove(watcher: Watcher, path: Path): void {
    const subscription = this.#subscriptions.get(watcher);
    const node = this.#find(path);
    if (subscription === undefined || node === undefined) return;
    this.#unwatch(subscription, node);
    if (subscription.nodes.size === 0) this.#subscriptions.delete(watcher);
  }

  removeAll(watcher: Watcher): void {
    const subscription = this.#subscriptions.get(watcher);
    if (subscription === undefined) return;
    for (const node of [...subscription.nodes]) this.#unwatch(subscription, node);
    this.#subscriptions.delete(watcher);
  }

  has(watcher: Watcher, path: Path): boolean {
    const subscription = this.#subscriptions.get(watcher);
    const node = subscription && this.#find(path);
    return node !== undefined && subscription?.nodes.has(node) === true;
  }

  /** How many paths `watcher` watches. */
  countOf(watcher: Watcher): number {
    return this.#subscriptions.get(watcher)?.nodes.size ?? 0;
  }

  /** Delivers `event` to the watchers of `lock`, once to each. */
  tell(event: LockEvent, lock: SessionLock): void {
    if (this.#subscriptions.size === 0) return;
    const found = this.#watchersOf(lock.resources);
    if (found.length === 0) return;
    const watched = new WatchedEvent(LOCK_EVENTS[event].watched, lock);
    for (const { watcher } of found) watcher.watched(watched);
  }

  /** The watchers of `resources`, each once. */
  #watchersOf(resources: readonly Resource[]): Subscription[] {
    const search = ++this.#searches;
    const found: Subscription[] = [];
    for (const { path } of resources) {
      let node = this.#root;
      collect(node, search, found);
      for (const segment of path) {
        const child = node.children?.get(segment);
        if (child === undefined) break;
        node = child;
        collect(node, search, found);
      }
    }
    return found;
  }

  #subscriptionOf(watcher: Watcher): Subscription {
    let subscription = this.#subscriptions.get(watcher);
    if (subscription === undefined) {
      subscription = { watcher, nodes: new Set(), foundIn: 0 };
      this.#subscriptions.set(watcher, subscription);
    }
    return subscription;
  }

  #find(path: Path): WatchNode | undefined {
    let node: WatchNode | undefined = this.#root;
    for (const segment of path) node = node?.children?.get(segment);
    return node;
  }

  /** Bytes of one more watch of `path`; existing nodes are charged already. */
  #bytesFor(path: Path): number {
    let bytes = WATCH_BYTES;
    let node: WatchNode | undefined = this.#root;
    for (const segment of path) {
      node = node?.children?.get(segment);
      if (node === undefined) bytes += watchNodeBytes(segment);
    }
    return bytes;
  }

  #make(path: Path): WatchNode {
    let node = this.#root;
    for (const segment of path) {
      node.children ??= new WatchChildren();
      let child = node.children.get(segment);
      if (child === undefined) {
        child = new WatchNode(node, segment);
        node.children.add(child);
        this.#memory.charge(watchNodeBytes(segment));
      }
      node = child;
    }
    return node;
  }

  #unwatch(subscription: Subscription, node: WatchNode): void {
    if (!subscription.nodes.delete(node)) return;
    this.#memory.discharge(WATCH_BYTES);
    node.subscriptions?.delete(subscription);
    if (node.subscriptions?.size === 0) node.subscriptions = null;
    this.#prune(node);
  }

  /** Removes `node` if it is neither watched nor has a child, then its ancestors likewise. */
  #prune(node: WatchNode): void {
    let at = node;
    while (at.parent !== null && at.subscriptions === null && at.children === null) {
      const { parent, segment } = at;
      parent.children?.delete(at);
      if (parent.children?.size === 0) parent.children = null;
      this.#memory.discharge(watchNodeBytes(segment));
      at = parent;
    }
  }
}

/** Adds the subscriptions of `node` to `found` that this search has not found yet. */
function collect(node: WatchNode, search: number, found: Subscription[]): void {
  if (node.subscriptions === null || node.foundIn === search) return;
  node.foundIn = search;
  for (const subscription of node.subscriptions) {
    if (subscription.foundIn === search) continue;
    subscription.foundIn = search;
    found.push(subscription);
  }
}
