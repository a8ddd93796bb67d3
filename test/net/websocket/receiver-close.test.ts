/** Close frames (RFC 6455, 5.5.1 and 7.4). */
import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { test } from 'node:test';
import { isValidCloseCode } from '../../../src/net/websocket/frame.ts';
import { eventsOf, eventsOfAnyCut } from '../../support/receiver-events.ts';
import { CLOSE, close, FIN, frame, hex, PING, TEXT, text } from '../../support/websocket-frames.ts';

test('a close frame may be empty', () => {
  assert.deepEqual(eventsOfAnyCut(frame(FIN | CLOSE)), [['close', undefined, '']]);
});

test('a close frame of one byte is refused', () => {
  assert.deepEqual(eventsOfAnyCut(frame(FIN | CLOSE, 'x')), [['fail', 1002]]);
});

test('a close frame may have a code, and a reason', () => {
  assert.deepEqual(eventsOfAnyCut(close(1000)), [['close', 1000, '']]);
  assert.deepEqual(eventsOfAnyCut(close(4321, 'κόσμε')), [['close', 4321, 'κόσμε']]);
});

test('every valid code is taken and every other refused', () => {
  for (let code = 0; code <= 5100; code++) {
    const expected = isValidCloseCode(code) ? ['close', code, ''] : ['fail', 1002];
    assert.deepEqual(eventsOf([close(code)]), [expected]);
  }
});

for (const code of [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535]) {
  test(`the code ${code} is refused, with a reason or without`, () => {
    assert.deepEqual(eventsOfAnyCut(close(code)), [['fail', 1002]]);
    assert.deepEqual(eventsOfAnyCut(close(code, 'why')), [['fail', 1002]]);
  });
}

test('a reason has at most 123 bytes', () => {
  assert.deepEqual(eventsOfAnyCut(close(1000, 'a'.repeat(123))), [
    ['close', 1000, 'a'.repeat(123)],
  ]);
  assert.deepEqual(eventsOfAnyCut(close(1000, 'a'.repeat(124))), [['fail', 1002]]);
});

test('a reason must be UTF-8', () => {
  for (const octets of [
    '80',
    'c0af',
    'eda080',
    'f4908080',
    'ceba e1bdb9 cf83 cebc ceb5 eda080',
    'ce',
  ]) {
    assert.deepEqual(eventsOfAnyCut(close(1000, hex(octets))), [['fail', 1007]]);
  }
});

test('a close frame may come inside a fragmented message', () => {
  assert.deepEqual(eventsOfAnyCut(Buffer.concat([frame(TEXT, 'a'), close(1001)])), [
    ['close', 1001, ''],
  ]);
});

test('a close frame cannot be fragmented', () => {
  assert.deepEqual(eventsOfAnyCut(frame(CLOSE, hex('03e8'))), [['fail', 1002]]);
});

test('nothing is read after a close frame', () => {
  for (const after of [
    text('late'),
    frame(FIN | PING),
    close(1002),
    frame(FIN | 3),
    hex('ff ff'),
  ]) {
    assert.deepEqual(eventsOfAnyCut(Buffer.concat([close(1000), after])), [['close', 1000, '']]);
  }
});
