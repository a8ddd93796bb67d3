/** Ids as text, both ways: exactly what the engine's own conversions give. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RequestError } from '../../src/protocol/errors.ts';
import { decodeId } from '../../src/protocol/ids.ts';
import { idText } from '../../src/runtime/id-text.ts';
import { withSeeds } from '../support/random.ts';

const EDGES = [1, 9, 10, 99_999_999, 1e8, 1e8 + 1, 2 ** 31 - 1, 2 ** 31, 2 ** 32, 1e15, 1e16 / 2];

test('an id is written and read as a whole number is', () => {
  for (const id of [...EDGES, Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER - 1]) {
    assert.equal(idText(id), String(id));
    assert.equal(decodeId(String(id), 'id'), id);
  }
  withSeeds(20, (random) => {
    for (let i = 0; i < 1000; i++) {
      const id = random.below(2 ** 21) * 2 ** random.below(32) + random.below(2 ** 31) + 1;
      assert.equal(idText(id), String(id));
      assert.equal(decodeId(idText(id), 'id'), id);
    }
  });
});

test('what is no id, or no id as it is written, is refused', () => {
  const wrong = [
    '',
    '0',
    '01',
    '+1',
    '-1',
    '1.0',
    '1e3',
    ' 1',
    '1 ',
    '0x1',
    'x',
    '9007199254740992',
  ];
  for (const value of [...wrong, '99999999999999999', '١', 1, null, ['1'], {}, true]) {
    const error = decodeId(value, 'after');
    assert.ok(error instanceof RequestError, JSON.stringify(value));
    assert.match(error.message, /^after must be a lock id/);
  }
  assert.equal(decodeId(undefined, 'id'), undefined);
});
