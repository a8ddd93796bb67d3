/**
 * Checks a whole table against its invariants, as they are stated in queue.ts, lock.ts,
 * path-node.ts and the rules of lock-table.ts. It takes none of the table's shortcuts: it decides
 * what is ready by comparing with every entry, not with heads and frontiers.
 */
import { ok, strictEqual } from 'node:assert/strict';
import { blockersOf } from './conflict.ts';
import type { TableLock } from './lock.ts';
import type { PathNode } from './path-node.ts';
import { type Entry, Kind, LimitEntry, LimitQueue, type Queue } from './queue.ts';
import type { TableSize } from './resource.ts';

interface Seen<C> {
  /** Entries found in queues, by lock. */
  readonly entries: Map<TableLock<C>, Set<Entry<C>>>;
  paths: number;
}

/** Throws an AssertionError that names the first broken invariant. */
export function verifyTable<C>(root: PathNode<C>, size: TableSize): void {
  const seen: Seen<C> = { entries: new Map(), paths: 0 };
  const unvisited = [root];
  for (let node = unvisited.pop(); node !== undefined; node = unvisited.pop()) {
    verifyNode(node, seen);
    for (const child of node.children()) {
      strictEqual(child.parent, node, 'a child knows its parent');
      strictEqual(node.child(child.segment), child, 'a child is found by its segment');
      ok(!child.isEmpty, 'a node without entries and children is removed');
      seen.paths++;
      unvisited.push(child);
    }
  }
  const counted = { acquired: 0, enqueued: 0, resourcesAcquired: 0, resourcesEnqueued: 0 };
  for (const [lock, entries] of seen.entries) {
    verifyLock(lock, entries);
    if (lock.state === 'acquired') {
      counted.acquired++;
      counted.resourcesAcquired += lock.resources.length;
    } else {
      counted.enqueued++;
      counted.resourcesEnqueued += lock.resources.length;
    }
  }
  strictEqual(size.acquired, counted.acquired, 'size.acquired');
  strictEqual(size.enqueued, counted.enqueued, 'size.enqueued');
  strictEqual(size.resourcesAcquired, counted.resourcesAcquired, 'size.resourcesAcquired');
  strictEqual(size.resourcesEnqueued, counted.resourcesEnqueued, 'size.resourcesEnqueued');
  strictEqual(size.paths, seen.paths, 'size.paths');
}

function verifyNode<C>(node: PathNode<C>, seen: Seen<C>): void {
  const kinds = new Set<Kind>();
  let isEmpty = true;
  for (const queue of node.queues()) {
    ok(!kinds.has(queue.kind), 'one queue of each kind');
    kinds.add(queue.kind);
    for (const entry of verifyQueue(queue, node)) {
      isEmpty = false;
      const entries = seen.entries.get(entry.lock);
      if (entries === undefined) seen.entries.set(entry.lock, new Set([entry]));
      else entries.add(entry);
    }
  }
  for (const _ of node.children()) isEmpty = false;
  strictEqual(node.isEmpty, isEmpty, 'a node is empty if it has neither entries nor children');
}

function verifyQueue<C>(queue: Queue<C>, node: PathNode<C>): Entry<C>[] {
  strictEqual(queue.node, node, 'a queue knows its node');
  const entries = entriesOf(queue);
  const readiness = entries.map((entry, i) =>
    entry instanceof LimitEntry
      ? entries.slice(0, i + 1).every((e, at) => e instanceof LimitEntry && at < e.limit)
      : !isBlocked(entry, node),
  );
  const firstWaiting = readiness.indexOf(false);
  strictEqual(
    queue.frontier,
    firstWaiting === -1 ? null : entries[firstWaiting],
    'the frontier is the first entry that is not ready',
  );
  ok(
    !readiness.includes(true, Math.max(firstWaiting, 0)) || firstWaiting === -1,
    'ready is a prefix',
  );
  strictEqual(
    queue.kind === Kind.limit,
    queue instanceof LimitQueue,
    'only a queue of limited reads counts',
  );
  if (queue instanceof LimitQueue) {
    const admitted = readiness.filter((ready) => ready).length;
    strictEqual(queue.admitted, admitted, 'admitted counts the ready');
  }
  return entries;
}

/** The entries from head to tail, with the links between them checked. */
function entriesOf<C>(queue: Queue<C>): Entry<C>[] {
  const entries: Entry<C>[] = [];
  let last: Entry<C> | null = null;
  for (let entry = queue.head; entry !== null; entry = entry.next) {
    strictEqual(entry.prev, last, 'prev mirrors next');
    strictEqual(entry.queue, queue, 'an entry knows its queue');
    ok(last === null || last.lock.id < entry.lock.id, 'ids rise along a queue');
    entries.push(entry);
    last = entry;
  }
  strictEqual(queue.tail, last, 'the tail is the last entry');
  return entries;
}

function isBlocked<C>(entry: Entry<C>, node: PathNode<C>): boolean {
  for (const queue of node.queues()) {
    if ((blockersOf(entry.queue.kind) & queue.kind) === 0) continue;
    for (let other = queue.head; other !== null; other = other.next) {
      if (other.lock.id < entry.lock.id) return true;
    }
  }
  return false;
}

function verifyLock<C>(lock: TableLock<C>, found: Set<Entry<C>>): void {
  const listed = new Set<Entry<C>>();
  for (let entry = lock.entries; entry !== null; entry = entry.sibling) {
    ok(found.has(entry), 'every entry of a lock is in a queue');
    listed.add(entry);
  }
  strictEqual(listed.size, found.size, 'every entry in a queue is in the list of its lock');
  const pending = [...listed].filter((entry) => !entry.isReady).length;
  strictEqual(lock.pending, pending, 'pending counts the entries that are not ready');
}
