/** The decoder of the session protocol: a table of what it takes and of what it refuses, and how. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeRequest, isInvalid } from '../../src/protocol/decode.ts';
import { DEFAULT_LIMITS } from '../../src/runtime/limits.ts';
import type { LockTerms, Ref } from '../../src/session/lock-record.ts';

const LIMITS = {
  ...DEFAULT_LIMITS,
  maxResourcesPerLock: 3,
  maxSegmentsPerPath: 4,
  maxSegmentBytes: 10,
};

function decode(message: unknown) {
  const text = typeof message === 'string' ? message : JSON.stringify(message);
  return decodeRequest(text, LIMITS);
}

const lockOf = (...resources: unknown[]) => ({ action: 'lock', resources });
const resource = (fields: object) => lockOf({ type: 'write', path: ['a'], ...fields });

/** A lock as it is decoded, with the terms that it was given. */
function lockAs(
  message: { resources: unknown[] },
  { ref, ...terms }: LockTerms & { ref?: Ref } = {},
) {
  const none = {
    waitMs: undefined,
    holdMs: undefined,
    owner: undefined,
    label: undefined,
  };
  return { action: 'lock', ref, resources: message.resources, terms: { ...none, ...terms } };
}

const TAKEN: readonly (readonly [what: string, message: unknown, request: object])[] = [
  ['a lock', resource({}), lockAs(resource({}))],
  ['a ref of digits', { ...resource({}), ref: 7 }, lockAs(resource({}), { ref: 7 })],
  ['a ref of text', { ...resource({}), ref: '' }, lockAs(resource({}), { ref: '' })],
  ['the root', resource({ path: [] }), lockAs(resource({ path: [] }))],
  [
    'all terms',
    { ...resource({}), waitMs: 0, holdMs: 1, owner: 'job', label: '' },
    lockAs(resource({}), { waitMs: 0, holdMs: 1, owner: 'job', label: '' }),
  ],
  [
    'types by their initials, in any case',
    lockOf({ type: 'R', path: [] }, { type: 'wRiTe', path: [] }),
    lockAs(lockOf({ type: 'read', path: [] }, { type: 'write', path: [] })),
  ],
  ['a limit', resource({ type: 'read', limit: 4 }), lockAs(resource({ type: 'read', limit: 4 }))],
  ['a release', { action: 'release' }, { action: 'release', ref: undefined, id: undefined }],
  [
    'a release by id',
    { action: 'release', id: '9007199254740991' },
    { action: 'release', ref: undefined, id: Number.MAX_SAFE_INTEGER },
  ],
  [
    'an extension',
    { action: 'extend', holdMs: 1 },
    { action: 'extend', ref: undefined, id: undefined, holdMs: 1 },
  ],
  [
    'an extension to the longest hold there is',
    { action: 'extend', id: '7', holdMs: Number.MAX_SAFE_INTEGER },
    { action: 'extend', ref: undefined, id: 7, holdMs: Number.MAX_SAFE_INTEGER },
  ],
  [
    'an extension without an end',
    { action: 'extend', ref: 1, holdMs: null },
    { action: 'extend', ref: 1, id: undefined, holdMs: undefined },
  ],
  [
    'a hello',
    { action: 'hello', namespace: 'shop', abandonTimeoutMs: 0, heartbeatMs: 1, label: 'till' },
    {
      action: 'hello',
      ref: undefined,
      token: undefined,
      session: undefined,
      namespace: 'shop',
      abandonTimeoutMs: 0,
      heartbeatMs: 1,
      label: 'till',
    },
  ],
  [
    'an inspect',
    { action: 'inspect' },
    { action: 'inspect', ref: undefined, path: [], id: undefined, after: 0, max: 100 },
  ],
  [
    'an inspect of a page',
    { action: 'inspect', path: ['a'], after: '7', max: 1000 },
    { action: 'inspect', ref: undefined, path: ['a'], id: undefined, after: 7, max: 1000 },
  ],
  [
    'a list of namespaces',
    { action: 'namespaces' },
    { action: 'namespaces', ref: undefined, after: '', max: 100 },
  ],
  [
    'a list of namespaces after a name',
    { action: 'namespaces', after: '1234567890', max: 1000 },
    { action: 'namespaces', ref: undefined, after: '1234567890', max: 1000 },
  ],
  ['a watch', { action: 'watch', path: ['a'] }, { action: 'watch', ref: undefined, path: ['a'] }],
  ['an unwatch', { action: 'unwatch' }, { action: 'unwatch', ref: undefined, path: [] }],
  [
    'an eviction of a lock',
    { action: 'evict', id: '7' },
    { action: 'evict', ref: undefined, id: 7, sessionId: undefined },
  ],
  [
    'an eviction of a session',
    { action: 'evict', ref: 1, sessionId: '7' },
    { action: 'evict', ref: 1, id: undefined, sessionId: 7 },
  ],
  ['a ping', { action: 'ping', ref: 'x' }, { action: 'ping', ref: 'x' }],
  ['white space around it', ' {"action":"bye"}\t', { action: 'bye', ref: undefined }],
  [
    'as many resources, segments and bytes as are allowed',
    lockOf(...Array(3).fill({ type: 'read', path: Array(4).fill('äääää') })),
    lockAs(lockOf(...Array(3).fill({ type: 'read', path: Array(4).fill('äääää') }))),
  ],
  [
    'any string as a segment',
    resource({ path: ['', '\0', '__proto__', '\ud800'] }),
    lockAs(resource({ path: ['', '\0', '__proto__', '\ud800'] })),
  ],
];

