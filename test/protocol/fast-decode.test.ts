/**
 * The usual requests, read without a parser: what is read is what the decoder reads, and what is
 * not exactly as usual is left to it.
 */

import assert from 'node:assert/strict';
import { Buffer, isAscii } from 'node:buffer';
import { test } from 'node:test';
import type { Channel, Conversation } from '../../src/protocol/channel.ts';
import { decodeRequest } from '../../src/protocol/decode.ts';
import { fastDecode } from '../../src/protocol/fast-decode.ts';
import { decodeResources } from '../../src/protocol/resources.ts';
import { V1Protocol } from '../../src/protocol/v1-protocol.ts';
import { DEFAULT_LIMITS, type Limits } from '../../src/runtime/limits.ts';
import { Message } from '../../src/runtime/message.ts';
import { sessionMessage, type Vocabulary, v1Message } from '../fuzz/messages.ts';
import { converse } from '../support/conversation.ts';
import { messageOf } from '../support/message.ts';
import { type Random, withSeeds } from '../support/random.ts';
import { setUp } from '../support/session-host.ts';

const LIMITS: Limits = {
  ...DEFAULT_LIMITS,
  maxResourcesPerLock: 3,
  maxSegmentsPerPath: 3,
  maxSegmentBytes: 40,
};

/** The message with other bytes around it, as in a chunk of input. */
function* placed(text: string): Generator<Message> {
  yield messageOf(text);
  const length = Buffer.byteLength(text);
  for (const [before, behind] of [
    ['{"', '}'],
    ['}\n', '"}'],
    ['', ',"ref":7}'],
    ['[', '9'],
  ] as const) {
    const bytes = Buffer.from(before + text + behind);
    const ascii = isAscii(bytes) ? bytes.toString('latin1') : undefined;
    yield new Message(bytes, before.length, before.length + length, ascii);
  }
}

/** What was read; fails if the decoder, or that of v1, would have read something else. */
function read(text: string, limits = LIMITS) {
  const usual = fastDecode(messageOf(text), limits, 'session');
  // As it is sent: a half of a character can't be.
  const sent = messageOf(text).text;
  if (usual !== undefined) assert.deepEqual(usual, decodeRequest(sent, limits), text);
  for (const message of placed(text)) {
    assert.equal(message.text, sent);
    assert.deepEqual(fastDecode(message, limits, 'session'), usual, text);
  }
  readV1(text, limits);
  return usual;
}

function readV1(text: string, limits = LIMITS) {
  const message = messageOf(text);
  const usual = fastDecode(message, limits, 'v1');
  if (usual === undefined) return undefined;
  const { action, resources } = JSON.parse(message.text);
  assert.equal(usual.action, action, text);
  if (usual.action === 'lock') {
    assert.deepEqual(usual.resources, decodeResources(resources, limits, 'v1'), text);
  }
  return usual;
}

const USUAL = [
  '{"action":"lock","resources":[{"type":"write","path":["orders","17"]}]}',
  '{"action":"lock","resources":[{"type":"read","path":[]}]}',
  '{"action":"lock","resources":[{"type":"read","path":[""]},{"type":"write","path":["a","b","c"]}]}',
  '{"action":"lock","ref":0,"resources":[{"type":"write","path":["~ {}[],:"]}]}',
  '{"action":"lock","ref":999999999999999,"resources":[{"type":"write","path":["a"]}]}',
  `{"action":"lock","resources":[{"type":"write","path":["${'x'.repeat(12)}","${'y'.repeat(13)}","${'z'.repeat(40)}"]}]}`,
  '{"action":"release"}',
  '{"action":"release","ref":7}',
  '{"action":"release","id":"1795475605972001"}',
  '{"action":"release","ref":10,"id":"1"}',
  '{"action":"release","ref":"a","id":"1"}',
  '{"action":"lock","ref":"","resources":[{"type":"write","path":["ä","\u007f","注文🐙"]}]}',
  `{"action":"lock","ref":"${'r'.repeat(256)}","resources":[{"type":"write","path":[]}]}`,
  `{"action":"lock","resources":[{"type":"write","path":["${'ä'.repeat(20)}"]}]}`,
  '{"action":"lock","resources":[{"type":"read","path":["a"],"limit":2},{"type":"read","path":[]}]}',
  '{"action":"lock","waitMs":0,"resources":[{"type":"write","path":["a"]}],"ref":1}',
  '{"action":"lock","ref":1,"resources":[{"type":"write","path":["a"]}],"waitMs":5,"holdMs":1,"owner":"o","label":"l"}',
  '{"action":"lock","label":"","owner":"","holdMs":7,"waitMs":5,"resources":[{"type":"write","path":[]}]}',
  '{"action": "lock", "ref": "ä", "resources": [{"type": "write", "path": ["a", "b", "c"]}, {"type": "read", "path": ["a"], "limit": 2}], "waitMs": 5}',
  '{"action": "release", "ref": 10, "id": "1"}',
  '{"action": "release"}',
];

