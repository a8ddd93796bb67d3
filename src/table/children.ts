/**
 * The children of a node that has had several, by segment: in a chained table, or in a `Map` as soon as
 * a chain gets long. Nobody knows the engine's hash, while ours can be computed by whoever wants to
 * fill one chain.
 *
 * Invariant: all children are in `#chained`, or all are in `#map`, if there is one.
 */
import { ChainedTable } from './chained-table.ts';
import { hashOf } from './hash.ts';
import { PathNode } from './path-node.ts';

/** As many in one chain are no accident: with as many chains as children, that is one in 10^35. */
const MAX_CHAIN_LENGTH = 32;

class ChainedChildren<C> extends ChainedTable<PathNode<C>> {
  find(segment: string, hash: number): PathNode<C> | undefined {
    for (let child = this.chainOf(hash); child !== null; child = child.nextInChain) {
      if (child.hash === hash && child.segment === segment) return child;
    }
    return undefined;
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

export class Children<C> {
  readonly #chained = new ChainedChildren<C>();
  #map: Map<string, PathNode<C>> | null = null;

  get size(): number {
    return this.#map === null ? this.#chained.size : this.#map.size;
  }

  get(segment: string): PathNode<C> | undefined {
    if (this.#map !== null) return this.#map.get(segment);
    return this.#chained.find(segment, hashOf(segment));
  }

  /** The child with that segment, made when there is none; then it is empty. */
  getOrMake(segment: string, parent: PathNode<C>): PathNode<C> {
    const hash = hashOf(segment);
    const map = this.#map;
    const known = map === null ? this.#chained.find(segment, hash) : map.get(segment);
    if (known !== undefined) return known;
    const child = new PathNode(parent, segment);
    child.hash = hash;
    this.#add(child);
    return child;
  }

  /** @param child one whose segment none of the others has */
  add(child: PathNode<C>): void {
    child.hash = hashOf(child.segment);
    this.#add(child);
  }

  /** @param child one that is in here */
  delete(child: PathNode<C>): void {
    if (this.#map === null) this.#chained.delete(child);
    else this.#map.delete(child.segment);
  }

  values(): Iterable<PathNode<C>> {
    return this.#map === null ? this.#chained.all() : this.#map.values();
  }

  #add(child: PathNode<C>): void {
    if (this.#map !== null) {
      this.#map.set(child.segment, child);
      return;
    }
    this.#chained.add(child);
    // It heads its chain.
    if (lengthFrom(child) > MAX_CHAIN_LENGTH) this.#moveToMap();
  }

  #moveToMap(): void {
    const map = new Map<string, PathNode<C>>();
    for (const child of this.#chained.all()) {
      this.#chained.delete(child);
      map.set(child.segment, child);
    }
    this.#map = map;
  }
}

function lengthFrom<C>(head: PathNode<C>): number {
  let length = 1;
  for (let child = head.nextInChain; child !== null; child = child.nextInChain) length++;
  return length;
}
