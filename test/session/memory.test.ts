/** The bound on the memory of all locks: to the byte, for all sessions together, and near the truth. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lockBytes } from '../../src/session/memory.ts';
import { LockTable } from '../../src/table/lock-table.ts';
import type { Resource } from '../../src/table/resource.ts';
import { collectGarbage } from '../support/heap.ts';
import { read, write } from '../support/resources.ts';
import { setUp } from '../support/session-host.ts';

test('all locks of the server together may take so many bytes; one more is refused', () => {
  const resources = [write('a', 'b'), read('c')];
  const bytes = lockBytes(resources, {});
  const { open, host } = setUp({ maxLockBytes: 3 * bytes });
  const [one, other] = [open('one'), open('other', 1000, 'another namespace')];
  const held = one.lock(resources, {});
  const waiting = one.lock(resources, {});
  if ('code' in held || 'code' in waiting) assert.fail();
  assert.equal('id' in other.lock(resources, {}), true);
  assert.equal(host.namespaces.memory.charged, 3 * bytes);
  assert.deepEqual(other.lock([read()], {}), { code: 'server_full' });
  assert.deepEqual(one.lock([write('x')], { owner: 'a' }), { code: 'server_full' });
  one.release(waiting);
  assert.equal(host.namespaces.memory.charged, 2 * bytes);
  assert.equal('id' in other.lock(resources, {}), true);
  one.end();
  other.end();
  assert.equal(host.namespaces.memory.charged, 0);
});

test('a lock that is refused for another reason takes none', () => {
  const { open, host } = setUp({ maxWaitersPerNamespace: 1 });
  const [one, other] = [open('one'), open('other')];
  one.lock([write('a')], {});
  const bytes = host.namespaces.memory.charged;
  assert.equal('code' in other.lock([write('a')], { waitMs: 0 }), true);
  assert.equal(host.namespaces.memory.charged, bytes);
  other.lock([write('a')], {});
  const both = host.namespaces.memory.charged;
  assert.deepEqual(other.lock([write('a')], {}), { code: 'too_many_waiters' });
  assert.equal(host.namespaces.memory.charged, both);
});

/** Heap bytes for each lock of a table full of them. */
function heapBytes(count: number, resourcesOf: (i: number) => Resource[]): number {
  const table = new LockTable();
  collectGarbage();
  const before = process.memoryUsage().heapUsed;
  const locks = Array.from({ length: count }, (_, i) => table.lock(resourcesOf(i)));
  collectGarbage();
  const bytes = (process.memoryUsage().heapUsed - before) / count;
  assert.equal(locks.length, table.size.acquired);
  return bytes;
}

test('the estimate is not below what the table takes, nor far above it', () => {
  const many = (i: number) =>
    Array.from({ length: 100 }, (_, k) => read(`${i}.${k}`, ...Array(49).fill('')));
  const shapes: [number, (i: number) => Resource[]][] = [
    [5000, (i) => [write('top', `leaf ${i}`)]],
    [5000, (i) => [write(`top ${i}`, `leaf ${i}`)]],
    [20, many],
    [200, (i) => [write('x'.repeat(1000) + String(i))]],
  ];
  for (const [count, resourcesOf] of shapes) {
    // Garbage of others that goes meanwhile makes it look smaller, and nothing makes it larger.
    const actual = Math.max(...[1, 2, 3, 4].map(() => heapBytes(count, resourcesOf)));
    const ratio = lockBytes(resourcesOf(0), {}) / actual;
    assert.ok(ratio > 0.9 && ratio < 4, `${ratio.toFixed(2)} of ${actual.toFixed(0)} bytes`);
  }
});
