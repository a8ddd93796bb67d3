/**
 * Fuzzes the pure layers without sockets: for any input they return a value of the declared type,
 * or an error. `SEED=n` replays a round, `ROUNDS=n` plays more of them.
 */
import assert from 'node:assert/strict';
import { Buffer, isUtf8 } from 'node:buffer';
import type { IncomingHttpHeaders } from 'node:http';
import { test } from 'node:test';
import { checkOrigin, originPolicy } from '../../src/net/http/origin-policy.ts';
import { LineSplitter } from '../../src/net/lines/line-splitter.ts';
import { firstBytes, withoutBlanks } from '../../src/net/listen/acceptor.ts';
import { checkHandshake } from '../../src/net/websocket/handshake.ts';
import { Receiver } from '../../src/net/websocket/receiver.ts';
import { ACTION_NAMES, type Request } from '../../src/protocol/actions/table.ts';
import { decodeRequest, type InvalidRequest, isInvalid } from '../../src/protocol/decode.ts';
import { ERROR_CODES, RequestError } from '../../src/protocol/errors.ts';
import { parseObject } from '../../src/protocol/fields.ts';
import { errorMessage } from '../../src/protocol/replies.ts';
import { decodeResources } from '../../src/protocol/resources.ts';
import { DEFAULT_LIMITS, type Limits } from '../../src/runtime/limits.ts';
import { LockTable } from '../../src/table/lock-table.ts';
import type { Resource } from '../../src/table/resource.ts';
import { randomPieces } from '../support/cut-anywhere.ts';
import { type Random, withSeeds } from '../support/random.ts';
import { eventsOf, recordingSink } from '../support/receiver-events.ts';
import { FIN, frame, TEXT } from '../support/websocket-frames.ts';
import { crookedFrame, damaged, randomBytes } from './bytes.ts';
import { oddRequest } from './heads.ts';
import { sessionMessage, type Vocabulary, v1Message } from './messages.ts';
import { oddString } from './oddities.ts';

const LIMITS: Limits = {
  ...DEFAULT_LIMITS,
  maxMessageBytes: 600,
  maxFragments: 5,
  maxResourcesPerLock: 3,
  maxSegmentsPerPath: 4,
  maxSegmentBytes: 20,
};

const WORDS: Vocabulary = {
  namespaces: ['default', '__proto__', 'é'],
  segments: ['a', '', '__proto__', '\ud800', '\ufffd'],
  ids: ['1', '9007199254740991'],
  sessions: ['secret', ''],
  tokens: ['a token of letters', ''],
  isGuarded: false,
};

/** A message; now and then with a few of its characters changed. */
function oddMessage(random: Random): string {
  const text = sessionMessage(random, WORDS, random.pick([0, 5, 10]));
  if (!random.oneIn(3)) return text;
  return damaged(random, Buffer.from(text), []).toString('utf8');
}

function assertResources(resources: readonly Resource[]): void {
  assert.ok(resources.length >= 1 && resources.length <= LIMITS.maxResourcesPerLock);
  for (const { type, path, ...rest } of resources) {
    assert.ok(type === 'read' || type === 'write');
    assert.ok(path.length <= LIMITS.maxSegmentsPerPath);
    for (const segment of path) {
      assert.equal(typeof segment, 'string');
      assert.ok(Buffer.byteLength(segment) <= LIMITS.maxSegmentBytes);
    }
    if (!('limit' in rest)) continue;
    assert.ok(type === 'read' && Number.isSafeInteger(rest.limit) && Number(rest.limit) >= 1);
  }
}

/** Checks that each field of a decoded request has the type that belongs to its name. */
function assertRequest(request: Request): void {
  assert.ok(ACTION_NAMES.includes(request.action));
  const { resources, terms, ...rest } = { resources: undefined, terms: {}, ...request };
  if (resources !== undefined) assertResources(resources);
  for (const [field, value] of Object.entries({ ...rest, ...terms })) {
    if (value === undefined) continue;
    if (field === 'path')
      assert.ok(Array.isArray(value) && value.every((s) => typeof s === 'string'));
    else if (field.endsWith('Ms'))
      assert.ok(Number.isSafeInteger(value) && Number(value) >= 0, field);
    else if (typeof value === 'number') assert.ok(Number.isSafeInteger(value), field);
    else assert.ok(typeof value === 'string' || typeof value === 'boolean', field);
  }
}

/** Checks that an error is sent as one line of JSON with the same content. */
function assertRejected({ error, action, ref }: InvalidRequest): void {
  assert.ok(Object.hasOwn(ERROR_CODES, error.code), error.code);
  assert.ok(error.message.length > 0 && error.message.length < 2000, error.message);
  const line = Buffer.from(errorMessage(error, { action, ref }), 'latin1').toString();
  assert.ok(!line.includes('\n'));
  const { error: told, ...envelope } = JSON.parse(line);
  assert.deepEqual(told, { code: error.code, message: error.message });
  assert.deepEqual(envelope, JSON.parse(JSON.stringify({ action, ref })));
}

