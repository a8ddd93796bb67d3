/** Sessions on a driven clock: losing the connection, being abandoned, ending, and their limits. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IdCounter } from '../../src/runtime/id-counter.ts';
import { read, write } from '../support/line-client.ts';
import { mustLock, setUp } from '../support/session-host.ts';

test('a peer is told when what it waits for is released, and only then', () => {
  const { open, told } = setUp();
  const held = mustLock(open('a'), '1', write('x'));
  const waiting = mustLock(open('b'), '1', read('x', 'y'));
  assert.equal(waiting.state, 'enqueued');
  assert.deepEqual(told, []);
  held.context.session.release(held);
  assert.deepEqual(told, ['b/1']);
  assert.equal(waiting.state, 'acquired');
});

test('a lost session keeps what it holds for its abandon timeout, to the millisecond', () => {
  const { open, told, clock, namespaces } = setUp();
  const a = open('a', 1000);
  mustLock(a, '1', write('x'));
  mustLock(open('b'), '1', write('x'));
  a.loseFirst();
  clock.advance(999);
  assert.deepEqual(told, []);
  clock.advance(1);
  assert.deepEqual(told, ['b/1']);
  assert.equal(namespaces.get('shop')?.sessions.size, 1);
});

test('an abandon timeout of 0 releases at once', () => {
  const { open, told, clock } = setUp();
  const a = open('a', 0);
  mustLock(a, '1', write('x'));
  mustLock(open('b'), '1', write('x'));
  a.loseFirst();
  assert.deepEqual(told, ['b/1']);
  assert.equal(clock.pendingTimers, 0);
});

test('what a lost session waits for leaves the queue at once, and those behind move up', () => {
  const { open, told, verify } = setUp();
  mustLock(open('reader'), '1', read('x'));
  const writer = open('writer');
  mustLock(writer, '1', write('x'));
  mustLock(open('late'), '1', read('x'));
  writer.loseFirst();
  verify();
  assert.deepEqual(told, ['late/1']);
});

test('a lost session leaves none of its own waiters behind as holders', () => {
  const { open, told, verify, namespaces } = setUp();
  const holder = mustLock(open('holder'), '1', write('a'));
  const lost = open('lost', 60_000);
  mustLock(lost, '1', write('a'), write('b'));
  mustLock(lost, '2', write('b'));
  mustLock(open('next'), '1', write('b'));
  lost.loseFirst();
  verify();
  assert.deepEqual(told, ['next/1']);
  assert.equal(lost.locks.size, 0);
  holder.context.session.end();
  assert.equal(namespaces.get('shop')?.sessions.size, 1);
});

test('a session that held nothing is gone with its connection, and its namespace with it', () => {
  const { open, namespaces, clock } = setUp();
  const a = open('a');
  assert.equal(namespaces.size, 1);
  a.loseFirst();
  assert.equal(namespaces.size, 0);
  assert.equal(clock.pendingTimers, 0);
});

test('a namespace lives as long as an abandoned lock in it', () => {
  const { open, namespaces, clock } = setUp();
  const a = open('a', 1000);
  mustLock(a, '1', write('x'));
  a.loseFirst();
  assert.equal(namespaces.size, 1);
  clock.advance(1000);
  assert.equal(namespaces.size, 0);
});

test('ending releases everything at once, held or waited for, without granting it to itself', () => {
  const { open, told, events, namespaces } = setUp();
  const a = open('a');
  mustLock(a, '1', write('x'));
  mustLock(a, '2', write('x'));
  const b = open('b');
  mustLock(b, '1', write('x'));
  a.end();
  assert.deepEqual(told, ['b/1']);
  assert.deepEqual(events.slice(3), ['ended a/2', 'ended a/1', 'acquired b/1']);
  b.end();
  assert.equal(namespaces.size, 0);
});

test('losing and ending twice, in any order, does nothing more', () => {
  const { open, clock, namespaces, events } = setUp();
  const a = open('a', 1000);
  mustLock(a, '1', write('x'));
  a.loseFirst();
  a.loseFirst();
  assert.equal(clock.pendingTimers, 1);
  a.end();
  a.end();
  a.loseFirst();
  assert.equal(clock.pendingTimers, 0);
  assert.equal(namespaces.size, 0);
  assert.deepEqual(events, ['acquired a/1', 'ended a/1']);
});

test('a lost session is told nothing', () => {
  const { open, told, clock } = setUp();
  const a = open('a', 1000);
  const first = mustLock(a, '1', write('x'));
  mustLock(a, '2', write('y'));
  a.loseFirst();
  a.release(first);
  clock.advance(1000);
  assert.deepEqual(told, []);
});

test('namespaces are separate tables that share one counter of ids', () => {
  const { open } = setUp();
  const first = mustLock(open('a', 0, 'shop'), '1', write('x'));
  const second = mustLock(open('b', 0, 'farm'), '1', write('x'));
  assert.equal(second.state, 'acquired');
  assert.ok(second.id > first.id);
});

test('the names __proto__, constructor and the empty name are ordinary namespaces', () => {
  const { open, namespaces } = setUp();
  const sessions = ['__proto__', 'constructor', ''].map((name) => open('a', 0, name));
  assert.equal(namespaces.size, 3);
  for (const session of sessions) session.end();
  assert.equal(namespaces.size, 0);
});

test('a ref leads to its lock until that is released', () => {
  const { open } = setUp();
  const a = open('a');
  const lock = mustLock(a, 'job', write('x'));
  assert.equal(a.locks.getByRef('job'), lock);
  a.release(lock);
  assert.equal(a.locks.getByRef('job'), undefined);
});

test('a session has at most maxLocksPerSession locks', () => {
  const { open } = setUp({ maxLocksPerSession: 2 });
  const a = open('a');
  const first = mustLock(a, '1', write('x'));
  mustLock(a, '2', write('y'));
  assert.deepEqual(a.lock([write('z')], {}), { code: 'too_many_locks' });
  a.release(first);
  assert.equal(mustLock(a, '3', write('z')).state, 'acquired');
});

test('a namespace has at most maxWaitersPerNamespace waiters; holders are not counted', () => {
  const { open, told, verify } = setUp({ maxWaitersPerNamespace: 1 });
  const a = open('a');
  const held = mustLock(a, '1', write('x'));
  mustLock(open('b'), '1', write('x'));
  const c = open('c');
  assert.deepEqual(c.lock([write('x')], {}, 'refused'), { code: 'too_many_waiters' });
  assert.equal(c.locks.getByRef('refused'), undefined);
  assert.equal(c.namespace.table.size.enqueued, 1);
  assert.equal(mustLock(c, '2', write('y')).state, 'acquired');
  verify();
  a.release(held);
  assert.deepEqual(told, ['b/1']);
});

test('ending all sessions grants nothing to anybody', () => {
  const { open, told, namespaces, clock, events } = setUp();
  mustLock(open('a'), '1', write('x'));
  mustLock(open('b'), '1', write('x'));
  mustLock(open('c'), '1', write('x', 'y'));
  const lost = open('c', 1000, 'farm');
  mustLock(lost, '1', write('y'));
  lost.loseFirst();
  const before = events.length;
  namespaces.endAll();
  assert.deepEqual(told, []);
  const after = events.slice(before);
  assert.deepEqual(after, ['ended c/1', 'ended b/1', 'ended a/1', 'ended c/1']);
  assert.equal(namespaces.size, 0);
  assert.equal(clock.pendingTimers, 0);
});

test('ids start from the wall clock in microseconds and rise', () => {
  const counter = new IdCounter(1_700_000_000_123);
  assert.equal(counter.next(), 1_700_000_000_123_001);
  assert.equal(counter.next(), 1_700_000_000_123_002);
  assert.ok(Number.isSafeInteger(new IdCounter(Date.parse('2200-01-01')).next()));
});
