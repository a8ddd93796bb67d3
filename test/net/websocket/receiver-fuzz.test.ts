/** Random input to the receiver, from seeds that are printed with a failure. */
import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { test } from 'node:test';
import { randomPieces } from '../../support/cut-anywhere.ts';
import { type Random, withSeeds } from '../../support/random.ts';
import { eventsOf } from '../../support/receiver-events.ts';
import { close, FIN, frame } from '../../support/websocket-frames.ts';

const LIMITS = { maxMessageBytes: 600, maxFragments: 8 };
const ROUNDS = 1000;

function randomBytes(random: Random, length: number): Buffer {
  return Buffer.from(Array.from({ length }, () => random.below(256)));
}

/** Text that has characters of every length, now and then broken. */
function randomText(random: Random): Buffer {
  const characters = ['a', '\0', 'é', '€', '😀', '\ufeff', '\u{10ffff}'];
  const bytes = Buffer.from(
    Array.from({ length: random.below(60) }, () => random.pick(characters)).join(''),
  );
  return random.below(8) === 0 ? bytes.subarray(random.below(3)) : bytes;
}

/** The fragments of a message, with control frames in between; a lawful one, mostly. */
function randomMessage(random: Random): Buffer {
  const isText = random.below(2) === 0;
  const frames: Buffer[] = [];
  const last = random.below(3) === 0 ? random.below(12) : random.below(3);
  for (let i = 0; i <= last; i++) {
    if (random.below(4) === 0)
      frames.push(frame(FIN | (9 + random.below(2)), randomBytes(random, random.below(126))));
    const first = (i === last ? FIN : 0) | (i > 0 ? 0 : isText ? 1 : 2);
    frames.push(
      frame(
        first,
        isText
          ? randomText(random)
          : randomBytes(random, random.below(8) ? random.below(20) : random.below(700)),
      ),
    );
  }
  return Buffer.concat(frames);
}

/** Some messages, and perhaps a close frame. */
function randomFrames(random: Random): Buffer {
  const parts = Array.from({ length: 1 + random.below(5) }, () => randomMessage(random));
  if (random.below(2) === 0)
    parts.push(close(1000 + random.below(20), randomText(random).subarray(0, 100)));
  return Buffer.concat(parts);
}

/** `bytes` with a few of them changed, dropped or repeated. */
function mutated(random: Random, bytes: Buffer): Buffer {
  let result = Buffer.from(bytes);
  for (let count = random.below(4); count > 0; count--) {
    const at = random.below(result.length);
    if (random.below(2) === 0) result[at] = random.below(256);
    else
      result = Buffer.concat([result.subarray(0, at), result.subarray(at + random.below(3) - 1)]);
  }
  return result;
}

/** Cuts `bytes` in several ways; nothing throws, and the events are the same. Returns their names. */
function compareCuts(random: Random, bytes: Buffer): Set<string> {
  const whole = eventsOf([Buffer.from(bytes)], LIMITS);
  for (const maxSize of [1, 4, 30, 300]) {
    const events = eventsOf(randomPieces(bytes, maxSize, random), LIMITS);
    assert.deepEqual(events, whole, bytes.toString('hex'));
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
  withSeeds(ROUNDS, (random) => {
    const lawful = randomFrames(random);
    const bytes = random.oneIn(2) ? lawful : mutated(random, lawful);
    for (const name of compareCuts(random, bytes)) seen.add(name);
  });
  if (process.env.SEED === undefined) assert.deepEqual([...seen].sort(), ALL, 'all came up');
});

test('random bytes mean the same however they are cut', () => {
  withSeeds(ROUNDS, (random) => {
    compareCuts(random, randomBytes(random, random.below(200)));
  });
});
