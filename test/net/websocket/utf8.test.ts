import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeUtf8, Utf8Judge } from '../../../src/net/websocket/utf8.ts';

/** The bytes that may come next: the ABNF of RFC 3629, section 4, with what is open after each. */
type Range = readonly [from: number, to: number, then: readonly Range[]];

const TAIL: Range = [0x80, 0xbf, []];
const TAIL_2: Range = [0x80, 0xbf, [TAIL]];
const TAIL_3: Range = [0x80, 0xbf, [TAIL_2]];
const GRAMMAR: readonly Range[] = [
  [0x00, 0x7f, []],
  [0xc2, 0xdf, [TAIL]],
  [0xe0, 0xe0, [[0xa0, 0xbf, [TAIL]]]],
  [0xe1, 0xec, [TAIL_2]],
  [0xed, 0xed, [[0x80, 0x9f, [TAIL]]]],
  [0xee, 0xef, [TAIL_2]],
  [0xf0, 0xf0, [[0x90, 0xbf, [TAIL_2]]]],
  [0xf1, 0xf3, [TAIL_3]],
  [0xf4, 0xf4, [[0x80, 0x8f, [TAIL_2]]]],
];

/** Edges of every range above: enough for bytes in the middle of a sequence. */
const EDGES = [
  0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed, 0xee, 0xef, 0xf0, 0xf1,
  0xf3, 0xf4,
];

/** A judge that has accepted `prefix` byte by byte. */
function judgeAfter(prefix: readonly number[]): Utf8Judge {
  const judge = new Utf8Judge();
  for (const byte of prefix) assert.ok(judge.accepts(Uint8Array.of(byte)));
  return judge;
}

/** Compares every byte after `prefix` with the grammar, and goes on from the edges. */
function compareFrom(prefix: readonly number[], open: readonly Range[]): number {
  let compared = 0;
  for (let byte = 0; byte < 256; byte++) {
    const range = open.find(([from, to]) => byte >= from && byte <= to);
    const sequence = [...prefix, byte];
    const judge = judgeAfter(prefix);
    assert.equal(judge.accepts(Uint8Array.of(byte)), range !== undefined, `${sequence}`);
    compared++;
    if (range === undefined) {
      assert.equal(decodeUtf8(Uint8Array.from(sequence)), undefined);
      continue;
    }
    const complete = range[2].length === 0;
    assert.equal(judge.acceptsEnd(), complete, `the end after ${sequence}`);
    assert.equal(decodeUtf8(Uint8Array.from(sequence)) !== undefined, complete);
    if (!complete && EDGES.includes(byte)) compared += compareFrom(sequence, range[2]);
  }
  return compared;
}

test('text fails at the first octet that no valid text has there, octet by octet', () => {
  assert.ok(compareFrom([], GRAMMAR) > 256 * 40);
});

test('a byte order mark is text like any other', () => {
  assert.equal(decodeUtf8(Uint8Array.of(0xef, 0xbb, 0xbf, 0x41)), '\ufeffA');
});

test('one text that is not UTF-8 does not spoil the next', () => {
  assert.equal(decodeUtf8(Uint8Array.of(0xce)), undefined);
  assert.equal(decodeUtf8(Uint8Array.of(0xba)), undefined);
  assert.equal(decodeUtf8(Uint8Array.of(0xce, 0xba)), 'κ');
});
