/**
 * The trie of the paths that locks hold or wait for.
 *
 * Invariants:
 *  1. Every node but the root has an entry in one of its queues, or a child. When it loses the last
 *     of these, it is removed, and then perhaps its parent.
 *  2. A node is itself the first of its queues; the others follow by `nextQueue`. No two are of the
 *     same kind. An empty queue may change its kind; the limit queue, of another class, may not.
 *  3. A single child is referenced directly. From the second on, all are in `Children`, until the
 *     last is removed.
 *
 * The hot path makes and drops nodes for paths that are used once, and most nodes have one child or
 * one queue. So a node is small, and allocates what further children and queues need only for them.
 */
import { ChainedTable, hashOf } from './chained-table.ts';
import { FurtherQueue, Kind, LimitQueue, type Mode, Queue } from './queue.ts';

export class PathNode<C> extends Queue<C> {
  readonly parent: PathNode<C> | null;
  readonly segment: string;
  #children: PathNode<C> | Children<C> | null = null;
  /** The hash of its segment, and the link of its chain; both belong to the parent's `Children`. */
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

  /** Whether it has neither entries nor children: it is new, or must be removed. */
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

  /** The child with that segment; a new, empty one if there is none. */
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

  /** The node's queue for `mode`; a new one if there is none. */
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

  /** The node's queue of limited reads; a new one if there is none. */
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

  /** The child with that segment; a new, empty one if there is none. */
  getOrMake(segment: string, parent: PathNode<C>): PathNode<C> {
    const hash = hashOf(segment);
    const known = this.find(segment, hash);
    if (known !== undefined) return known;
    const child = new PathNode(parent, segment);
    child.hash = hash;
    this.add(child);
    return child;
  }

  /** @param child until now the only child of its node, and so without a hash */
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