test('the usual requests are read', () => {
  for (const text of USUAL) assert.notEqual(read(text), undefined, text);
});

test('a first segment that was read before is too long for whom it is too long', () => {
  const text = USUAL[0]?.replace('orders', 'o'.repeat(40)) ?? '';
  assert.notEqual(read(text), undefined);
  assert.equal(read(text, { ...LIMITS, maxSegmentBytes: 39 }), undefined);
});

test('a usual request cut anywhere, or with a character too many, is left to the decoder', () => {
  for (const text of USUAL) {
    for (let end = 0; end < text.length; end++) assert.equal(read(text.slice(0, end)), undefined);
    for (const more of [' ', '}', ',', '\0', text]) assert.equal(read(text + more), undefined);
  }
});

test('in v1 the same requests are read, but for those with a limit', () => {
  for (const text of USUAL) {
    assert.equal(readV1(text) === undefined, text.includes('"limit"'), text);
  }
});

const UNUSUAL = [
  // No comma before a bracket, whatever is between them.
  '{"action": "lock", "resources": [{"type": "write", "path": ["a"]},]}',
  '{"action": "lock", "resources": [{"type": "write", "path": ["a", "b",]}]}',
  '{"action":"lock","resources":[]}',
  '{"action":"lock","resources":[{"type":"write","path":["a"]},]}',
  '{"action":"lock","resources":[{"type":"write","path":["a",]}]}',
  '{"action":"lock","resources":[{"type":"write","path":["\\u0061"]}]}',
  '{"action":"lock","resources":[{"type":"write","path":["a\u0001"]}]}',
  '{"action":"lock","resources":[{"type":"w","path":["a"]}]}',
  '{"action":"lock","ref":-1,"resources":[{"type":"write","path":["a"]}]}',
  '{"action":"lock","ref":01,"resources":[{"type":"write","path":["a"]}]}',
  '{"action":"lock","ref":1.5,"resources":[{"type":"write","path":["a"]}]}',
  '{"action":"lock","ref":1e3,"resources":[{"type":"write","path":["a"]}]}',
  '{"action":"lock","ref":9999999999999999,"resources":[{"type":"write","path":["a"]}]}',
  '{"action":"lock","ref":1,"ref":2,"resources":[{"type":"write","path":["a"]}]}',
  '{"action":"lock","waitMs":1,"waitMs":2,"resources":[{"type":"write","path":["a"]}]}',
  '{"action":"lock","ref":null,"resources":[{"type":"write","path":["a"]}]}',
  `{"action":"lock","ref":"${'r'.repeat(257)}","resources":[{"type":"write","path":["a"]}]}`,
  `{"action":"lock","owner":"${'o'.repeat(257)}","resources":[{"type":"write","path":["a"]}]}`,
  `{"action":"lock","resources":[{"type":"write","path":["${'ä'.repeat(21)}"]}]}`,
  '{"action":"lock","waitMs":-1,"resources":[{"type":"write","path":["a"]}]}',
  '{"action":"lock","waitMs":"1","resources":[{"type":"write","path":["a"]}]}',
  '{"action":"lock","holdMs":0,"resources":[{"type":"write","path":["a"]}]}',
  '{"action":"lock","owner":7,"resources":[{"type":"write","path":["a"]}]}',
  '{"action":"lock","resources":[{"type":"write","path":["a"],"limit":2}]}',
  '{"action":"lock","resources":[{"type":"read","path":["a"],"limit":0}]}',
  '{"action":"lock","resources":[{"type":"read","path":["a"],"limit":}]}',
  '{"action":"lock","waitMs":}',
  '{"action":"lock","ref":"a"}',
  '{"action":"lock"}',
  '{"action": "lock","ref": 1, "resources": [{"type": "write", "path": ["a"]}]}',
  '{"action": "lock", "ref": 1, "resources": [{"type": "write", "path": ["a","b"]}]}',
  '{"action":"lock", "ref":1, "resources":[{"type":"write", "path":["a"]}]}',
  '{"action": "release", "id":  "1"}',
  '{"action":"release","id":"01"}',
  '{"action":"release","id":"x"}',
  '{"action":"release","id":"9007199254740992"}',
  '{"action":"release","id":1}',
  '{"action":"release","ref":}',
  '{"action":"release","ref":10,"id":"}',
  '{"action":"released"}',
  '{"action":"bye"}',
];

