/** The wall clock of the machine is set back, or forward, while the server runs: nothing changes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '../../src/runtime/clock.ts';
import { LineClient, lock, write } from '../support/line-client.ts';
import { startServer } from '../support/running-server.ts';

const YEAR_MS = 365 * 24 * 60 * 60 * 1000;

for (const [name, byMs] of [
  ['back', -YEAR_MS],
  ['forward', YEAR_MS],
] as const) {
  test(`the wall clock is set ${name}: ids rise, waits, holds and sessions take their time`, async (t) => {
    const { address } = await startServer(t);
    const holder = await LineClient.connect(t, address.port);
    const waiter = await LineClient.connect(t, address.port);
    const { session } = await holder.ask({ action: 'hello', heartbeatMs: 100_000 });
    const before = await holder.ask({ ...lock(write('a')), holdMs: 400 });
    const beforeMs = systemClock.now();

    const realNow = Date.now;
    t.mock.method(Date, 'now', () => realNow() + byMs);
    const waits = await waiter.ask({ ...lock(write('a')), ref: 1, waitMs: 30 });
    const stays = await waiter.ask({ ...lock(write('a')), ref: 2, waitMs: 100_000 });
    const ids = [before, waits, stays].map(({ id }) => Number(id));
    assert.deepEqual(ids.toSorted(), ids);
    assert.deepEqual([waits.state, stays.state], ['enqueued', 'enqueued']);
    assert.deepEqual(await waiter.next(), { ...waits, state: 'timeout' });
    assert.deepEqual(await holder.next(), { ...before, state: 'expired' });
    assert.deepEqual(await waiter.next(), { ...stays, state: 'acquired' });
    const back = await LineClient.connect(t, address.port);
    assert.equal((await back.ask({ action: 'hello', session })).resumed, true);
    const passedMs = systemClock.now() - beforeMs;
    assert.ok(passedMs > 0 && passedMs < YEAR_MS);
  });
}