for (const [what, message, request] of TAKEN) {
  test(`takes ${what}`, () => {
    assert.deepEqual(decode(message), request);
  });
}

const REFUSED: readonly (readonly [message: unknown, code: string, sentence: RegExp])[] = [
  ['', 'bad_json', /^bad JSON: /],
  ['{"action":"ping"', 'bad_json', /^bad JSON: /],
  ['{"action":"ping"} x', 'bad_json', /^bad JSON: /],
  ['{"action":"ping"}{"action":"ping"}', 'bad_json', /^bad JSON: /],
  ['[]', 'bad_json', /must be one JSON object/],
  ['null', 'bad_json', /must be one JSON object/],
  ['"lock"', 'bad_json', /must be one JSON object/],
  ['[['.repeat(100_000), 'bad_json', /^a message must be one JSON object/],
  [{}, 'unknown_action', /needs an "action"; the actions are hello, lock/],
  [{ action: 1 }, 'unknown_action', /needs an "action"/],
  [{ action: 'Lock' }, 'unknown_action', /"Lock" is not an action; the actions are hello, lock/],
  [{ action: 'toString' }, 'unknown_action', /"toString" is not an action/],
  [{ action: 'x'.repeat(1000) }, 'unknown_action', /^"x{64}\.\.\." is not/],
  ['{"__proto__":{"action":"ping"}}', 'unknown_action', /needs an "action"/],
  [{ Action: 'ping' }, 'unknown_action', /needs an "action"/],
  [{ action: 'ping', ref: 1.5 }, 'bad_request', /^ref must be an integer/],
  [{ action: 'ping', ref: null }, 'bad_request', /^ref must be an integer/],
  [{ action: 'ping', ref: 2 ** 53 }, 'bad_request', /^ref must be an integer/],
  [{ action: 'ping', ref: 'x'.repeat(257) }, 'bad_request', /^ref must be .* 256 characters/],
  [{ action: 'ping', id: '1' }, 'bad_request', /^id is not a known field; known are action, ref$/],
  [{ action: 'evict' }, 'bad_request', /^evict needs exactly one of id/],
  [{ action: 'evict', id: '1', sessionId: '1' }, 'bad_request', /^evict needs exactly one of /],
  [{ action: 'evict', id: 1 }, 'bad_request', /^id must be a lock id/],
  [{ action: 'evict', sessionId: 1 }, 'bad_request', /^sessionId must be a session id/],
  [{ action: 'evict', session: '1' }, 'bad_request', /^session is not a known field/],
  [{ action: 'hello', token: 1 }, 'bad_request', /^token must be a string of at most 256/],
  [{ action: 'lock' }, 'bad_request', /^resources must be an array of at least one resource$/],
  [{ action: 'lock', resources: null }, 'bad_request', /^resources must be an array/],
  [{ action: 'lock', resources: {} }, 'bad_request', /^resources must be an array/],
  [lockOf(), 'bad_request', /^resources must be an array of at least one/],
  [{ ...resource({}), wait: 1 }, 'bad_request', /^wait is not a known field/],
  [lockOf('a'), 'bad_request', /^resources\[0\] must be an object$/],
  [lockOf(['a']), 'bad_request', /^resources\[0\] must be an object$/],
  [lockOf({ path: [] }), 'bad_request', /^resources\[0\]\.type must be "read" or "write"$/],
  [resource({ type: 'rw' }), 'bad_request', /^resources\[0\]\.type must be/],
  [resource({ type: ['read'] }), 'bad_request', /^resources\[0\]\.type must be/],
  [lockOf({ type: 'read' }), 'bad_request', /^resources\[0\]\.path must be an array of strings/],
  [resource({ path: null }), 'bad_request', /^resources\[0\]\.path must be an array of strings/],
  [resource({ path: 'a' }), 'bad_request', /^resources\[0\]\.path must be an array of strings/],
  [resource({ path: ['a', 1] }), 'bad_request', /^resources\[0\]\.path\[1\] must be a string$/],
  [resource({ path: [null] }), 'bad_request', /^resources\[0\]\.path\[0\] must be a string$/],
  [resource({ limt: 1 }), 'bad_request', /^resources\[0\]\.limt is not a known field/],
  [
    '{"action":"lock","resources":[{"type":"read","path":[],"__proto__":1}]}',
    'bad_request',
    /__proto__ is not a known field/,
  ],
  [resource({ limit: 1 }), 'bad_request', /^resources\[0\]\.limit is for reads only/],
  [resource({ type: 'r', limit: 0 }), 'bad_request', /limit must be an integer of at least 1$/],
  [resource({ type: 'r', limit: 1.5 }), 'bad_request', /limit must be an integer/],
  [resource({ type: 'r', limit: '4' }), 'bad_request', /limit must be an integer/],
  [resource({ type: 'r', limit: null }), 'bad_request', /limit must be an integer/],
  [
    '{"action":"lock","resources":[{"type":"r","path":[],"limit":1e400}]}',
    'bad_request',
    /limit must be an integer/,
  ],
  [lockOf(...Array(4).fill({})), 'too_many_resources', /has 4 elements; at most 3 are allowed$/],
  [resource({ path: Array(5).fill('') }), 'path_too_long', /path has 5 segments; at most 4/],
  [resource({ path: ['äääääx'] }), 'segment_too_long', /path\[0\] has 11 bytes; at most 10/],
  [
    { action: 'release', id: 17 },
    'bad_request',
    /^id must be a lock id as the server sent it: a string/,
  ],
  [{ action: 'release', id: '017' }, 'bad_request', /^id must be/],
  [{ action: 'release', id: '-1' }, 'bad_request', /^id must be/],
  [{ action: 'release', id: '0' }, 'bad_request', /^id must be/],
  [{ action: 'release', id: '9007199254740993' }, 'bad_request', /^id must be/],
  [{ action: 'extend' }, 'bad_request', /^holdMs must be an integer .*, or null for no end$/],
  [{ action: 'extend', holdMs: 0 }, 'bad_request', /^holdMs must be .*, or null/],
  [{ action: 'extend', holdMs: 1.5 }, 'bad_request', /^holdMs must be .*, or null/],
  [{ action: 'extend', holdMs: '5' }, 'bad_request', /^holdMs must be .*, or null/],
  [{ action: 'extend', holdMs: 2 ** 53 }, 'bad_request', /^holdMs must be .*, or null/],
  [{ action: 'extend', id: 7, holdMs: 5 }, 'bad_request', /^id must be a lock id/],
  [{ action: 'extend', holdMs: 5, waitMs: 5 }, 'bad_request', /^waitMs is not a known field/],
  [
    { action: 'hello', namespace: '' },
    'bad_request',
    /^namespace must be a string that is not empty$/,
  ],
  [{ action: 'hello', namespace: 1 }, 'bad_request', /^namespace must be a string/],
  [
    { action: 'hello', namespace: '12345678901' },
    'segment_too_long',
    /^namespace is too long: at most 10/,
  ],
  [
    { action: 'hello', abandonTimeoutMs: -1 },
    'bad_request',
    /^abandonTimeoutMs must be an integer/,
  ],
  [{ action: 'hello', abandonTimeoutMs: '5' }, 'bad_request', /^abandonTimeoutMs must be/],
  [{ action: 'hello', abandonTimeoutMs: 0.5 }, 'bad_request', /^abandonTimeoutMs must be/],
  [{ action: 'hello', heartbeatMs: 0 }, 'bad_request', /^heartbeatMs must be .* 1 or more$/],
  [{ action: 'hello', session: 1 }, 'bad_request', /^session must be a string/],
  [
    { action: 'hello', session: 'x', label: '' },
    'bad_request',
    /^a resumed session keeps its settings/,
  ],
  [
    { action: 'hello', session: 'x', abandonTimeoutMs: 0 },
    'bad_request',
    /^a resumed session keeps/,
  ],
  [{ ...resource({}), waitMs: -1 }, 'bad_request', /^waitMs must be an integer .* 0 or more$/],
  [{ ...resource({}), holdMs: 0 }, 'bad_request', /^holdMs must be an integer .* 1 or more$/],
  [{ ...resource({}), owner: 7 }, 'bad_request', /^owner must be a string of at most 256/],
  [
    { ...resource({}), label: 'x'.repeat(257) },
    'bad_request',
    /^label must be a string of at most 256/,
  ],
  [{ action: 'inspect', path: 'a' }, 'bad_request', /^path must be an array of strings/],
  [{ action: 'inspect', path: null }, 'bad_request', /^path must be an array of strings/],
  [{ action: 'inspect', max: null }, 'bad_request', /^max must be an integer from 1 to 1000$/],
  [{ action: 'watch', path: null }, 'bad_request', /^path must be an array of strings/],
  [{ action: 'inspect', max: 0 }, 'bad_request', /^max must be an integer from 1 to 1000$/],
  [{ action: 'inspect', max: 1001 }, 'bad_request', /^max must be/],
  [{ action: 'inspect', after: 7 }, 'bad_request', /^after must be a lock id/],
  [
    { action: 'namespaces', after: '' },
    'bad_request',
    /^after must be a string that is not empty$/,
  ],
  [{ action: 'namespaces', after: null }, 'bad_request', /^after must be a string/],
  [
    { action: 'namespaces', after: '12345678901' },
    'segment_too_long',
    /^after is too long: at most/,
  ],
  [{ action: 'namespaces', max: 0 }, 'bad_request', /^max must be an integer from 1 to 1000$/],
  [{ action: 'namespaces', max: 1001 }, 'bad_request', /^max must be/],
  [{ action: 'namespaces', path: [] }, 'bad_request', /^path is not a known field/],
  [{ action: 'watch', path: [1] }, 'bad_request', /^path\[0\] must be a string$/],
];

