/** Which entries of a node conflict: rule 1 of lock-table.ts. */
import type { TableLock } from './lock.ts';
import type { PathNode } from './path-node.ts';
import { Kind, type Mode, type Queue } from './queue.ts';

const { IS, IX, S, X, limit } = Kind;

/**
 * The kinds of queue whose entries block an entry of `kind` when they are ahead of it; a bit set.
 */
export function blockersOf(kind: Kind): number {
  switch (kind) {
    case IS:
      return X;
    case IX:
      return S | X;
    case S:
      return IX | X;
    case X:
      return IS | IX | S | X;
    case limit:
      return limit;
  }
}

/**
 * Whether the lock `id`, entering or waiting in `mode`, has a conflicting lock ahead at `node`. As
 * ids rise along each queue, comparing with the heads is enough.
 */
export function mustWait<C>(node: PathNode<C>, mode: Mode, id: number): boolean {
  const blockers = blockersOf(mode);
  for (let queue: Queue<C> | null = node; queue !== null; queue = queue.nextQueue) {
    if ((queue.kind & blockers) === 0) continue;
    if (queue.head !== null && queue.head.lock.id < id) return true;
  }
  return false;
}

/**
 * The kinds of queue of `node` in which `lock` has an entry already; a bit set.
 *
 * @param lock the newest of its table, so that its entries are at the tails
 */
export function kindsOf<C>(lock: TableLock<C>, node: PathNode<C>): number {
  // With one resource, a lock enters each node only once.
  if (lock.resources.length === 1) return 0;
  let kinds = 0;
  for (let queue: Queue<C> | null = node; queue !== null; queue = queue.nextQueue) {
    if (queue.tail !== null && queue.tail.lock === lock) kinds |= queue.kind;
  }
  return kinds;
}
