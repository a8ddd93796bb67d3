/** The entries that a lock has in the table: shows that a covered resource adds none. */
import assert from 'node:assert/strict';
import { type Lock, TableLock } from '../../src/table/lock.ts';
import type { PathNode } from '../../src/table/path-node.ts';
import { type Entry, Kind } from '../../src/table/queue.ts';

const NAMES = new Map<Kind, string>(Object.entries(Kind).map(([name, kind]) => [kind, name]));

/** The lock's entries as 'X /a/b', sorted. */
export function claimsOf(lock: Lock): string[] {
  assert.ok(lock instanceof TableLock);
  const claims: string[] = [];
  let entry: Entry<undefined> | null = lock.entries;
  for (; entry !== null; entry = entry.sibling) {
    claims.push(`${NAMES.get(entry.queue.kind)} ${pathOf(entry.queue.node)}`);
  }
  return claims.sort();
}

function pathOf(node: PathNode<undefined>): string {
  const segments: string[] = [];
  for (let at = node; at.parent !== null; at = at.parent) segments.unshift(at.segment);
  return `/${segments.join('/')}`;
}
