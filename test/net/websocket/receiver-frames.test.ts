/** The framing rules (RFC 6455, 5): lawful frames give messages, any other ends the reading. */
import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { test } from 'node:test';
import { Receiver } from '../../../src/net/websocket/receiver.ts';
import { CHUNK_SIZES, piecesOf } from '../../support/cut-anywhere.ts';
import {
  bytesUntilFailure,
  eventsOf,
  eventsOfAnyCut,
  recordingSink,
  WIDE,
} from '../../support/receiver-events.ts';
import {
  BINARY,
  FIN,
  fragmented,
  frame,
  hex,
  PING,
  PONG,
  TEXT,
  text,
} from '../../support/websocket-frames.ts';

const MIB = 1024 * 1024;
const PROTOCOL_ERROR = ['fail', 1002];

test('the masked text frame of RFC 6455, 5.7, is read', () => {
  assert.deepEqual(eventsOfAnyCut(hex('81 85 37fa213d 7f9f4d5158')), [['text', 'Hello']]);
});

test('a mask of zeros is a mask', () => {
  assert.deepEqual(eventsOfAnyCut(hex('81 82 00000000 4869')), [['text', 'Hi']]);
});

for (const length of [0, 1, 2, 3, 4, 5, 124, 125, 126, 127, 128, 65535, 65536]) {
  test(`text and binary of ${length} bytes are read`, () => {
    const ascii = 'abcdefg'.repeat(length / 7 + 1).slice(0, length);
    assert.deepEqual(eventsOfAnyCut(text(ascii)), [['text', ascii]]);
    const bytes = Buffer.alloc(length, Buffer.from([0, 1, 2, 0xff, 0x80]));
    assert.deepEqual(eventsOfAnyCut(frame(FIN | BINARY, bytes)), [
      ['binary', bytes.toString('hex')],
    ]);
  });
}

test('messages follow one another in one chunk', () => {
  const bytes = Buffer.concat([text('one'), frame(FIN | BINARY, 'two'), text(''), text('κόσμε')]);
  assert.deepEqual(eventsOfAnyCut(bytes), [
    ['text', 'one'],
    ['binary', '74776f'],
    ['text', ''],
    ['text', 'κόσμε'],
  ]);
});

test('a binary message stays what it was while others come after it', () => {
  const bytes = Buffer.concat([frame(FIN | BINARY, 'first'), fragmented(BINARY, 'sec', 'ond')]);
  for (const size of CHUNK_SIZES) {
    const kept: Buffer[] = [];
    const sink = { ...recordingSink([]), binary: (message: Buffer) => void kept.push(message) };
    const receiver = new Receiver(WIDE, sink);
    for (const piece of piecesOf(Buffer.concat([bytes, bytes]), size)) receiver.push(piece);
    assert.deepEqual(kept.map(String), ['first', 'second', 'first', 'second']);
  }
});

for (const opcode of [PING, PONG]) {
  const name = opcode === PING ? 'ping' : 'pong';
  for (const length of [0, 1, 125]) {
    test(`a ${name} of ${length} bytes is read`, () => {
      const payload = '\xfe'.repeat(length);
      const bytes = frame(FIN | opcode, Buffer.from(payload, 'latin1'));
      assert.deepEqual(eventsOfAnyCut(bytes), [[name, payload]]);
    });
  }
  test(`a ${name} of 126 bytes is refused at its second byte`, () => {
    const bytes = frame(FIN | opcode, Buffer.alloc(126));
    assert.deepEqual(eventsOfAnyCut(bytes), [PROTOCOL_ERROR]);
    assert.equal(bytesUntilFailure(bytes), 2);
  });
  test(`a fragmented ${name} is refused`, () => {
    assert.deepEqual(eventsOfAnyCut(frame(opcode, 'x')), [PROTOCOL_ERROR]);
  });
}

test('ten pings in a row are ten pings', () => {
  const bytes = Buffer.concat(Array.from({ length: 10 }, (_, i) => frame(FIN | PING, `${i}`)));
  assert.deepEqual(
    eventsOfAnyCut(bytes),
    Array.from({ length: 10 }, (_, i) => ['ping', `${i}`]),
  );
});

for (const rsv of [1, 2, 3, 4, 5, 6, 7]) {
  test(`reserved bits ${rsv} are refused in every kind of frame`, () => {
    for (const opcode of [TEXT, BINARY, PING, PONG, 8]) {
      const bytes = Buffer.concat([
        text('before'),
        frame(FIN | (rsv << 4) | opcode, 'x'),
        text('after'),
      ]);
      assert.deepEqual(eventsOfAnyCut(bytes), [['text', 'before'], PROTOCOL_ERROR]);
    }
  });
}

