/** The children of a node that has had several, by segment. */
import { ChainedTable } from './chained-table.ts';
import { hashOf } from './hash.ts';
import { PathNode } from './path-node.ts';

export class Children<C> extends ChainedTable<string, PathNode<C>> {
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
