/** Stalls of the event loop, as a tick that comes late shows them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { QUIET_MS, StallMeter, type StallReport, TICK_MS } from '../../src/runtime/stall-meter.ts';

function setUp(thresholdMs: number) {
  let nowMs = 1000;
  const reports: StallReport[] = [];
  const meter = new StallMeter(thresholdMs, nowMs, (report) => reports.push(report));
  /** The next tick comes that much later than it should. */
  const stall = (ms: number): void => {
    nowMs += TICK_MS + ms;
    meter.tick(nowMs);
  };
  return { meter, reports, stall };
}

test('a stall is told from the threshold on', () => {
  const { meter, reports, stall } = setUp(500);
  stall(499);
  assert.deepEqual([reports, meter.count, meter.maxMs], [[], 0, 499]);
  stall(500);
  assert.deepEqual(reports, [{ stallMs: 500, suppressed: 0 }]);
  stall(0);
  assert.deepEqual([meter.count, meter.maxMs], [1, 500]);
});

test('many stalls are told in few lines, and none is forgotten', () => {
  const { meter, reports, stall } = setUp(100);
  stall(100);
  stall(300);
  stall(200);
  assert.deepEqual(reports, [{ stallMs: 100, suppressed: 0 }]);
  for (let ms = 0; ms < QUIET_MS; ms += TICK_MS) stall(0);
  stall(150);
  assert.deepEqual(reports.slice(1), [{ stallMs: 150, suppressed: 2 }]);
  assert.deepEqual([meter.count, meter.maxMs], [4, 300]);
});
