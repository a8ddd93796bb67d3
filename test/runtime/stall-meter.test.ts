/** Stalls of the event loop, as a tick that comes late shows them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  IDLE_TICKS,
  QUIET_MS,
  StallMeter,
  type StallReport,
  TICK_MS,
} from '../../src/runtime/stall-meter.ts';

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
  assert.deepEqual([reports, meter.count], [[], 0]);
  stall(500);
  assert.deepEqual(reports, [{ stallMs: 500, suppressed: 0 }]);
  stall(0);
  assert.equal(meter.count, 1);
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
  assert.equal(meter.count, 4);
});

test('the lag is over the ticks of the last minute', () => {
  const { meter, stall } = setUp(500);
  assert.equal(meter.lag(), undefined);
  stall(-3);
  assert.equal(meter.lag()?.max, 0, 'a tick that comes early is not late');
  for (const ms of [9, 7, 1, 3]) stall(ms);
  const { stddev, ...lag } = meter.lag() ?? assert.fail();
  assert.deepEqual(lag, { latest: 3, min: 0, max: 9, mean: 4, p50: 3, p90: 9, p99: 9 });
  assert.equal(stddev, Math.sqrt((16 + 25 + 9 + 9 + 1) / 5));
  for (let ms = 0; ms < 60_000; ms += TICK_MS) stall(2);
  assert.deepEqual([meter.lag()?.max, meter.lag()?.min], [2, 2], 'what is older is forgotten');
});

test('it does not wake a process in which nothing happens', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const meter = new StallMeter(500, performance.now(), () => {});
  const ticks = t.mock.method(meter, 'tick');
  const pass = (count: number): number => {
    const before = ticks.mock.callCount();
    for (let i = 0; i < count; i++) t.mock.timers.tick(TICK_MS);
    return ticks.mock.callCount() - before;
  };
  meter.active();
  assert.equal(pass(10), 0, 'not started');
  meter.start();
  assert.equal(pass(1000), IDLE_TICKS + 1);
  meter.active();
  assert.equal(pass(IDLE_TICKS), IDLE_TICKS);
  meter.active();
  assert.equal(pass(1000), IDLE_TICKS + 1, 'each activity counts');
  meter.stop();
  meter.active();
  assert.equal(pass(10), 0, 'stopped for good');
});
