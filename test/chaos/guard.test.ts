/** What the guard of a chaos run accepts, and why a read needs an id. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Guard } from './guard.ts';

test('a client that slept past its lock can neither write nor read', () => {
  const guard = new Guard();
  assert.equal(guard.read('a', 1), 0);
  assert.equal(guard.read('a', 2), 0);
  assert.equal(guard.write('a', 1, 1), false);
  assert.equal(guard.write('a', 2, 1), true);
  assert.equal(guard.read('a', 1), undefined);
  assert.deepEqual([guard.sums, guard.rejected, guard.lost], [{ accepted: 1, values: 1 }, 2, []]);
});

test('an update over a value that was not read is a lost update', () => {
  const guard = new Guard();
  assert.equal(guard.write('a', 1, 1), true);
  assert.equal(guard.write('a', 1, 1), true);
  assert.equal(guard.lost.length, 1);
  assert.deepEqual(guard.sums, { accepted: 2, values: 1 });
});
