/** The table of limits: what must hold of every row, and what is made from it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_LIMITS, helloLimits, LIMITS } from '../../src/runtime/limits.ts';

test('every default may be chosen, and no name occurs twice', () => {
  for (const { name, default: usual, min, max } of LIMITS) {
    assert.ok(Number.isSafeInteger(usual) && min <= usual && usual <= max, name);
  }
  assert.equal(new Set(LIMITS.map(({ name }) => name)).size, LIMITS.length);
  assert.equal(Object.keys(DEFAULT_LIMITS).length, LIMITS.length);
});

test('every limit is set by exactly one option, which has a help text', () => {
  for (const flag of new Set(LIMITS.map((limit) => limit.flag))) {
    const shown = LIMITS.filter((limit) => limit.flag === flag && 'help' in limit);
    assert.equal(shown.length, 1, flag);
  }
});

test('a client is told the limits that hold, not the defaults', () => {
  const limits = Object.fromEntries(
    LIMITS.map(({ name }, i) => [name, i]),
  ) as typeof DEFAULT_LIMITS;
  const told = LIMITS.filter(({ inHello }) => inHello).map(({ name }) => [name, limits[name]]);
  assert.deepEqual(Object.entries(helloLimits(limits)), told);
  assert.ok(told.length > 0);
});
