/** The counters of locks, against the locks that there are, after any step of any clients. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { statisticsOf } from '../../src/session/statistics.ts';
import { withSeeds } from '../support/random.ts';
import { SessionCrowd } from '../support/session-crowd.ts';

test('each lock is counted once as it is acquired and once as it ends', () => {
  withSeeds(60, (random) => {
    const crowd = new SessionCrowd(random, {
      maxLocksPerSession: random.pick([2, 5, 100]),
      maxWaitersPerNamespace: random.pick([1, 3, 100]),
    });
    const { registry, counters, clock } = crowd.host;
    const check = (): void => {
      const { locks, sessions } = statisticsOf(registry, clock.now());
      const ended = Object.values(counters.locksEnded).reduce((sum, count) => sum + count, 0);
      assert.equal(counters.locksAcquired, counters.holds.count + locks.acquired);
      assert.equal(crowd.locks, ended + locks.acquired + locks.enqueued);
      assert.equal(registry.sessions, sessions.open + sessions.lost);
      const { held, waiting } = registry.ages;
      assert.deepEqual([[...held].length, [...waiting].length], [locks.acquired, locks.enqueued]);
    };
    for (let step = 0; step < 80; step++) {
      crowd.step();
      check();
    }
    crowd.end();
    check();
    assert.equal(registry.sessions, 0);
    assert.equal(clock.pendingTimers, 0);
  });
});
