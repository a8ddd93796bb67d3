/** Locks by age: the oldest is always known, and slow locks are reported once, by one timer. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AgeList } from '../../src/session/lock-ages.ts';
import type { SessionLock } from '../../src/session/lock-record.ts';
import { SlowLocks } from '../../src/session/slow-locks.ts';
import { statisticsOf } from '../../src/session/statistics.ts';
import { withSeeds } from '../support/random.ts';
import { write } from '../support/resources.ts';
import { mustGet, setUp as setUpSessions } from '../support/session-host.ts';

const THRESHOLD_MS = 1000;

function setUp() {
  const sessions = setUpSessions();
  const { clock, namespaces } = sessions;
  const reports: string[] = [];
  const slow = new SlowLocks(clock, namespaces.ages, THRESHOLD_MS, ({ lock, state, forMs }) =>
    reports.push(`${lock.context.session.client}/${lock.context.ref} ${state} ${forMs}`),
  );
  return { ...sessions, reports, slow };
}

function idsOf(list: AgeList): number[] {
  return [...list].map(({ id }) => id);
}

test('the lists have what waits and what is held, each in order of its age', () => {
  withSeeds(100, (random) => {
    const { clock, namespaces, open } = setUp();
    const sessions = [open('a'), open('b'), open('c')];
    const alive = (): SessionLock[] =>
      [...(namespaces.get('shop')?.table.findLocks([]) ?? [])].map(({ lock }) => lock);
    for (let step = 0; step < 60; step++) {
      clock.advance(random.below(3) * 100);
      const at = random.below(sessions.length);
      const session = sessions[at] ?? assert.fail();
      const locks = [...session.locks];
      if (random.oneIn(20)) {
        session.end();
        sessions[at] = open('again');
      } else if (random.oneIn(2) && locks.length > 0) session.release(random.pick(locks));
      else mustGet(session, { waitMs: 900, holdMs: 1500 }, write(random.pick(['x', 'y'])));
      const { waiting, held } = namespaces.ages;
      for (const [list, state] of [
        [waiting, 'enqueued'],
        [held, 'acquired'],
      ] as const) {
        const expected = alive().filter((lock) => lock.state === state);
        assert.deepEqual(idsOf(list).sort(), expected.map(({ id }) => id).sort());
        const since = [...list].map(({ context }) => context.sinceMs);
        assert.deepEqual(
          since,
          since.toSorted((a, b) => a - b),
        );
      }
    }
  });
});

test('the oldest wait and the oldest hold are known, and 0 without one', () => {
  const { clock, namespaces, open } = setUp();
  const [a, b] = [open('a'), open('b')];
  const oldest = () => statisticsOf(namespaces, clock.now()).oldestMs;
  assert.deepEqual(oldest(), { wait: 0, hold: 0 });
  const first = mustGet(a, {}, write('x'));
  clock.advance(30);
  const second = mustGet(b, {}, write('x'));
  clock.advance(12);
  assert.deepEqual(oldest(), { wait: 12, hold: 42 });
  a.release(first);
  assert.deepEqual(oldest(), { wait: 0, hold: 0 });
  clock.advance(5);
  assert.deepEqual(oldest(), { wait: 0, hold: 5 });
  b.release(second);
  assert.deepEqual(oldest(), { wait: 0, hold: 0 });
});

test('a slow lock is reported once as a waiter and once as a holder, in order of age', () => {
  const { clock, open, reports } = setUp();
  const [a, b] = [open('a'), open('b')];
  const held = mustGet(a, { ref: 1 }, write('x'));
  clock.advance(200);
  mustGet(b, { ref: 1 }, write('x'));
  mustGet(b, { ref: 2 }, write('y'));
  clock.advance(799);
  assert.deepEqual(reports, []);
  clock.advance(1);
  assert.deepEqual(reports.splice(0), ['a/1 acquired 1000']);
  clock.advance(200);
  assert.deepEqual(reports.splice(0), ['b/1 enqueued 1000', 'b/2 acquired 1000']);
  clock.advance(100_000);
  a.release(held);
  assert.deepEqual(reports, []);
  clock.advance(1000);
  assert.deepEqual(reports, ['b/1 acquired 1000']);
});

test('locks that end in time are not reported, and no timer is left when none is unreported', () => {
  const { clock, open, reports, slow } = setUp();
  const session = open('a');
  for (let i = 0; i < 50; i++) {
    const lock = mustGet(session, { ref: i }, write('x'));
    assert.equal(clock.pendingTimers, 1, 'one timer, however many locks');
    clock.advance(90);
    session.release(lock);
  }
  clock.advance(THRESHOLD_MS);
  assert.equal(clock.pendingTimers, 0);
  assert.deepEqual(reports, []);
  mustGet(session, { ref: 'last' }, write('x'));
  clock.advance(THRESHOLD_MS);
  assert.deepEqual(reports, ['a/last acquired 1000']);
  assert.equal(clock.pendingTimers, 0);
  mustGet(session, { ref: 'more' }, write('y'));
  slow.stop();
  assert.equal(clock.pendingTimers, 0);
});
