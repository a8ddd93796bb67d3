/**
 * The trie of paths that somebody holds or waits for.
 *
 * Invariants:
 *  1. `population` is the number of entries in the node's queues plus the number of its children.
 *     Every node but the root has a population above 0: it goes, and its parent may follow, when
 *     its last entry or child goes.
 *  2. A single child is kept in `onlyChild`; from the second on all are in `children`, until the
 *     last has gone. At most one of the two fields is set.
 *
 * Nodes of paths that are used once are made and dropped in the hot path: so they are small, and
 * their queues are made when first needed.
 */
import { Children } from './children.ts';
import { LimitQueue, type Mode, Queue } from './queue.ts';

export class PathNode<C> {
  readonly parent: PathNode<C> | null;
  readonly segment: string;
  population = 0;
  onlyChild: PathNode<C> | null = null;
  children: Children<C> | null = null;
  /** Of its segment, and the next node with the same: kept by the parent's `children`. */
  hash = 0;
  nextInChain: PathNode<C> | null = null;
  is: Queue<C> | null = null;
  ix: Queue<C> | null = null;
  s: Queue<C> | null = null;
  x: Queue<C> | null = null;
  limit: LimitQueue<C> | null = null;

  constructor(parent: PathNode<C> | null, segment: string) {
    this.parent = parent;
    this.segment = segment;
  }

  child(segment: string): PathNode<C> | undefined {
    if (this.children !== null) return this.children.get(segment);
    return this.onlyChild?.segment === segment ? this.onlyChild : undefined;
  }

  /** The child with that segment, made when there is none; then its population is 0. */
  childOrNew(segment: string): PathNode<C> {
    if (this.children === null) {
      const { onlyChild } = this;
      if (onlyChild === null) {
        this.population++;
        this.onlyChild = new PathNode<C>(this, segment);
        return this.onlyChild;
      }
      if (onlyChild.segment === segment) return onlyChild;
      this.children = new Children();
      this.children.add(onlyChild);
      this.onlyChild = null;
    }
    const child = this.children.getOrMake(segment, this);
    if (child.population === 0) this.population++;
    return child;
  }

  removeChild(child: PathNode<C>): void {
    this.population--;
    if (this.children === null) {
      this.onlyChild = null;
    } else {
      this.children.delete(child);
      if (this.children.size === 0) this.children = null;
    }
  }

  *allChildren(): Generator<PathNode<C>> {
    if (this.onlyChild !== null) yield this.onlyChild;
    if (this.children !== null) yield* this.children.values();
  }

  /** The node's queue for `mode`, made when there is none. */
  queue(mode: Mode): Queue<C> {
    switch (mode) {
      case 'IS':
        this.is ??= new Queue(this, mode);
        return this.is;
      case 'IX':
        this.ix ??= new Queue(this, mode);
        return this.ix;
      case 'S':
        this.s ??= new Queue(this, mode);
        return this.s;
      case 'X':
        this.x ??= new Queue(this, mode);
        return this.x;
    }
  }

  /** The node's queue of limited reads, made when there is none. */
  limitQueue(): LimitQueue<C> {
    this.limit ??= new LimitQueue(this);
    return this.limit;
  }
}
