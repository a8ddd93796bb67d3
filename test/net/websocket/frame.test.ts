import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { test } from 'node:test';
import {
  encodeClose,
  encodeFrame,
  encodeText,
  isValidCloseCode,
  Opcode,
} from '../../../src/net/websocket/frame.ts';

/** A byte string in hexadecimal; fails on a character that is no byte. */
function hexOf(bytes: string): string {
  for (const character of bytes) assert.ok(character.charCodeAt(0) < 256);
  return Buffer.from(bytes, 'latin1').toString('hex');
}

test('a text frame is the one of RFC 6455, 5.7', () => {
  assert.equal(hexOf(encodeText('Hello')), '810548656c6c6f');
});

test('text is sent as UTF-8', () => {
  assert.equal(hexOf(encodeText('κ😀')), '8106cebaf09f9880');
  assert.equal(hexOf(encodeText('\ud800')), '8103efbfbd');
});

test('an unmasked ping is the one of RFC 6455, 5.7', () => {
  assert.equal(hexOf(encodeFrame(Opcode.ping, 'Hello')), '890548656c6c6f');
});

for (const [length, header] of [
  [0, '8200'],
  [125, '827d'],
  [126, '827e007e'],
  [127, '827e007f'],
  [256, '827e0100'],
  [65535, '827effff'],
  [65536, '827f0000000000010000'],
  [16_909_060, '827f0000000001020304'],
] as const) {
  test(`a payload of ${length} bytes has its length in the shortest form`, () => {
    const bytes = encodeFrame(Opcode.binary, '\xff'.repeat(length));
    const headerBytes = header.length / 2;
    assert.equal(hexOf(bytes.slice(0, headerBytes)), header);
    assert.equal(bytes.length, headerBytes + length);
  });
}

test('a close frame has a code and a reason, or nothing', () => {
  assert.equal(hexOf(encodeClose(1000, 'bye')), '880503e8627965');
  assert.equal(hexOf(encodeClose(3000, '')), '88020bb8');
  assert.equal(hexOf(encodeClose(undefined, 'ignored')), '8800');
});

test('a close reason is cut to 123 bytes between two characters', () => {
  const reasonOf = (frame: string) => Buffer.from(frame.slice(4), 'latin1').toString('utf8');
  assert.equal(reasonOf(encodeClose(1000, 'a'.repeat(123))), 'a'.repeat(123));
  assert.equal(reasonOf(encodeClose(1000, 'a'.repeat(124))), 'a'.repeat(123));
  for (const character of ['é', '€', '😀']) {
    for (let filler = 119; filler <= 124; filler++) {
      const frame = encodeClose(1000, 'a'.repeat(filler) + character.repeat(3));
      const room = Math.floor((123 - Math.min(filler, 123)) / Buffer.byteLength(character));
      const expected = 'a'.repeat(Math.min(filler, 123)) + character.repeat(Math.min(room, 3));
      assert.equal(reasonOf(frame), expected);
      assert.equal(frame.charCodeAt(1), frame.length - 2);
    }
  }
});

test('valid close codes are 1000-1003, 1007-1014 and 3000-4999', () => {
  const valid: number[] = [];
  for (let code = 0; code < 65536; code++) if (isValidCloseCode(code)) valid.push(code);
  const expected = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014];
  for (let code = 3000; code <= 4999; code++) expected.push(code);
  assert.deepEqual(valid, expected);
});
