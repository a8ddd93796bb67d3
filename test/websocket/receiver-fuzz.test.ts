/** Random input, from a seed that is printed with a failure: LOCKTOPUS_SEED=n runs it again. */
import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { test } from 'node:test';
import { randomPieces } from '../support/cut-anywhere.ts';
import { eventsOf } from '../support/receiver-events.ts';
import { close, FIN, frame } from '../support/websocket-frames.ts';

const { LOCKTOPUS_SEED = '1' } = process.env;
const SEED = Number(LOCKTOPUS_SEED);
const LIMITS = { maxMessageBytes: 600, maxFragments: 8 };
const ROUNDS = 1000;

/** Mulberry32: small, and the same everywhere. From 0 up to 1. */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const random = randomFrom(SEED);
const below = (bound: number) => Math.floor(random() * bound);

function randomBytes(length: number): Buffer {
  return Buffer.from(Array.from({ length }, () => below(256)));
}

/** Text that has characters of every length, now and then broken. */
function randomText(): Buffer {
  const characters = ['a', '\0', 'é', '€', '😀', '\ufeff', '\u{10ffff}'];
  const bytes = Buffer.from(
    Array.from({ length: below(60) }, () => characters[below(characters.length)]).join(''),
  );
  return below(8) === 0 ? bytes.subarray(below(3)) : bytes;
}

/** The fragments of a message, with control frames in between; a lawful one, mostly. */
function randomMessage(): Buffer {
  const isText = below(2) === 0;
  const frames: Buffer[] = [];
  const last = below(3) === 0 ? below(12) : below(3);
  for (let i = 0; i <= last; i++) {
    if (below(4) === 0) frames.push(frame(FIN | (9 + below(2)), randomBytes(below(126))));
    const first = (i === last ? FIN : 0) | (i > 0 ? 0 : isText ? 1 : 2);
    frames.push(
      frame(first, isText ? randomText() : randomBytes(below(8) ? below(20) : below(700))),
    );
  }
  return Buffer.concat(frames);
}

/** Some messages, and perhaps a close frame. */
function randomFrames(): Buffer {
  const parts = Array.from({ length: 1 + below(5) }, randomMessage);
  if (below(2) === 0) parts.push(close(1000 + below(20), randomText().subarray(0, 100)));
  return Buffer.concat(parts);
}

/** `bytes` with a few of them changed, dropped or repeated. */
function mutated(bytes: Buffer): Buffer {
  let result = Buffer.from(bytes);
  for (let count = below(4); count > 0; count--) {
    const at = below(result.length);
    if (below(2) === 0) result[at] = below(256);
    else result = Buffer.concat([result.subarray(0, at), result.subarray(at + below(3) - 1)]);
  }
  return result;
}

/** Cuts `bytes` in several ways; nothing throws, and the events are the same. Returns their names. */
function compareCuts(bytes: Buffer, round: number): Set<string> {
  const whole = eventsOf([Buffer.from(bytes)], LIMITS);
  for (const maxSize of [1, 4, 30, 300]) {
    const events = eventsOf(randomPieces(bytes, maxSize, random), LIMITS);
    assert.deepEqual(events, whole, `seed ${SEED}, round ${round}: ${bytes.toString('hex')}`);
  }
  const names = whole.map(([name]) => name);
  for (const [at, name] of names.entries()) {
    if (name === 'close' || name === 'fail') assert.equal(at, names.length - 1);
  }
  return new Set(whole.map(([name, value]) => (name === 'fail' ? `fail ${value}` : name)));
}

const ALL = [
  'binary',
  'close',
  'fail 1002',
  'fail 1007',
  'fail 1008',
  'fail 1009',
  'ping',
  'pong',
  'text',
];

test('frames, lawful or changed, mean the same however they are cut', () => {
  const seen = new Set<string>();
  for (let round = 0; round < ROUNDS; round++) {
    const bytes = round % 2 === 0 ? randomFrames() : mutated(randomFrames());
    for (const name of compareCuts(bytes, round)) seen.add(name);
  }
  assert.deepEqual([...seen].sort(), ALL, 'every kind of event came up');
});

test('random bytes mean the same however they are cut', () => {
  for (let round = 0; round < ROUNDS; round++) compareCuts(randomBytes(below(200)), round);
});