for (const [message, code, sentence] of REFUSED) {
  const text = typeof message === 'string' ? message : JSON.stringify(message);
  test(`refuses ${text.slice(0, 80)} as ${code}`, () => {
    const decoded = decode(message);
    if (!isInvalid(decoded)) assert.fail('it was taken');
    assert.equal(decoded.error.code, code);
    assert.match(decoded.error.message, sentence);
  });
}

test('an error echoes the action and the ref as far as they are good', () => {
  const refused = (message: object) => {
    const decoded = decode(message);
    if (!isInvalid(decoded)) assert.fail('it was taken');
    return [decoded.action, decoded.ref];
  };
  assert.deepEqual(refused({ action: 'lock', ref: 8 }), ['lock', 8]);
  assert.deepEqual(refused({ action: 'lock', ref: {} }), ['lock', undefined]);
  assert.deepEqual(refused({ action: 'lick', ref: 'x' }), [undefined, 'x']);
  assert.deepEqual(refused({ action: 'lick', ref: {} }), [undefined, undefined]);
});

test('a long message with more parts than any request has is refused before it is parsed', () => {
  const blanks = ' '.repeat(20_000);
  const nest = (depth: number): string =>
    `{"action":${'['.repeat(depth)}${']'.repeat(depth)}${blanks}}`;
  const messageOf = (text: string): string => {
    const decoded = decode(text);
    return isInvalid(decoded) ? decoded.error.message : 'valid';
  };
  assert.match(messageOf(nest(1000)), /^a message needs an "action"/);
  assert.match(messageOf(nest(2000)), /^a message may have at most 1015 objects/);
  const fields = Array.from({ length: 2000 }, (_, i) => `"f${i}":${i}`).join();
  assert.match(messageOf(`{"action":"ping",${fields}${blanks}}`), /^a message may have at most/);
  // What is in strings is text, escaped quotes too.
  const text = JSON.stringify({ action: 'ping', ref: '"[{:\\"'.repeat(10) });
  assert.equal(messageOf(text.slice(0, -1) + blanks + text.slice(-1)), 'valid');
  const paths = JSON.stringify(lockOf({ type: 'read', path: ['[[[[[{{{'] }));
  assert.equal(messageOf(paths + blanks), 'valid');
});
