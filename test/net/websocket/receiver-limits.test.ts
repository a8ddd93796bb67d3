/** Each limit at n and at n + 1, and nothing held for what was only declared. */
import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { test } from 'node:test';
import { bytesUntilFailure, eventsOfAnyCut } from '../../support/receiver-events.ts';
import {
  BINARY,
  FIN,
  fragmented,
  frame,
  hex,
  PING,
  TEXT,
  text,
} from '../../support/websocket-frames.ts';

const TOO_BIG = ['fail', 1009];
const TOO_MANY = ['fail', 1008];

for (const maxMessageBytes of [0, 1, 10, 125, 126, 65535]) {
  const limits = { maxMessageBytes, maxFragments: 10 };
  const most = 'a'.repeat(maxMessageBytes);

  test(`with a limit of ${maxMessageBytes} bytes, as many pass and one more does not`, () => {
    assert.deepEqual(eventsOfAnyCut(text(most), limits), [['text', most]]);
    assert.deepEqual(eventsOfAnyCut(text(`${most}a`), limits), [TOO_BIG]);
    assert.deepEqual(eventsOfAnyCut(frame(FIN | BINARY, `${most}a`), limits), [TOO_BIG]);
  });

  test(`with a limit of ${maxMessageBytes} bytes, the sum of the fragments is what counts`, () => {
    assert.deepEqual(eventsOfAnyCut(fragmented(TEXT, '', most, ''), limits), [['text', most]]);
    assert.deepEqual(eventsOfAnyCut(fragmented(TEXT, most, 'a'), limits), [TOO_BIG]);
    assert.deepEqual(eventsOfAnyCut(fragmented(TEXT, most, '', 'a', 'b'), limits), [TOO_BIG]);
  });
}

test('the size is counted anew for each message', () => {
  const limits = { maxMessageBytes: 4, maxFragments: 2 };
  const bytes = Buffer.concat([
    text('aaaa'),
    fragmented(TEXT, 'bb', 'bb'),
    fragmented(TEXT, 'c', 'ccc'),
  ]);
  assert.deepEqual(eventsOfAnyCut(bytes, limits), [
    ['text', 'aaaa'],
    ['text', 'bbbb'],
    ['text', 'cccc'],
  ]);
});

test('control frames do not count towards the size of the message around them', () => {
  const limits = { maxMessageBytes: 4, maxFragments: 2 };
  const ping = frame(FIN | PING, 'p'.repeat(100));
  const bytes = Buffer.concat([frame(TEXT, 'aa'), ping, ping, ping, frame(FIN, 'aa')]);
  assert.deepEqual(eventsOfAnyCut(bytes, limits).at(-1), ['text', 'aaaa']);
});

for (const [header, headerBytes] of [
  ['81 8b', 2],
  ['82 fe ffff', 4],
  ['82 ff 0000000000010000', 10],
  ['82 ff 0000000100000000', 10],
  ['82 ff 0000000100000001', 10],
  ['82 ff 7fffffffffffffff', 10],
  ['82 ff 0020000000000001', 10],
] as const) {
  test(`a declared length over the limit is refused before mask and payload: ${header}`, () => {
    const limits = { maxMessageBytes: 10, maxFragments: 1 };
    assert.deepEqual(eventsOfAnyCut(hex(header), limits), [TOO_BIG]);
    assert.equal(bytesUntilFailure(hex(header), limits), headerBytes);
  });
}

test('a declared length that is allowed makes the receiver hold nothing', () => {
  const before = process.memoryUsage().arrayBuffers;
  const limits = { maxMessageBytes: 2 ** 29 - 1, maxFragments: 1 };
  assert.deepEqual(eventsOfAnyCut(hex('82 ff 000000001fffffff 00000000 41'), limits), []);
  assert.ok(process.memoryUsage().arrayBuffers - before < 2 ** 20);
});

for (const maxFragments of [1, 2, 100]) {
  test(`with a limit of ${maxFragments} fragments, as many pass and one more does not`, () => {
    const limits = { maxMessageBytes: 1000, maxFragments };
    for (const part of ['', 'a']) {
      const most = Array.from({ length: maxFragments }, () => part);
      assert.deepEqual(eventsOfAnyCut(fragmented(TEXT, ...most), limits), [
        ['text', most.join('')],
      ]);
      assert.deepEqual(eventsOfAnyCut(fragmented(TEXT, ...most, part), limits), [TOO_MANY]);
    }
  });
}

test('a flood of empty fragments is cut off, pings between them or not', () => {
  const limits = { maxMessageBytes: 1000, maxFragments: 50 };
  const flood = [frame(TEXT)];
  for (let i = 0; i < 200; i++) flood.push(frame(0), frame(FIN | PING));
  const events = eventsOfAnyCut(Buffer.concat(flood), limits);
  assert.equal(events.filter(([name]) => name === 'ping').length, 49);
  assert.deepEqual(events.at(-1), TOO_MANY);
});

test('the fragments are counted anew for each message', () => {
  const limits = { maxMessageBytes: 1000, maxFragments: 2 };
  const message = fragmented(TEXT, 'a', 'b');
  assert.equal(
    eventsOfAnyCut(Buffer.concat([message, message, text('x'), message]), limits).length,
    4,
  );
});
