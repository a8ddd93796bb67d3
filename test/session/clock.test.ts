/** The machine's clock. How long it waits is not tested: only that it fires, and what may not. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '../../src/session/clock.ts';

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

test('a delay that is longer than setTimeout can take is waited for in steps', async (t) => {
  const delays: number[] = [];
  t.mock.method(globalThis, 'setTimeout', (callback: () => void, delayMs: number) => {
    delays.push(delayMs);
    callback();
  });
  const sixtyDays = 60 * 24 * 60 * 60 * 1000;
  await new Promise<void>((resolve) => void systemClock.setTimer(sixtyDays, resolve));
  assert.ok(Math.max(...delays) < 2 ** 31);
  assert.equal(
    delays.reduce((sum, delayMs) => sum + delayMs, 0),
    sixtyDays,
  );
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
  for (let turn = 0; turn < 511; turn++) {
    systemClock.arrived?.();
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
    systemClock.arrived?.();
    await new Promise((resolve) => setImmediate(resolve));
  }
});
