/** Sessions with a name: taken up again by another connection, with all they had, or abandoned. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { read, write } from '../support/line-client.ts';
import { mustGet, mustLock, setUp } from '../support/session-host.ts';

test('a session is resumed within its abandon timeout, with its locks, and lives on', () => {
  const { open, resume, clock, told } = setUp();
  const a = open('a', 1000, 'shop', 'secret');
  const held = mustLock(a, '1', write('x'));
  a.loseFirst();
  clock.advance(999);
  resume(a, 'a2');
  assert.equal(a.client, 'a2');
  assert.equal(clock.pendingTimers, 0);
  clock.advance(10_000);
  assert.equal(held.state, 'acquired');
  assert.equal(a.locks.getByRef('1'), held);
  assert.deepEqual(told, []);
});

test('a name is no good from the millisecond on which the session is abandoned', () => {
  const { open, host, clock } = setUp();
  const a = open('a', 1000, 'shop', 'secret');
  a.loseFirst();
  clock.advance(999);
  assert.equal(host.registry.resumable('secret'), a);
  clock.advance(1);
  assert.equal(host.registry.resumableCount, 0);
});

test('every loss starts the abandon timeout anew', () => {
  const { open, resume, clock } = setUp();
  const a = open('a', 1000, 'shop', 'secret');
  const held = mustLock(a, '1', write('x'));
  a.loseFirst();
  clock.advance(999);
  const second = resume(a, 'a2');
  a.lose(second);
  clock.advance(999);
  assert.equal(held.state, 'acquired');
  clock.advance(1);
  assert.equal(held.state, 'released');
  assert.equal(clock.pendingTimers, 0);
});

test('taking over a live session tells the connection before, whose end then means nothing', () => {
  const { open, resume, clock, told } = setUp();
  const a = open('a', 1000, 'shop', 'secret');
  const held = mustLock(a, '1', write('x'));
  resume(a, 'a2');
  assert.deepEqual(told, ['taken_over a']);
  a.loseFirst();
  assert.equal(clock.pendingTimers, 0);
  clock.advance(5000);
  assert.equal(held.state, 'acquired');
});

test('an abandon timeout of 0 leaves nothing to resume, though a live one can be taken over', () => {
  const { open, resume, host, clock, namespaces } = setUp();
  const a = open('a', 0, 'shop', 'secret');
  mustLock(a, '1', write('x'));
  const second = resume(a, 'a2');
  a.lose(second);
  assert.equal(host.registry.resumableCount, 0);
  assert.equal(namespaces.size, 0);
  assert.equal(clock.pendingTimers, 0);
});

test('a place in a queue is kept with a name, and given up without one', () => {
  for (const name of ['secret', undefined]) {
    const { open, told } = setUp();
    const holder = open('holder');
    const held = mustLock(holder, '1', write('x'));
    const a = open('a', 1000, 'shop', name);
    mustLock(a, '1', write('x'));
    mustLock(open('b'), '1', write('x'));
    a.loseFirst();
    holder.release(held);
    assert.deepEqual(told, name === undefined ? ['b/1'] : [], 'a has it, and nobody hears it');
  }
});

test('what is granted while the session is lost is there when it is resumed', () => {
  const { open, resume, told, events } = setUp();
  const holder = open('holder');
  const held = mustLock(holder, '1', write('x'));
  const a = open('a', 1000, 'shop', 'secret');
  const waiting = mustLock(a, '1', write('x'));
  a.loseFirst();
  holder.release(held);
  resume(a, 'a2');
  assert.equal(waiting.state, 'acquired');
  assert.equal(a.locks.getByRef('1'), waiting);
  assert.deepEqual(told, []);
  assert.deepEqual(events.at(-1), 'acquired a/1');
});

test('what is granted after the resume is told to the new connection', () => {
  const { open, resume, told } = setUp();
  const holder = open('holder');
  const held = mustLock(holder, '1', write('x'));
  const a = open('a', 1000, 'shop', 'secret');
  mustLock(a, '1', write('x'));
  a.loseFirst();
  resume(a, 'a2');
  holder.release(held);
  assert.deepEqual(told, ['a2/1']);
});

test('a session that ends while it waits leaves nothing, and is granted nothing', () => {
  for (const end of ['goodbye', 'abandoned']) {
    const { open, told, clock, host, verify } = setUp();
    const holder = open('holder');
    const held = mustLock(holder, '1', write('x'));
    const a = open('a', 1000, 'shop', 'secret');
    const waiting = mustLock(a, '1', write('x'));
    if (end === 'goodbye') {
      a.end();
    } else {
      a.loseFirst();
      clock.advance(1000);
    }
    holder.release(held);
    verify();
    assert.equal(waiting.state, 'released');
    assert.deepEqual(told, []);
    assert.equal(host.registry.resumableCount, 0);
    assert.equal(clock.pendingTimers, 0);
  }
});

test('a session that ends is granted nothing by its own waiters that leave', () => {
  const { open, events } = setUp();
  mustLock(open('reader'), '1', read('x'));
  const a = open('a', 0, 'shop', 'secret');
  mustLock(a, 'write', write('x'));
  mustLock(a, 'read', read('x'));
  a.end();
  assert.deepEqual(events.slice(3), ['ended a/read', 'ended a/write']);
});

test('a lost session without a name keeps nothing that it waited for, also if that frees itself', () => {
  const { open, events, namespaces } = setUp();
  mustLock(open('reader'), '1', read('x'));
  const a = open('a', 1000);
  mustLock(a, 'write', write('x'));
  mustLock(a, 'read', read('x'));
  a.loseFirst();
  assert.deepEqual(events.slice(3), ['lost a/read', 'lost a/write']);
  assert.equal(namespaces.get('shop')?.sessions.size, 1, 'and so it has nothing to live for');
});

test('a name leads nowhere after a goodbye, after being abandoned, and after the server ended all', () => {
  const { open, host, clock, namespaces } = setUp();
  open('a', 1000, 'shop', 'one').end();
  assert.equal(host.registry.resumableCount, 0);
  open('b', 1000, 'shop', 'two').loseFirst();
  clock.advance(1000);
  assert.equal(host.registry.resumableCount, 0);
  open('c', 1000, 'shop', 'three');
  open('d', 1000, 'shop', 'four').loseFirst();
  namespaces.endAll();
  assert.equal(host.registry.resumableCount, 0);
  assert.equal(clock.pendingTimers, 0);
});

test('owners are the same after a resume, and others in other sessions', () => {
  const { open, resume } = setUp();
  const a = open('a', 1000, 'shop', 'secret');
  const b = open('b');
  mustGet(a, { ref: 1, owner: 'job' }, write('x'));
  mustGet(b, { ref: 1, owner: 'job' }, write('y'));
  a.loseFirst();
  resume(a, 'a2');
  const again = a.lock([write('x')], { owner: 'job' });
  assert.ok('code' in again && again.code === 'deadlock', 'one owner waits for itself');
  assert.equal(mustGet(b, { ref: 2, owner: 'job' }, write('x')).state, 'enqueued');
  const crossed = a.lock([write('y')], { owner: 'job' });
  assert.ok('code' in crossed && crossed.code === 'deadlock', 'two owners of one name in a circle');
  assert.equal(crossed.cycle.length, 2);
});

test('an owner waits for what it asked and has not got, and for nothing that is granted or over', () => {
  const { open } = setUp();
  const a = open('a');
  const held = [mustGet(a, {}, write('x')), mustGet(a, {}, write('y'))] as const;
  const [x, y] = [write('x'), write('y')].map((path) => mustGet(a, { owner: 'job' }, path));
  const owner = x?.context.owner;
  assert.deepEqual([...(owner?.waits ?? [])], [x, y]);
  a.release(held[0]);
  assert.deepEqual([...(owner?.waits ?? [])], [y], 'granted');
  a.release(y ?? assert.fail());
  assert.deepEqual([...(owner?.waits ?? [])], [], 'taken back');
  assert.deepEqual([...(owner?.locks ?? [])], [x]);
});

test('an owner that has released everything is forgotten, and refusals leave no trace of one', () => {
  const { open, verify } = setUp({ maxWaitersPerNamespace: 0 });
  mustLock(open('holder'), '1', write('x'));
  const a = open('a');
  a.release(mustGet(a, { owner: 'job' }, write('y')));
  assert.deepEqual(a.lock([write('x')], { owner: 'job' }), { code: 'too_many_waiters' });
  const tried = a.lock([write('x')], { owner: 'job', waitMs: 0 });
  assert.ok('code' in tried && tried.code === 'timeout');
  assert.equal(a.locks.size, 0);
  verify();
});