for (const opcode of [3, 4, 5, 6, 7, 11, 12, 13, 14, 15]) {
  test(`the reserved opcode ${opcode} is refused`, () => {
    for (const payload of ['', 'x']) {
      const bytes = Buffer.concat([text('before'), frame(FIN | opcode, payload), text('after')]);
      assert.deepEqual(eventsOfAnyCut(bytes), [['text', 'before'], PROTOCOL_ERROR]);
    }
  });
}

test('an unmasked frame is refused', () => {
  assert.deepEqual(eventsOfAnyCut(hex('81 05 48656c6c6f')), [PROTOCOL_ERROR]);
  assert.deepEqual(eventsOfAnyCut(hex('89 00')), [PROTOCOL_ERROR]);
});

for (const [what, header] of [
  ['125 in 16 bits', '82 fe 007d'],
  ['0 in 16 bits', '81 fe 0000'],
  ['125 in 64 bits', '82 ff 000000000000007d'],
  ['65535 in 64 bits', '82 ff 000000000000ffff'],
] as const) {
  test(`a length that is not in its shortest form is refused: ${what}`, () => {
    assert.deepEqual(eventsOfAnyCut(hex(header)), [PROTOCOL_ERROR]);
  });
}

test('a 64-bit length with its top bit set is refused', () => {
  assert.deepEqual(eventsOfAnyCut(hex('82 ff 8000000000010000')), [PROTOCOL_ERROR]);
  assert.deepEqual(eventsOfAnyCut(hex('82 ff ffffffffffffffff')), [PROTOCOL_ERROR]);
});

for (const opcode of [TEXT, BINARY]) {
  const name = opcode === TEXT ? 'text' : 'binary';
  const value = (payload: string) =>
    opcode === TEXT ? payload : Buffer.from(payload).toString('hex');

  test(`fragments of ${name} are one message`, () => {
    for (const parts of [
      ['a', 'b'],
      ['', ''],
      ['', 'a', ''],
      ['', '', 'long'.repeat(300)],
      ['x'.repeat(126), 'y'],
    ]) {
      assert.deepEqual(eventsOfAnyCut(fragmented(opcode, ...parts)), [
        [name, value(parts.join(''))],
      ]);
    }
  });

  test(`control frames may come between the fragments of ${name}`, () => {
    const bytes = Buffer.concat([
      frame(opcode, 'one'),
      frame(FIN | PING, 'p'),
      frame(0, 'two'),
      frame(FIN | PONG, 'q'),
      frame(FIN | PING, ''),
      frame(FIN, 'three'),
    ]);
    assert.deepEqual(eventsOfAnyCut(bytes), [
      ['ping', 'p'],
      ['pong', 'q'],
      ['ping', ''],
      [name, value('onetwothree')],
    ]);
  });

  test(`a message may not begin inside fragmented ${name}`, () => {
    for (const inner of [TEXT, BINARY]) {
      for (const fin of [0, FIN]) {
        const bytes = Buffer.concat([frame(opcode, 'a'), frame(fin | inner, 'b'), frame(FIN, 'c')]);
        assert.deepEqual(eventsOfAnyCut(bytes), [PROTOCOL_ERROR]);
      }
    }
  });

  test(`nothing may be continued after ${name} is complete`, () => {
    for (const fin of [0, FIN]) {
      const whole = Buffer.concat([frame(FIN | opcode, 'a'), frame(fin, 'b')]);
      assert.deepEqual(eventsOfAnyCut(whole), [[name, value('a')], PROTOCOL_ERROR]);
      const parts = Buffer.concat([fragmented(opcode, 'a', 'b'), frame(fin, 'c')]);
      assert.deepEqual(eventsOfAnyCut(parts), [[name, value('ab')], PROTOCOL_ERROR]);
    }
  });
}

test('a continuation cannot come first', () => {
  for (const fin of [0, FIN]) assert.deepEqual(eventsOfAnyCut(frame(fin, 'x')), [PROTOCOL_ERROR]);
});

test('nothing is read after a failure', () => {
  const bytes = Buffer.concat([frame(FIN | 3), text('x'), frame(FIN | PING), frame(FIN | 8)]);
  assert.deepEqual(eventsOfAnyCut(bytes), [PROTOCOL_ERROR]);
});

test('big messages are read, whole and in small fragments', () => {
  const payload = Buffer.alloc(4 * MIB, 'κόσμε 0123456789 ');
  const expected = payload.toString('utf8');
  // The filler may end inside a character; the last whole one is what text is cut to.
  const cut = Buffer.from(expected.replaceAll('\ufffd', ''));
  const string = cut.toString('utf8');
  assert.deepEqual(eventsOf(piecesOf(text(cut), 65536)), [['text', string]]);
  for (const size of [64, 1024, 65536]) {
    const parts = piecesOf(cut, size);
    assert.deepEqual(eventsOf(piecesOf(fragmented(TEXT, ...parts), 65536)), [['text', string]]);
    assert.deepEqual(eventsOf(piecesOf(fragmented(BINARY, ...parts), 65536)), [
      ['binary', cut.toString('hex')],
    ]);
  }
});
