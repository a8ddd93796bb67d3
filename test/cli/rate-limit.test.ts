/** Floods of events make one line of the log in ten seconds, which says how many there were. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { INTERVAL_MS, rateLimit } from '../../src/cli/rate-limit.ts';

test('of some kinds several pass at once', () => {
  const told: string[] = [];
  let nowMs = 5;
  const happen = rateLimit(
    (suppressed, what: string) => told.push(`${what} ${suppressed}`),
    () => nowMs,
    2,
  );
  for (const what of ['a', 'b', 'c', 'd']) happen(what);
  nowMs += INTERVAL_MS;
  for (const what of ['e', 'f', 'g']) happen(what);
  assert.deepEqual(told, ['a 0', 'b 0', 'e 2', 'f 0']);
});

test('the first is told at once, the next after ten seconds, with how many there were between', () => {
  const told: string[] = [];
  let nowMs = 5;
  const happen = rateLimit(
    (suppressed, what: string) => told.push(`${what} ${suppressed}`),
    () => nowMs,
  );
  happen('a');
  happen('b');
  nowMs += INTERVAL_MS - 1;
  happen('c');
  assert.deepEqual(told, ['a 0']);
  nowMs += 1;
  happen('d');
  nowMs += INTERVAL_MS;
  happen('e');
  assert.deepEqual(told, ['a 0', 'd 2', 'e 0']);
});
