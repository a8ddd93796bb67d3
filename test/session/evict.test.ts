/** Locks and sessions taken away by an administrator: who is told, in which order, and what is left. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { write } from '../support/line-client.ts';
import { mustGet, mustLock, setUp } from '../support/session-host.ts';

test('a held lock goes: its client is told before the next one has it', () => {
  const { open, told, events, verify, clock } = setUp();
  const a = open('a');
  const held = mustGet(a, { ref: '1', holdMs: 500 }, write('x'));
  mustLock(a, '2', write('y'));
  mustLock(open('b'), '1', write('x'));
  a.evictLock(held);
  assert.deepEqual(told, ['evicted a/1', 'b/1']);
  assert.deepEqual(events.slice(-2), ['evicted a/1', 'acquired b/1']);
  assert.equal(a.locks.getByRef('1'), undefined);
  assert.equal(a.locks.size, 1, 'the other lock stays');
  assert.equal(clock.pendingTimers, 0);
  verify();
});

test('an enqueued lock goes, and those behind it move up', () => {
  const { open, told, verify, clock } = setUp();
  mustLock(open('a'), '1', write('x'));
  const b = open('b');
  const waiting = mustGet(b, { ref: '1', waitMs: 500 }, write('x'), write('y'));
  mustLock(open('c'), '1', write('y'));
  b.evictLock(waiting);
  assert.deepEqual(told, ['evicted b/1', 'c/1']);
  assert.equal(clock.pendingTimers, 0);
  verify();
});

test('the lock of a lost session goes, and the session can still be resumed', () => {
  const { open, told, resume, clock } = setUp();
  const a = open('a', 1000, 'shop', 'secret');
  const held = mustLock(a, '1', write('x'));
  a.loseFirst();
  a.evictLock(held);
  assert.deepEqual(told, []);
  clock.advance(999);
  resume(a, 'a2');
  assert.equal(a.locks.size, 0);
});

test('a session goes with all its locks: its client is told once, and first', () => {
  const { open, told, events, namespaces, host, clock, verify } = setUp();
  const a = open('a', 1000, 'shop', 'secret');
  mustLock(a, '1', write('x'));
  mustGet(a, { ref: '2', waitMs: 500 }, write('x'));
  mustGet(a, { ref: '3', holdMs: 500 }, write('y'));
  mustLock(open('b'), '1', write('x'), write('y'));
  a.evict();
  assert.deepEqual(told, ['evicted a', 'b/1']);
  assert.deepEqual(events.slice(-4), ['evicted a/3', 'evicted a/2', 'evicted a/1', 'acquired b/1']);
  assert.equal(host.registry.resumableCount, 0);
  assert.equal(namespaces.get('shop')?.sessions.size, 1);
  assert.equal(clock.pendingTimers, 0);
  a.evict();
  a.loseFirst();
  a.end();
  assert.equal(told.length, 2);
  verify();
});

test('a lost session goes at once and for good', () => {
  const { open, told, host, namespaces, clock } = setUp();
  const a = open('a', 1000, 'shop', 'secret');
  mustLock(a, '1', write('x'));
  a.loseFirst();
  mustLock(open('b'), '1', write('x'));
  a.evict();
  assert.deepEqual(told, ['b/1']);
  assert.equal(host.registry.resumableCount, 0);
  assert.equal(namespaces.get('shop')?.sessions.size, 1);
  assert.equal(clock.pendingTimers, 0);
});

test('sessions are numbered over all namespaces, and found by that in their own', () => {
  const { open, namespaces } = setUp();
  const a = open('a');
  const b = open('b', 1000, 'other');
  assert.deepEqual([a.id, b.id], [1, 2]);
  assert.equal(namespaces.get('shop')?.sessionById(1), a);
  assert.equal(namespaces.get('shop')?.sessionById(2), undefined);
  const lock = mustLock(b, '1', write('x'));
  assert.equal(namespaces.get('other')?.lockById(lock.id), lock);
  assert.equal(namespaces.get('shop')?.lockById(lock.id), undefined);
});