test('whatever is not exactly as usual is left to the decoder', () => {
  for (const text of UNUSUAL) assert.equal(read(text), undefined, text);
});

test('a limit is kept to, and what goes beyond is left to the decoder', () => {
  const resource = (...path: string[]) => ({ type: 'write', path });
  const lock = (...resources: object[]) => JSON.stringify({ action: 'lock', resources });
  const [a, long] = [resource('a'), 'x'.repeat(40)];
  for (const [text, isUsual] of [
    [lock(a, a, a), true],
    [lock(a, a, a, a), false],
    [lock(resource('a', 'b', 'c')), true],
    [lock(resource('a', 'b', 'c', 'd')), false],
    [lock(resource(long)), true],
    [lock(resource(`${long}x`)), false],
  ] as const) {
    assert.equal(read(text) !== undefined, isUsual, text);
  }
  assert.equal(read(lock(resource('ab')), { ...LIMITS, maxSegmentBytes: 1 }), undefined);
});

test('requests do not share what they are made of', () => {
  const [first, second] = [read(USUAL[0] ?? ''), read(USUAL[2] ?? '')];
  assert.deepEqual(first, decodeRequest(USUAL[0] ?? '', LIMITS));
  assert.deepEqual(second, decodeRequest(USUAL[2] ?? '', LIMITS));
});

const PIECES = [
  '"limit":2,',
  '"waitMs":1,',
  ', ',
  ': ',
  '"',
  '{',
  '}',
  '[',
  ']',
  ',',
  ':',
  '\\',
  '0',
  '1',
  'a',
  ' ',
  'ä',
  '"ref":1,',
  '\n',
];

function mutated(text: string, random: Random): string {
  let result = text;
  for (let i = random.below(3); i >= 0; i--) {
    const at = random.below(result.length + 1);
    const piece = random.oneIn(3) ? '' : random.pick(PIECES);
    result = result.slice(0, at) + piece + result.slice(at + random.below(3));
  }
  return result;
}

test('random spellings are read as the decoder reads them, or not at all', () => {
  withSeeds(20, (random) => {
    const limits: Limits = {
      ...DEFAULT_LIMITS,
      maxResourcesPerLock: 1 + random.below(3),
      maxSegmentsPerPath: 1 + random.below(3),
      maxSegmentBytes: random.pick([1, 12, 39, 40]),
    };
    for (let i = 0; i < 2000; i++) read(mutated(random.pick(USUAL), random), limits);
  });
});

