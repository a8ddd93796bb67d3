/** Text is UTF-8, judged as it comes (RFC 6455, 8.1). */
import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { test } from 'node:test';
import { bytesUntilFailure, eventsOfAnyCut } from '../../support/receiver-events.ts';
import { FIN, fragmented, frame, hex, PING, TEXT, text } from '../../support/websocket-frames.ts';

const NOT_TEXT = ['fail', 1007];
const HEADER_BYTES = 6;

const VALID = [
  ['one byte each', 'Hello-µ@ßöäüàá-UTF-8!!'],
  ['Greek', 'κόσμε'],
  ['the last of one byte', '\x7f'],
  ['NUL', '\0'],
  ['the first of two bytes', '\u0080'],
  ['the last of two bytes', '\u07ff'],
  ['the first of three bytes', '\u0800'],
  ['below the surrogates', '\ud7ff'],
  ['above the surrogates', '\ue000'],
  ['the replacement character', '\ufffd'],
  ['noncharacters', '\ufdd0\ufffe\uffff\u{1fffe}\u{10fffe}'],
  ['a byte order mark', '\ufeffx\ufeff'],
  ['the first of four bytes', '\u{10000}'],
  ['the last of four bytes', '\u{10ffff}'],
] as const;

for (const [what, string] of VALID) {
  test(`valid text is read, whole or cut inside characters: ${what}`, () => {
    const bytes = Buffer.from(string);
    assert.deepEqual(eventsOfAnyCut(text(bytes)), [['text', string]]);
    for (let at = 0; at <= bytes.length; at++) {
      const parts = fragmented(TEXT, bytes.subarray(0, at), '', bytes.subarray(at));
      assert.deepEqual(eventsOfAnyCut(parts), [['text', string]]);
    }
  });
}

/** Invalid sequences, and at which of their octets that shows; none for one that only ends early. */
const INVALID: readonly (readonly [what: string, octets: string, shownAt: number | undefined])[] = [
  ['a lone continuation', '80', 1],
  ['another', 'bf', 1],
  ['two continuations', '80bf', 1],
  ['overlong slash in two', 'c0af', 1],
  ['overlong slash in three', 'e080af', 2],
  ['overlong slash in four', 'f08080af', 2],
  ['overlong in two, the highest', 'c1bf', 1],
  ['overlong in three, the highest', 'e09fbf', 2],
  ['overlong in four, the highest', 'f08fbfbf', 2],
  ['overlong NUL in two', 'c080', 1],
  ['overlong NUL in three', 'e08080', 2],
  ['overlong NUL in four', 'f0808080', 2],
  ['the first surrogate', 'eda080', 2],
  ['the last surrogate', 'edbfbf', 2],
  ['a surrogate pair', 'eda080edb080', 2],
  ['above U+10FFFF', 'f4908080', 2],
  ['far above', 'f5808080', 1],
  ['five bytes', 'f888808080', 1],
  ['six bytes', 'fc8480808080', 1],
  ['FE', 'fe', 1],
  ['FF', 'ff', 1],
  ['two bytes, no tail', 'c220', 2],
  ['three bytes, no tail', 'e220', 2],
  ['three bytes, half a tail', 'e28220', 3],
  ['four bytes, no tail', 'f020', 2],
  ['four bytes, a third of a tail', 'f09f20', 3],
  ['four bytes, most of a tail', 'f09f9820', 4],
  ['a lead after a lead', 'e2c3a9', 2],
  ['ends after the first of two', 'c2', undefined],
  ['ends after the first of three', 'e2', undefined],
  ['ends after the second of three', 'e282', undefined],
  ['ends after the third of four', 'f09f98', undefined],
];

for (const [what, octets, shownAt] of INVALID) {
  test(`invalid text fails at the octet that shows it: ${what}`, () => {
    const before = Buffer.from('κόσμε-');
    const after = Buffer.from('-edited');
    const bad = hex(octets);
    // At the end of the text every one of them shows.
    assert.deepEqual(eventsOfAnyCut(text(Buffer.concat([before, bad]))), [NOT_TEXT]);
    assert.deepEqual(eventsOfAnyCut(fragmented(TEXT, before, bad)), [NOT_TEXT]);
    assert.deepEqual(eventsOfAnyCut(fragmented(TEXT, before, bad, '')), [NOT_TEXT]);

    const whole = Buffer.concat([before, bad, after]);
    const failsAt = before.length + (shownAt ?? bad.length + 1);
    assert.equal(bytesUntilFailure(text(whole)), HEADER_BYTES + failsAt);
    const oneEach = piecewise(whole);
    assert.equal(bytesUntilFailure(oneEach), failsAt * (HEADER_BYTES + 1));
    assert.deepEqual(eventsOfAnyCut(oneEach), [NOT_TEXT]);
  });
}

/** A text message in fragments of one byte. */
function piecewise(bytes: Buffer): Buffer {
  return fragmented(TEXT, ...Array.from(bytes, (byte) => Buffer.from([byte])));
}

test('bad text fails while its message is still under way', () => {
  const bytes = Buffer.concat([frame(TEXT, 'fine'), frame(0, hex('f4 90')), frame(FIN | PING)]);
  assert.deepEqual(eventsOfAnyCut(bytes), [NOT_TEXT]);
});

test('a control frame in the middle of a character changes nothing', () => {
  const bytes = Buffer.concat([
    frame(TEXT, hex('f09f')),
    frame(FIN | PING),
    frame(FIN, hex('9880')),
  ]);
  assert.deepEqual(eventsOfAnyCut(bytes), [
    ['ping', ''],
    ['text', '😀'],
  ]);
});

test('a character cannot go on in the next message', () => {
  const bytes = Buffer.concat([text(hex('f09f')), text(hex('9880'))]);
  assert.deepEqual(eventsOfAnyCut(bytes), [NOT_TEXT]);
});

test('binary is not judged', () => {
  assert.deepEqual(eventsOfAnyCut(frame(FIN | 2, hex('c0ff'))), [['binary', 'c0ff']]);
});
