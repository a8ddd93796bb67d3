/**
 * Arrival-order queues of one node, as intrusive doubly linked lists.
 *
 *     head                 frontier             tail
 *      |                      |                  |
 *      v                      v                  v
 *     [1] <-> [4] <-> [5] <-> [8] <-> [9] <-> [12]
 *      ready ........ ready    waiting .... waiting
 *
 * An `Entry` is one lock's claim on one node in one mode. Its links are its own fields, so joining
 * and leaving are O(1), without a search or a copy.
 *
 * Invariants:
 *  1. Ids of the entries' locks rise from head to tail: entries join at the tail only.
 *  2. `frontier` is the first entry that is not ready, or null when all are. So the ready entries
 *     are a prefix, and an entry is ready exactly when it is before the frontier.
 *  3. The frontier only moves towards the tail: a ready entry stays ready until it leaves. So the
 *     frontier passes each entry once, however many other entries join and leave.
 *  4. In a limit queue, `admitted` is the number of ready entries.
 */
import type { TableLock } from './lock.ts';
import type { PathNode } from './path-node.ts';

/**
 * What a queue is for: a mode of its node (Gray et al. 1975, without SIX: that is S and IX side by
 * side), or the limited reads of exactly its path. One bit each, so that a number is a set of
 * kinds.
 */
export const Kind = { IS: 1, IX: 2, S: 4, X: 8, limit: 16 } as const;

export type Kind = (typeof Kind)[keyof typeof Kind];
export type Mode = Exclude<Kind, typeof Kind.limit>;

export class Entry<C> {
  readonly lock: TableLock<C>;
  readonly queue: Queue<C>;
  prev: Entry<C> | null = null;
  next: Entry<C> | null = null;
  /** The next entry of the same lock; the list begins at `lock.entries`. */
  readonly sibling: Entry<C> | null;

  constructor(lock: TableLock<C>, queue: Queue<C>) {
    this.lock = lock;
    this.queue = queue;
    this.sibling = lock.entries;
    lock.entries = this;
  }

  get isReady(): boolean {
    const { frontier } = this.queue;
    return frontier === null || this.lock.id < frontier.lock.id;
  }
}

/** An entry of a limit queue, with the limit of its read: an integer >= 1. */
export class LimitEntry<C> extends Entry<C> {
  readonly limit: number;

  constructor(lock: TableLock<C>, queue: Queue<C>, limit: number) {
    super(lock, queue);
    this.limit = limit;
  }
}

export abstract class Queue<C> {
  kind: Kind;
  head: Entry<C> | null = null;
  tail: Entry<C> | null = null;
  frontier: Entry<C> | null = null;
  /** The next queue of the same node. */
  nextQueue: Queue<C> | null = null;

  constructor(kind: Kind) {
    this.kind = kind;
  }

  abstract get node(): PathNode<C>;

  /** Adds `entry`, the newest of all, at the tail. The caller decides whether it is ready. */
  append(entry: Entry<C>, ready: boolean): void {
    const { tail } = this;
    if (tail === null) this.head = entry;
    else tail.next = entry;
    entry.prev = tail;
    this.tail = entry;
    if (!ready && this.frontier === null) this.frontier = entry;
  }

  /** Removes `entry` from any position. The caller has to check which entries became ready. */
  unlink(entry: Entry<C>): void {
    const { prev, next } = entry;
    if (prev === null) this.head = next;
    else prev.next = next;
    if (next === null) this.tail = prev;
    else next.prev = prev;
    if (this.frontier === entry) this.frontier = next;
    entry.prev = null;
    entry.next = null;
  }
}

/** A queue of a node that has others: the first one is the node itself. */
export class FurtherQueue<C> extends Queue<C> {
  readonly node: PathNode<C>;

  constructor(node: PathNode<C>, kind: Kind) {
    super(kind);
    this.node = node;
  }
}

export class LimitQueue<C> extends FurtherQueue<C> {
  declare frontier: LimitEntry<C> | null;
  admitted = 0;

  constructor(node: PathNode<C>) {
    super(node, Kind.limit);
  }
}
