/** The machine's clock. How long it waits is not tested: only that it fires, and what may not. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { systemClock } from '../../src/runtime/clock.ts';

test('timers fire, cancelled ones do not, and time goes on', async () => {
  const before = systemClock.now();
  let cancelledFired = false;
  const cancelled = systemClock.setTimer(0, () => {
    cancelledFired = true;
  });
  cancelled.cancel();
  await new Promise<void>((resolve) => void systemClock.setTimer(2, resolve));
  assert.equal(cancelledFired, false);
  assert.ok(systemClock.now() >= before);
});

/** Time that the test drives under the system's clock: when timeouts fire is up to it. */
function driveTime(t: TestContext) {
  const delays: number[] = [];
  let nowMs = 1000;
  let fire = (): void => {};
  t.mock.method(performance, 'now', () => nowMs);
  t.mock.method(globalThis, 'setTimeout', (callback: () => void, delayMs: number) => {
    delays.push(delayMs);
    fire = callback;
  });
  return {
    delays,
    /** Fires the timeout that was set last, `ms` milliseconds later. */
    fireAfter: (ms: number): void => {
      nowMs += ms;
      fire();
    },
  };
}

/** More turns of the event loop than a timer that is due waits for. */
async function turns(): Promise<void> {
  for (let i = 0; i < 10; i++) await new Promise((resolve) => setImmediate(resolve));
}

test('a delay that is longer than setTimeout can take is waited for in steps', async (t) => {
  const { delays, fireAfter } = driveTime(t);
  const sixtyDays = 60 * 24 * 60 * 60 * 1000;
  let fired = false;
  systemClock.setTimer(sixtyDays, () => {
    fired = true;
  });
  for (let step = 0; step < 3; step++) {
    await turns();
    assert.equal(fired, false, `after ${step} steps`);
    fireAfter(delays.at(-1) ?? 0);
  }
  await turns();
  assert.equal(fired, true);
  assert.ok(Math.max(...delays) < 2 ** 31);
  assert.equal(
    delays.reduce((sum, delayMs) => sum + delayMs, 0),
    sixtyDays,
  );
});

test('a timeout that fires too early, as those of the system do, is set again for what is left', async (t) => {
  const { delays, fireAfter } = driveTime(t);
  let fired = false;
  systemClock.setTimer(200, () => {
    fired = true;
  });
  fireAfter(199.0625);
  await turns();
  assert.equal(fired, false);
  fireAfter(0.5);
  await turns();
  assert.equal(fired, false);
  fireAfter(0.4375);
  await turns();
  assert.equal(fired, true);
  assert.deepEqual(delays, [200, 0.9375, 0.4375]);
});

test('a timer that is set again can be cancelled', async (t) => {
  const { fireAfter } = driveTime(t);
  const cleared = t.mock.method(globalThis, 'clearTimeout', () => {});
  let fired = false;
  const timer = systemClock.setTimer(200, () => {
    fired = true;
  });
  fireAfter(199);
  timer.cancel();
  await turns();
  assert.equal(fired, false);
  assert.equal(cleared.mock.callCount(), 1);
});

test('a timer that is due can still be cancelled by what comes in meanwhile', async () => {
  let fired = false;
  const timer = systemClock.setTimer(0, () => {
    fired = true;
  });
  const isDue = new Promise<void>((resolve) => void setTimeout(resolve, 1));
  // A stall, after which both are due in the same turn of the event loop.
  for (const sinceMs = performance.now(); performance.now() < sinceMs + 5; );
  await isDue;
  timer.cancel();
  await new Promise<void>((resolve) => void systemClock.setTimer(0, resolve));
  assert.equal(fired, false);
});

test('a timer that is due waits for as many connections as may have been in the queue', async () => {
  let fired = false;
  const timer = systemClock.setTimer(0, () => {
    fired = true;
  });
  // One connection is accepted in each turn of the event loop, as libuv does it.
  for (let turn = 0; turn < 4096; turn++) {
    systemClock.arrived?.(4096);
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(fired, false, `after ${turn} turns`);
  }
  timer.cancel();
});

test('connections that never end to arrive do not put a timer off for ever', async () => {
  let fired = false;
  systemClock.setTimer(0, () => {
    fired = true;
  });
  while (!fired) {
    systemClock.arrived?.(4096);
    await new Promise((resolve) => setImmediate(resolve));
  }
});
