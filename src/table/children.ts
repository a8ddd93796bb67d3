/**
 * The children of a node that has had several: by segment, in a chained hash table whose links are
 * fields of the nodes. A `Map` would do, but every few deletions it moves to a new table, and the
 * old one, once it has lived long enough, keeps alive all that hung on it (as in the index of a
 * session's locks). It takes over only when a chain gets long: nobody knows the engine's hash, while
 * ours can be computed by whoever wants to fill one chain.
 *
 * Invariants:
 *  1. Each child is in exactly one chain, that of its `hash`, or in `#map`, if there is one: then
 *     there are no chains.
 *  2. The number of chains is a power of two, and not below that of children.
 *  3. The link of a node that is not in here is null.
 */
import { hashOf } from './hash.ts';
import { PathNode } from './path-node.ts';

const MIN_CHAINS = 4;
/** Chains for one child at least, before their number is halved. */
const MAX_SPARSENESS = 8;
/** As many in one chain are no accident: with as many chains as children, that is one in 10^35. */
const MAX_CHAIN_LENGTH = 32;

type Chains<C> = (PathNode<C> | null)[];

export class Children<C> {
  #size = 0;
  #chains: Chains<C> = emptyChains(MIN_CHAINS);
  #map: Map<string, PathNode<C>> | null = null;

  get size(): number {
    return this.#size;
  }

  get(segment: string): PathNode<C> | undefined {
    if (this.#map !== null) return this.#map.get(segment);
    return this.#find(segment, hashOf(segment)) ?? undefined;
  }

  /** The child with that segment, made when there is none; then it is empty. */
  getOrMake(segment: string, parent: PathNode<C>): PathNode<C> {
    if (this.#map !== null) {
      const known = this.#map.get(segment);
      if (known !== undefined) return known;
    }
    const hash = hashOf(segment);
    const known = this.#map === null ? this.#find(segment, hash) : null;
    if (known !== null) return known;
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
    this.#size--;
    if (this.#map !== null) {
      this.#map.delete(child.segment);
      return;
    }
    this.#unchain(child);
    const { length } = this.#chains;
    if (length > MIN_CHAINS && this.#size * MAX_SPARSENESS < length) this.#resize(length / 2);
  }

  *values(): Generator<PathNode<C>> {
    if (this.#map !== null) yield* this.#map.values();
    for (const head of this.#chains) {
      for (let child = head; child !== null; child = child.nextInChain) yield child;
    }
  }

  #find(segment: string, hash: number): PathNode<C> | null {
    let child = this.#chains[hash & (this.#chains.length - 1)] ?? null;
    while (child !== null && (child.hash !== hash || child.segment !== segment)) {
      child = child.nextInChain;
    }
    return child;
  }

  #add(child: PathNode<C>): void {
    if (this.#map !== null) {
      this.#map.set(child.segment, child);
    } else {
      if (this.#size === this.#chains.length) this.#resize(this.#size * 2);
      this.#chain(child);
      // Here only: in the middle of a resize the children are neither in the old chains nor in the new.
      if (lengthFrom(child) > MAX_CHAIN_LENGTH) this.#moveToMap();
    }
    this.#size++;
  }

  #chain(child: PathNode<C>): void {
    const slot = child.hash & (this.#chains.length - 1);
    child.nextInChain = this.#chains[slot] ?? null;
    this.#chains[slot] = child;
  }

  #unchain(child: PathNode<C>): void {
    const slot = child.hash & (this.#chains.length - 1);
    const head = this.#chains[slot] ?? null;
    if (head === child) {
      this.#chains[slot] = child.nextInChain;
    } else {
      let before = head;
      while (before !== null && before.nextInChain !== child) before = before.nextInChain;
      if (before !== null) before.nextInChain = child.nextInChain;
    }
    child.nextInChain = null;
  }

  #resize(length: number): void {
    const children = [...this.values()];
    this.#chains = emptyChains(length);
    for (const child of children) this.#chain(child);
  }

  #moveToMap(): void {
    const map = new Map<string, PathNode<C>>();
    for (const child of [...this.values()]) {
      child.nextInChain = null;
      map.set(child.segment, child);
    }
    this.#map = map;
    this.#chains = [];
  }
}

function lengthFrom<C>(head: PathNode<C>): number {
  let length = 1;
  for (let child = head.nextInChain; child !== null; child = child.nextInChain) length++;
  return length;
}

function emptyChains<C>(length: number): Chains<C> {
  return new Array<PathNode<C> | null>(length).fill(null);
}