const WORDS: Vocabulary = {
  namespaces: ['default', 'shop'],
  segments: ['a', '', 'a segment that is not short', 'é'],
  ids: ['1', '2', '3', '4'],
  sessions: ['name-1', 'name-2'],
  tokens: ['a token of letters'],
  isGuarded: false,
};

/** Clients of one server, all of one protocol, and all that they are sent. */
function clientsOf(dialect: 'session' | 'v1') {
  const { host, clock } = setUp();
  const said: unknown[] = [];
  const clients = new Map<number, Conversation>();
  const connect = (at: number): Conversation => {
    const say = (text: string): void => void said.push([at, text]);
    const end = (reason: string): void => {
      say(reason);
      clients.delete(at);
    };
    const channel: Channel = {
      ...{ client: `c${at}`, locality: 'loopback' as const, unreadBytes: 0 },
      heldAgoMs: Number.POSITIVE_INFINITY,
      ...{ reply: say, notify: say, end, yieldTurn: () => {}, admitted: () => {} },
    };
    if (dialect === 'session') return converse(host, channel).conversation;
    return new V1Protocol(host, channel, { namespace: 'shop', abandonTimeoutMs: 100 });
  };
  /** Of that client; one that has ended is replaced. */
  const receive = (at: number, text: string): void => {
    const client = clients.get(at) ?? connect(at);
    clients.set(at, client);
    client.receive(messageOf(text));
  };
  return { receive, clock, said };
}

/** As programs spell it, or in any other way. */
function anyMessage(random: Random): string {
  if (random.oneIn(6)) return oddMessage(random);
  const maybe = <T>(value: T): T | undefined => (random.oneIn(4) ? value : undefined);
  const ref = maybe(random.pick([1, 2, 'r']));
  if (random.oneIn(2)) return spelt(random, { action: 'release', ref, id: maybe('2') });
  const resources = Array.from({ length: 1 + random.below(2) }, () => {
    const path = random.pick([[], ['a'], ['a'], ['é', 'a segment that is not short']]);
    const type = random.pick(['read', 'read', 'write', 'r']);
    const isLimited = type !== 'write' && random.oneIn(2);
    return { type, path, limit: isLimited ? 1 + random.below(2) : undefined };
  });
  const [waitMs, holdMs, owner] = [maybe(random.below(2)), maybe(1), maybe('o')];
  return spelt(random, { action: 'lock', ref, resources, waitMs, holdMs, owner });
}

function spelt(random: Random, message: object): string {
  const text = JSON.stringify(message);
  return random.oneIn(3) ? text.replace(/,|(?<="):/g, '$& ') : text;
}

function oddMessage(random: Random): string {
  const text = random.pick([v1Message, sessionMessage])(random, WORDS, random.pick([0, 5]));
  try {
    const message: unknown = JSON.parse(text);
    return random.oneIn(2) ? JSON.stringify(message) : text;
  } catch {
    // What is said of it depends on where the parser stops.
    return '{"action":"release"}';
  }
}

test('clients are told the same, whether their requests are read without a parser or with it', () => {
  for (const dialect of ['session', 'v1'] as const) {
    let read = 0;
    withSeeds(40, (random) => {
      const [usual, parsed] = [clientsOf(dialect), clientsOf(dialect)];
      for (let step = 0; step < 60; step++) {
        const text = anyMessage(random);
        const at = random.below(3);
        if (fastDecode(messageOf(text), DEFAULT_LIMITS, dialect) !== undefined) read++;
        usual.receive(at, text);
        // A blank at its end leaves it to the decoder.
        parsed.receive(at, `${text} `);
        const ms = random.pick([0, 0, 1, 1000]);
        usual.clock.advance(ms);
        parsed.clock.advance(ms);
        assert.deepEqual(usual.said.splice(0), parsed.said.splice(0), text);
      }
    });
    assert.ok(read > 0);
  }
});
