/**
 * The trie of paths that somebody holds or waits for.
 *
 * Invariants:
 *  1. Every node but the root has an entry in one of its queues, or a child: it goes, and its parent
 *     may follow, when its last entry or child goes.
 *  2. A node is the first of its queues itself; the others follow by `nextQueue`. No two are of the
 *     same kind, but an empty one may become of another (not the limit queue, which is of another
 *     class).
 *  3. A single child is kept as it is; from the second on all are in `Children`, until the last has
 *     gone.
 *
 * Nodes of paths that are used once are made and dropped in the hot path, and most have one child or
 * one queue: so a node is small, and for the others it has what they need.
 */
import { ChainedTable, hashOf } from './chained-table.ts';
import { FurtherQueue, Kind, LimitQueue, type Mode, Queue } from './queue.ts';

export class PathNode<C> extends Queue<C> {
  readonly parent: PathNode<C> | null;
  readonly segment: string;
  #children: PathNode<C> | Children<C> | null = null;
  /** Of its segment, and the next node with the same: kept by the parent's `Children`. */
  hash = 0;
  nextInChain: PathNode<C> | null = null;

  constructor(parent: PathNode<C> | null, segment: string) {
    super(Kind.IX);
    this.parent = parent;
    this.segment = segment;
  }

  get node(): PathNode<C> {
    return this;
  }

  /** Whether nothing hangs on it: it has just been made, or is to go. */
  get isEmpty(): boolean {
    if (this.#children !== null) return false;
    let queue: Queue<C> | null = this;
    while (queue !== null && queue.head === null) queue = queue.nextQueue;
    return queue === null;
  }

  child(segment: string): PathNode<C> | undefined {
    const children = this.#children;
    if (children instanceof Children) return children.get(segment);
    return children?.segment === segment ? children : undefined;
  }

  /** The child with that segment, made when there is none; then it is empty. */
  childOrNew(segment: string): PathNode<C> {
    const children = this.#children;
    if (children instanceof Children) return children.getOrMake(segment, this);
    if (children === null) {
      const child = new PathNode<C>(this, segment);
      this.#children = child;
      return child;
    }
    if (children.segment === segment) return children;
    const several = new Children<C>();
    several.adopt(children);
    this.#children = several;
    return several.getOrMake(segment, this);
  }

  removeChild(child: PathNode<C>): void {
    const children = this.#children;
    if (!(children instanceof Children)) {
      this.#children = null;
    } else {
      children.delete(child);
      if (children.size === 0) this.#children = null;
    }
  }

  *children(): Generator<PathNode<C>> {
    if (this.#children instanceof Children) yield* this.#children.all();
    else if (this.#children !== null) yield this.#children;
  }

  *queues(): Generator<Queue<C>> {
    for (let queue: Queue<C> | null = this; queue !== null; queue = queue.nextQueue) yield queue;
  }

  /** The node's queue for `mode`, made when there is none. */
  queueFor(mode: Mode): Queue<C> {
    let empty: Queue<C> | undefined;
    for (let queue: Queue<C> | null = this; queue !== null; queue = queue.nextQueue) {
      if (queue.kind === mode) return queue;
      if (queue.head === null && queue.kind !== Kind.limit) empty = queue;
    }
    if (empty === undefined) return this.#add(new FurtherQueue(this, mode));
    empty.kind = mode;
    return empty;
  }

  /** The node's queue of limited reads, made when there is none. */
  limitQueue(): LimitQueue<C> {
    for (const queue of this.queues()) if (queue instanceof LimitQueue) return queue;
    return this.#add(new LimitQueue(this));
  }

  #add<Q extends Queue<C>>(queue: Q): Q {
    queue.nextQueue = this.nextQueue;
    this.nextQueue = queue;
    return queue;
  }
}

/** The children of a node that has had several, by segment. */
class Children<C> extends ChainedTable<string, PathNode<C>> {
  get(segment: string): PathNode<C> | undefined {
    return this.find(segment, hashOf(segment));
  }

  /** The child with that segment, made when there is none; then it is empty. */
  getOrMake(segment: string, parent: PathNode<C>): PathNode<C> {
    const hash = hashOf(segment);
    const known = this.find(segment, hash);
    if (known !== undefined) return known;
    const child = new PathNode(parent, segment);
    child.hash = hash;
    this.add(child);
    return child;
  }

  /** @param child one that hung alone on its node until now, and has no hash yet */
  adopt(child: PathNode<C>): void {
    child.hash = hashOf(child.segment);
    this.add(child);
  }

  protected keyOf(child: PathNode<C>): string {
    return child.segment;
  }

  protected hashOf(child: PathNode<C>): number {
    return child.hash;
  }

  protected nextOf(child: PathNode<C>): PathNode<C> | null {
    return child.nextInChain;
  }

  protected setNext(child: PathNode<C>, next: PathNode<C> | null): void {
    child.nextInChain = next;
  }
}
