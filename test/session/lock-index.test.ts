/** The locks of a session: found by id and by ref, in order of arrival, whatever comes and goes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LockIndex } from '../../src/session/lock-index.ts';
import type { Ref, SessionLock } from '../../src/session/lock-record.ts';
import { hashOf, hashOfInteger, MAX_CHAIN_LENGTH } from '../../src/table/chained-table.ts';
import { withSeeds } from '../support/random.ts';
import { write } from '../support/resources.ts';
import { setUp } from '../support/session-host.ts';

/** Makes locks that no session knows, in a table of their own. */
function lockMaker() {
  const { open } = setUp();
  const session = open('a');
  return (ref?: Ref): SessionLock => {
    const lock = session.lock([write('a', String(ref))], {}, ref);
    if ('code' in lock) assert.fail(lock.code);
    session.locks.remove(lock);
    return lock;
  };
}

/** An index beside a Map of the same locks. */
class Pair {
  readonly index = new LockIndex();
  readonly known = new Map<number, SessionLock>();

  add(lock: SessionLock): void {
    this.index.add(lock);
    this.known.set(lock.id, lock);
  }

  remove(lock: SessionLock): void {
    this.index.remove(lock);
    this.known.delete(lock.id);
    const { nextById, nextByRef, ref } = lock.context;
    assert.deepEqual([nextById, nextByRef], [null, null]);
    assert.equal(this.index.get(lock.id), undefined);
    assert.equal(this.index.getByRef(ref ?? 'no ref'), undefined);
  }

  verify(): void {
    assert.equal(this.index.size, this.known.size);
    assert.deepEqual([...this.index], [...this.known.values()]);
    assert.deepEqual(new Set(this.index.inAnyOrder()), new Set(this.known.values()));
    assert.equal(this.index.inAnyOrder().length, this.known.size);
    const [first] = this.known.values();
    assert.equal(this.index.only, this.known.size === 1 ? first : undefined);
    for (const lock of this.known.values()) {
      assert.equal(this.index.get(lock.id), lock);
      const { ref } = lock.context;
      if (ref !== undefined) assert.equal(this.index.getByRef(ref), lock);
    }
  }
}

test('random comings and goings leave what a Map would hold, in order', () => {
  withSeeds(30, (random) => {
    const make = lockMaker();
    const pair = new Pair();
    const mostAtOnce = random.pick([1, 5, 40, 300]);
    for (let step = 0; step < 1500; step++) {
      if (pair.known.size < mostAtOnce && !random.oneIn(3)) {
        const ref = random.pick([step, -step, `ref-${step}`, step * 2 ** 32]);
        pair.add(make(random.oneIn(4) ? undefined : ref));
      } else if (pair.known.size > 0) {
        pair.remove(random.pick([...pair.known.values()]));
      }
      if (random.oneIn(50)) pair.verify();
    }
    for (const lock of [...pair.known.values()]) pair.remove(lock);
    pair.verify();
  });
});

test('refs that meet in one chain are told apart, a number from its text too', () => {
  const make = lockMaker();
  const index = new LockIndex();
  const refs: Ref[] = [7, '7', 7 + 2 ** 32, 7 + 2 ** 33, ''];
  const locks = refs.map((ref) => make(ref));
  for (const lock of locks) index.add(lock);
  assert.deepEqual(
    refs.map((ref) => index.getByRef(ref)),
    locks,
  );
  for (const [i, lock] of locks.entries()) {
    index.remove(lock);
    assert.deepEqual(
      refs.map((ref) => index.getByRef(ref)),
      locks.map((other, at) => (at <= i ? undefined : other)),
    );
  }
  assert.equal(index.only, undefined);
});

/** Locks in the longest chain of refs among `locks`. */
function longestChain(locks: readonly SessionLock[]): number {
  let longest = 0;
  for (const lock of locks) {
    let length = 1;
    for (let at = lock.context.nextByRef; at !== null; at = at.context.nextByRef) length++;
    longest = Math.max(longest, length);
  }
  return longest;
}

test('refs that differ by multiples of a power of two are spread', () => {
  const make = lockMaker();
  for (const step of [1, 2 ** 14, 2 ** 20, 2 ** 32, 2 ** 40, -(2 ** 14)]) {
    const index = new LockIndex();
    const locks = Array.from({ length: 5000 }, (_, i) => make(i * step));
    for (const lock of locks) index.add(lock);
    const longest = longestChain(locks);
    assert.ok(longest > 1 && longest < 16, `a chain of ${longest} with steps of ${step}`);
  }
});

test('refs chosen for their hash make no long chain, and are found', () => {
  const make = lockMaker();
  const chosen = (refOf: (i: number) => Ref): Ref[] => {
    const refs: Ref[] = [];
    for (let i = 0; refs.length < 300; i++) {
      const ref = refOf(i);
      const hash = typeof ref === 'string' ? hashOf(ref) : hashOfInteger(ref);
      if ((hash & 0x1ff) === 7) refs.push(ref);
    }
    return refs;
  };
  for (const refs of [chosen((i) => i), chosen((i) => `ref ${i}`)]) {
    const pair = new Pair();
    const locks = refs.map((ref) => make(ref));
    for (const lock of locks) pair.add(lock);
    assert.ok(longestChain(locks) <= MAX_CHAIN_LENGTH, `a chain of ${longestChain(locks)}`);
    pair.verify();
    for (const lock of locks) pair.remove(lock);
    pair.verify();
  }
});

test('locks may go while all are gone through', () => {
  const make = lockMaker();
  const index = new LockIndex();
  const locks = Array.from({ length: 100 }, (_, i) => make(i));
  for (const lock of locks) index.add(lock);
  const seen: SessionLock[] = [];
  for (const lock of index) {
    seen.push(lock);
    index.remove(lock);
  }
  assert.deepEqual(seen, locks);
  assert.equal(index.size, 0);
});
