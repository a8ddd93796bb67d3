/** Lines out of bytes: the same lines wherever the bytes are cut, and nothing over the limit. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LineSplitter } from '../../../src/net/lines/line-splitter.ts';
import { CHUNK_SIZES, everyCut, piecesOf } from '../../support/cut-anywhere.ts';

/** What a splitter makes of the pieces, as a list of events. */
function split(pieces: readonly Buffer[], maxLineBytes = 100, stopAt?: string): string[] {
  const events: string[] = [];
  const splitter = new LineSplitter(maxLineBytes, {
    line({ text }) {
      events.push(`line ${text}`);
      if (text === stopAt) splitter.stop();
    },
    lineNotUtf8: () => events.push('not UTF-8'),
    lineTooLong: () => events.push('too long'),
  });
  for (const piece of pieces) splitter.push(piece);
  return events;
}

const CASES: readonly (readonly [what: string, bytes: string | Buffer, events: string[]])[] = [
  ['two lines', 'one\ntwo\n', ['line one', 'line two']],
  ['CRLF', 'one\r\ntwo\r\n', ['line one', 'line two']],
  ['blank lines', '\n\r\n  \n\t\r\none\n\n', ['line one']],
  ['a CR inside a line', 'o\rne\n', ['line o\rne']],
  ['a line without its end', 'one\ntwo', ['line one']],
  ['text beyond ASCII', 'grün 🐙\n', ['line grün 🐙']],
  [
    'bytes that are no text',
    Buffer.from('6f6b0ac3280a6f6b0a', 'hex'),
    ['line ok', 'not UTF-8', 'line ok'],
  ],
  ['a line cut inside a character', Buffer.from('c30aa40a', 'hex'), ['not UTF-8', 'not UTF-8']],
  ['a line of exactly the limit', `${'x'.repeat(100)}\n`, [`line ${'x'.repeat(100)}`]],
  ['a line over the limit', `ok\n${'x'.repeat(101)}\nok\n`, ['line ok', 'too long']],
  ['a line over the limit that never ends', 'x'.repeat(1000), ['too long']],
];

for (const [what, bytes, events] of CASES) {
  test(`${what}, in pieces of 1, 2, 3, 7 bytes and whole`, () => {
    const buffer = Buffer.from(bytes as string);
    for (const size of CHUNK_SIZES) {
      assert.deepEqual(split(piecesOf(buffer, size)), events, `in pieces of ${size}`);
    }
  });
}

test('any two pieces give the same lines', () => {
  const buffer = Buffer.from('one\r\nzwölf 🐙\n\nthree\n');
  for (const cut of everyCut(buffer)) {
    assert.deepEqual(split(cut), ['line one', 'line zwölf 🐙', 'line three'], String(cut));
  }
});

test('stopped by its sink, it says nothing more', () => {
  assert.deepEqual(split([Buffer.from('a\nb\nc\n'), Buffer.from('d\n')], 100, 'b'), [
    'line a',
    'line b',
  ]);
});

test('paused by its sink, it goes on where it was when the rest is pushed again', () => {
  const bytes = Buffer.from('one\ntwo\ngrün\n\nthree\nfo');
  for (const text of [bytes, Buffer.from('one\ntwo\ngruen\n\nthree\nfo')]) {
    for (const size of CHUNK_SIZES) {
      const lines: string[] = [];
      const splitter = new LineSplitter(100, {
        line({ text }) {
          lines.push(text);
          splitter.pause();
        },
        lineNotUtf8: () => assert.fail(),
        lineTooLong: () => assert.fail(),
      });
      for (let piece of [...piecesOf(text, size), Buffer.from('ur\n')]) {
        for (let seen = lines.length; piece.length > 0; seen = lines.length) {
          piece = piece.subarray(splitter.push(piece));
          assert.ok(lines.length <= seen + 1, 'one line at a time');
        }
      }
      const third = text === bytes ? 'grün' : 'gruen';
      assert.deepEqual(lines, ['one', 'two', third, 'three', 'four']);
    }
  }
});
