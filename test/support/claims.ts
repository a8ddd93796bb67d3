/** What a lock really put into the table: the test's way to see that a resource costs nothing. */
import assert from 'node:assert/strict';
import { type Lock, TableLock } from '../../src/table/lock.ts';
import type { PathNode } from '../../src/table/path-node.ts';

/** The lock's entries as 'X /a/b', sorted. */
export function claimsOf(lock: Lock): string[] {
  assert.ok(lock instanceof TableLock);
  const claims: string[] = [];
  for (let { entries: entry } = lock as TableLock<undefined>; entry !== null; ) {
    claims.push(`${entry.queue.kind} ${pathOf(entry.queue.node)}`);
    entry = entry.sibling;
  }
  return claims.sort();
}

function pathOf(node: PathNode<undefined>): string {
  const segments: string[] = [];
  for (let at = node; at.parent !== null; at = at.parent) segments.unshift(at.segment);
  return `/${segments.join('/')}`;
}
