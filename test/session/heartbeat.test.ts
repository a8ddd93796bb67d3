/** The promise to be heard from: kept, broken once, or not asked for any more. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Heartbeat } from '../../src/session/heartbeat.ts';
import { FakeClock } from '../support/fake-clock.ts';

function setUp(promiseMs: number) {
  const clock = new FakeClock();
  const silences: number[] = [];
  const input = { heldAgoMs: Number.POSITIVE_INFINITY };
  const heldAgoMs = (): number => input.heldAgoMs;
  const heartbeat = new Heartbeat(clock, promiseMs, heldAgoMs, () => silences.push(clock.now()));
  return { clock, silences, input, heartbeat };
}

test('silence is noticed at the millisecond of the promise, once', () => {
  const { clock, silences } = setUp(100);
  clock.advance(99);
  assert.deepEqual(silences, []);
  clock.advance(10_000);
  assert.deepEqual(silences, [100]);
  assert.equal(clock.pendingTimers, 0);
});

test('being heard starts the promise anew', () => {
  const { clock, silences, heartbeat } = setUp(100);
  for (let i = 0; i < 50; i++) {
    clock.advance(99);
    heartbeat.heard();
  }
  assert.deepEqual(silences, []);
  clock.advance(100);
  assert.deepEqual(silences, [50 * 99 + 100]);
});

test('what is not read may have been said: silence counts from when it was last left unread', () => {
  const { clock, silences, input } = setUp(100);
  input.heldAgoMs = 0;
  clock.advance(250);
  assert.deepEqual(silences, []);
  input.heldAgoMs = 30;
  clock.advance(50);
  assert.deepEqual(silences, []);
  input.heldAgoMs = 100;
  clock.advance(70);
  assert.deepEqual(silences, [370]);
});

test('being heard, however often, arms no timer', () => {
  const { clock, heartbeat } = setUp(100);
  for (let i = 0; i < 1000; i++) heartbeat.heard();
  assert.equal(clock.pendingTimers, 1);
});

test('what has stopped is never silent', () => {
  const { clock, silences, heartbeat } = setUp(100);
  clock.advance(50);
  heartbeat.heard();
  clock.advance(60);
  heartbeat.stop();
  heartbeat.stop();
  assert.equal(clock.pendingTimers, 0);
  clock.advance(1000);
  assert.deepEqual(silences, []);
});

test('a promise of one millisecond can be kept and broken', () => {
  const { clock, silences, heartbeat } = setUp(1);
  heartbeat.heard();
  clock.advance(1);
  assert.deepEqual(silences, [1]);
});
