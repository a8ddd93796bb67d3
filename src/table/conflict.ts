/**
 * Which entries stand in whose way at a node: rule 1 of lock-table.ts, as a table for whoever looks
 * and as code for whoever is in a hurry. A test holds the two together.
 */
import type { PathNode } from './path-node.ts';
import type { Mode, Queue, QueueKind } from './queue.ts';

/** The kinds of queue whose entries an entry of each kind waits for when they are ahead of it. */
export const BLOCKED_BY: Readonly<Record<QueueKind, readonly QueueKind[]>> = {
  IS: ['X'],
  IX: ['S', 'X'],
  S: ['IX', 'X'],
  X: ['IS', 'IX', 'S', 'X'],
  limit: ['limit'],
};

/** The queue of `node` of that kind, if it has one. */
export function queueOf<C>(node: PathNode<C>, kind: QueueKind): Queue<C> | null {
  switch (kind) {
    case 'IS':
      return node.is;
    case 'IX':
      return node.ix;
    case 'S':
      return node.s;
    case 'X':
      return node.x;
    case 'limit':
      return node.limit;
  }
}

/**
 * Whether the lock with that `id`, entering or waiting in `mode`, has a conflict ahead at `node`. As
 * ids rise along each queue, it is enough to look at the heads.
 */
export function mustWait<C>(node: PathNode<C>, mode: Mode, id: number): boolean {
  switch (mode) {
    case 'IS':
      return isAhead(node.x, id);
    case 'IX':
      return isAhead(node.s, id) || isAhead(node.x, id);
    case 'S':
      return isAhead(node.ix, id) || isAhead(node.x, id);
    case 'X':
      return (
        isAhead(node.is, id) || isAhead(node.ix, id) || isAhead(node.s, id) || isAhead(node.x, id)
      );
  }
}

function isAhead<C>(queue: Queue<C> | null, id: number): boolean {
  return queue !== null && queue.head !== null && queue.head.lock.id < id;
}