test('any message decodes to a request or to an error', () => {
  const actions = new Set<string>();
  const codes = new Set<string>();
  withSeeds(20_000, (random) => {
    const decoded = decodeRequest(oddMessage(random), LIMITS);
    if (isInvalid(decoded)) {
      assertRejected(decoded);
      codes.add(decoded.error.code);
    } else {
      assertRequest(decoded);
      actions.add(decoded.action);
    }
  });
  if ((process.env.SEED ?? process.env.ROUNDS) !== undefined) return;
  assert.deepEqual([...actions].sort(), [...ACTION_NAMES].sort(), 'every action is reached');
  for (const code of [
    'bad_json',
    'unknown_action',
    'bad_request',
    'too_many_resources',
    'path_too_long',
    'segment_too_long',
  ]) {
    assert.ok(codes.has(code), code);
  }
});

test('any resources that decode can be locked and leave nothing behind', () => {
  withSeeds(3000, (random) => {
    const table = new LockTable();
    const locks = Array.from({ length: 8 }, () => {
      const message = parseObject(v1Message(random, WORDS, random.pick([0, 5])), LIMITS);
      if (message instanceof RequestError) return undefined;
      const dialect = random.pick(['v1', 'session'] as const);
      const resources = decodeResources(message.resources, LIMITS, dialect);
      if (resources instanceof RequestError) return undefined;
      assertResources(resources);
      return table.lock(resources, undefined);
    });
    table.verify();
    for (const lock of locks) if (lock !== undefined) table.release(lock);
    table.verify();
    assert.ok(table.isEmpty);
  });
});

/** The lines by definition: the bytes between line feeds, up to the first line that is too long. */
function linesOf(bytes: Buffer, maxBytes: number): string[] {
  const events: string[] = [];
  const parts = bytes.toString('latin1').split('\n');
  for (const [at, part] of parts.entries()) {
    if (part.length > maxBytes) return [...events, 'too long'];
    if (at === parts.length - 1) break;
    const line = Buffer.from(part.replace(/\r$/, ''), 'latin1');
    if (!isUtf8(line)) events.push('no text');
    else if (line.toString().trim() !== '') events.push(`line ${line}`);
  }
  return events;
}

test('lines are the bytes between line feeds, however they are cut', () => {
  withSeeds(3000, (random) => {
    const lines = Array.from({ length: random.below(8) }, () =>
      Buffer.from(oddString(random) + random.pick(['\n', '\r\n', '\n\n', '\r'])),
    );
    const bytes = damaged(random, Buffer.concat([...lines, randomBytes(random, 5)]), lines);
    const maxBytes = random.pick([1, 5, 40, 300]);
    const events: string[] = [];
    const splitter = new LineSplitter(maxBytes, {
      line: ({ text }) => events.push(`line ${text}`),
      lineNotUtf8: () => events.push('no text'),
      lineTooLong: () => events.push('too long'),
    });
    for (const piece of randomPieces(bytes, random.pick([1, 3, 20, 1000]), random))
      splitter.push(piece);
    assert.deepEqual(events, linesOf(bytes, maxBytes), bytes.toString('hex'));
  });
});

test('damaged frames give the same events however they are cut, and none after the end', () => {
  withSeeds(3000, (random) => {
    const frames = Array.from({ length: 1 + random.below(4) }, () => {
      const good = frame(
        FIN | random.pick([TEXT, 2, 8, 9, 10, 0]),
        randomBytes(random, random.below(200)),
      );
      return random.oneIn(2) ? crookedFrame(random, good) : good;
    });
    const good = Buffer.concat(frames);
    const bytes = random.oneIn(2) ? damaged(random, good, frames) : good;
    const whole = eventsOf([Buffer.from(bytes)], LIMITS);
    assert.deepEqual(eventsOf(randomPieces(bytes, random.pick([1, 5, 60]), random), LIMITS), whole);
    const last = whole.findIndex(([name]) => name === 'fail' || name === 'close');
    assert.ok(last === -1 || last === whole.length - 1, 'nothing follows the end');
    const receiver = new Receiver(LIMITS, recordingSink([]));
    receiver.push(Buffer.from(bytes));
  });
});

test('any headers are accepted, or refused with a status and a sentence', () => {
  const rules = originPolicy(['https://shop.example'], ['locks.internal']);
  withSeeds(3000, (random) => {
    const head = oddRequest(random, WORDS);
    const spoken = firstBytes(withoutBlanks(Buffer.from(head, 'latin1')));
    assert.match(typeof spoken === 'string' ? spoken : spoken.code, /^(http|lines|bad_json)$/);
    const headers: IncomingHttpHeaders = {};
    for (const line of head.split('\r\n').slice(1)) {
      const [name = '', ...value] = line.split(':');
      if (!random.oneIn(9)) headers[name.trim().toLowerCase()] = value.join(':').trim();
    }
    const [method, , version = ''] = head.split(' ');
    const answer = checkHandshake({ method, httpVersion: version.slice(5), headers });
    if ('accept' in answer) assert.match(answer.accept, /^[A-Za-z0-9+/]{27}=$/);
    else assert.match(`${answer.status} ${answer.message}`, /^4\d\d [A-Z].*\.$/s);
    const host = random.oneIn(2) ? headers.host : oddString(random);
    const origin = random.oneIn(2) ? headers.origin : oddString(random);
    const refused = checkOrigin(rules, origin, host, random.oneIn(2));
    if (refused !== undefined) assert.match(refused.why, /^[A-Z].*\.$/s);
  });
});
