/** How long a lock may wait and be held: to the millisecond, with one outcome, and no timer left. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { read, write } from '../support/line-client.ts';
import { mustGet, mustLock, setUp } from '../support/session-host.ts';

test('a wait limit lets a lock wait to its last millisecond, and then leave the queue', () => {
  const { open, told, clock, verify } = setUp();
  mustLock(open('reader'), '1', read('x'));
  const a = open('a');
  const waiting = mustGet(a, { ref: '1', waitMs: 100 }, write('x'));
  mustLock(open('behind'), '1', read('x'));
  clock.advance(99);
  assert.equal(waiting.state, 'enqueued');
  assert.deepEqual(told, []);
  clock.advance(1);
  assert.equal(waiting.state, 'released');
  assert.deepEqual(told, ['timeout a/1', 'behind/1'], 'those behind it move up');
  assert.equal(a.locks.getByRef('1'), undefined);
  assert.equal(clock.pendingTimers, 0);
  verify();
});

test('a wait limit ends with the wait: what is granted in time is not taken back', () => {
  const { open, told, clock } = setUp();
  const holder = open('holder');
  const held = mustLock(holder, '1', write('x'));
  const waiting = mustGet(open('a'), { ref: '1', waitMs: 100 }, write('x'));
  clock.advance(99);
  holder.release(held);
  assert.equal(clock.pendingTimers, 0);
  clock.advance(1000);
  assert.equal(waiting.state, 'acquired');
  assert.deepEqual(told, ['a/1']);
});

test('what is acquired at once has no wait limit any more', () => {
  const { open, clock } = setUp();
  mustGet(open('a'), { waitMs: 100 }, write('x'));
  assert.equal(clock.pendingTimers, 0);
});

test('a try is acquired or refused, and never in the queue', () => {
  const { open, told, events, clock, namespaces, verify } = setUp();
  mustLock(open('reader'), '1', read('x'));
  const a = open('a');
  const refused = a.lock([write('x')], { waitMs: 0 }, '1');
  assert.ok('code' in refused && refused.code === 'timeout');
  assert.equal(namespaces.get('shop')?.table.size.enqueued, 0);
  assert.equal(a.locks.size, 0);
  assert.equal(a.locks.getByRef('1'), undefined);
  assert.equal(mustGet(a, { ref: '1', waitMs: 0 }, read('x')).state, 'acquired');
  assert.deepEqual(told, []);
  assert.deepEqual(events, ['acquired reader/1', 'acquired a/1']);
  assert.equal(clock.pendingTimers, 0);
  verify();
});

test('a hold limit lets a lock be held to its last millisecond, and then expire', () => {
  const { open, told, clock } = setUp();
  const a = open('a');
  const held = mustGet(a, { ref: '1', holdMs: 100 }, write('x'));
  mustLock(open('b'), '1', write('x'));
  clock.advance(99);
  assert.equal(held.state, 'acquired');
  clock.advance(1);
  assert.equal(held.state, 'released');
  assert.deepEqual(told, ['expired a/1', 'b/1']);
  assert.equal(a.locks.getByRef('1'), undefined);
  assert.equal(clock.pendingTimers, 0);
});

test('a hold limit counts from the grant, not from the request', () => {
  const { open, told, clock } = setUp();
  const holder = open('holder');
  const held = mustLock(holder, '1', write('x'));
  mustGet(open('a'), { ref: '1', waitMs: 100, holdMs: 100 }, write('x'));
  clock.advance(60);
  holder.release(held);
  clock.advance(99);
  assert.deepEqual(told, ['a/1']);
  clock.advance(1);
  assert.deepEqual(told, ['a/1', 'expired a/1']);
});

test('both limits go on while the session is lost', () => {
  const { open, told, clock, resume } = setUp();
  mustLock(open('holder'), '1', write('y'));
  const a = open('a', 1000, 'shop', 'secret');
  mustGet(a, { ref: 'held', holdMs: 100 }, write('x'));
  mustGet(a, { ref: 'waiting', waitMs: 100 }, write('y'));
  a.loseFirst();
  clock.advance(100);
  resume(a, 'a2');
  assert.equal(a.locks.size, 0);
  assert.deepEqual(told, []);
  assert.equal(clock.pendingTimers, 0);
});

test('a grant that comes before the timeout at the same millisecond stands', () => {
  const { open, told, clock } = setUp();
  mustGet(open('a'), { ref: '1', holdMs: 100 }, write('x'));
  const waiting = mustGet(open('b'), { ref: '1', waitMs: 100 }, write('x'));
  clock.advance(100);
  assert.deepEqual(told, ['expired a/1', 'b/1']);
  assert.equal(waiting.state, 'acquired');
  assert.equal(clock.pendingTimers, 0);
});

test('a timeout that comes before the grant at the same millisecond lets the next one through', () => {
  const { open, told, clock } = setUp();
  const holder = open('holder', 100);
  // The wait of b ends at 100, and so does the patience with the holder, whose timer is younger.
  mustLock(holder, '1', write('x'));
  mustGet(open('b'), { ref: '1', waitMs: 100 }, write('x'));
  mustLock(open('c'), '1', write('x'));
  holder.loseFirst();
  clock.advance(100);
  assert.deepEqual(told, ['timeout b/1', 'c/1']);
  clock.advance(1000);
  assert.deepEqual(told.length, 2, 'what has timed out is never granted');
});

test('a release and an expiry at the same millisecond have one outcome, whichever is first', () => {
  const { open, told, events, clock } = setUp();
  const a = open('a');
  const released = mustGet(a, { ref: '1', holdMs: 100 }, write('x'));
  clock.advance(99);
  a.release(released);
  assert.equal(clock.pendingTimers, 0);
  clock.advance(1);
  const expired = mustGet(a, { ref: '2', holdMs: 100 }, write('x'));
  clock.advance(100);
  assert.equal(expired.state, 'released');
  assert.equal(a.locks.get(expired.id), undefined, 'a release has nothing to find');
  assert.deepEqual(told, ['expired a/2']);
  assert.deepEqual(events, ['acquired a/1', 'released a/1', 'acquired a/2', 'expired a/2']);
});

test('a hold can be made longer, shorter, given an end, and rid of it', () => {
  const { open, told, clock } = setUp();
  const a = open('a');
  const held = mustGet(a, { ref: '1', holdMs: 100 }, write('x'));
  clock.advance(99);
  assert.equal(a.extend(held, 100), true);
  clock.advance(99);
  assert.equal(held.state, 'acquired');
  a.extend(held, undefined);
  assert.equal(clock.pendingTimers, 0);
  clock.advance(1e9);
  a.extend(held, 1000);
  a.extend(held, 10);
  clock.advance(9);
  assert.deepEqual(told, []);
  clock.advance(1);
  assert.deepEqual(told, ['expired a/1']);
  assert.equal(clock.pendingTimers, 0);
});

test('the hold that counts is in the terms, from the grant on', () => {
  const { open, clock } = setUp();
  const a = open('a');
  clock.advance(0.5);
  const held = mustGet(a, { holdMs: 100, label: 'night job' }, write('x'));
  clock.advance(40);
  a.extend(held, 100);
  const { terms, sinceMs } = held.context;
  assert.deepEqual(terms, { holdMs: 140, label: 'night job' });
  assert.ok(sinceMs + 140 >= clock.now() + 100);
  a.extend(held, Number.MAX_SAFE_INTEGER);
  assert.equal(held.context.terms.holdMs, Number.MAX_SAFE_INTEGER);
});

test('an extension goes on while the session is lost', () => {
  const { open, clock, resume } = setUp();
  const a = open('a', 1000, 'shop', 'secret');
  const held = mustGet(a, { holdMs: 10 }, write('x'));
  a.extend(held, 100);
  a.loseFirst();
  clock.advance(99);
  assert.equal(held.state, 'acquired');
  clock.advance(1);
  assert.equal(held.state, 'released');
  resume(a, 'a2');
  assert.equal(clock.pendingTimers, 0);
});

test('limits of locks that leave early leave no timer', () => {
  const { open, clock } = setUp();
  const a = open('a');
  const held = mustGet(a, { holdMs: 100 }, write('x'));
  const b = open('b', 0);
  mustGet(b, { waitMs: 100 }, write('x'));
  const c = open('c');
  c.release(mustGet(c, { waitMs: 100 }, write('x')));
  b.loseFirst();
  a.release(held);
  assert.equal(clock.pendingTimers, 0);
  mustGet(a, { holdMs: 100 }, write('x'));
  a.end();
  assert.equal(clock.pendingTimers, 0);
});

test('a seat of a limited read comes free when its holder dies, expires, or gives up waiting', () => {
  const { open, clock, namespaces, verify } = setUp();
  const seat = { type: 'read', path: ['gpu'], limit: 2 } as const;
  const dying = open('dying', 50);
  mustLock(dying, '1', seat);
  mustGet(open('expiring'), { ref: '1', holdMs: 60 }, seat);
  mustGet(open('impatient'), { ref: '1', waitMs: 10 }, seat);
  const guests = [open('g1'), open('g2')].map((guest) => mustLock(guest, '1', seat));
  const late = mustLock(open('late'), '1', seat);
  dying.loseFirst();
  clock.advance(60);
  verify();
  assert.deepEqual(
    [...guests, late].map((lock) => lock.state),
    ['acquired', 'acquired', 'enqueued'],
  );
  for (const guest of guests) guest.context.session.end();
  assert.equal(late.state, 'acquired');
  assert.equal(namespaces.get('shop')?.table.size.enqueued, 0);
});
