import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nameSource } from '../../src/session/session-key.ts';

test('names are all different, of 24 random bytes each, from however many sources', () => {
  const sources = [nameSource(), nameSource()];
  const names = Array.from({ length: 300 }, (_, i) => sources[i % 2]?.() ?? '');
  assert.equal(new Set(names).size, names.length);
  for (const name of names) assert.match(name, /^[\w-]{32}$/);
  // No bytes are used twice: each quarter of a name is new, too.
  const quarters = names.flatMap((name) => name.match(/.{8}/g) ?? []);
  assert.equal(new Set(quarters).size, quarters.length);
});
