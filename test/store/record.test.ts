import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { NO_TERMS } from '../../src/session/lock-record.ts';
import type { StoredLock, StoredSession } from '../../src/session/stored.ts';
import {
  deleteLockRecord,
  deleteSessionRecord,
  LiveSet,
  lockRecord,
  sessionRecord,
} from '../../src/store/record.ts';
import { StoreError } from '../../src/store/store.ts';
import type { Resource } from '../../src/table/resource.ts';

/** Any text, broken surrogates and line feeds included. */
const text = fc.string({ unit: fc.integer({ max: 0xffff }).map((c) => String.fromCharCode(c)) });
const id = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER });
const maybe = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(value, { nil: undefined });
const ms = fc.nat(Number.MAX_SAFE_INTEGER);

/** As `fc.record`, but of plain objects, as a decoder makes them. */
const plain = <T>(fields: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> =>
  fc.record(fields, { noNullPrototype: true }) as fc.Arbitrary<T>;

const session: fc.Arbitrary<StoredSession> = plain({
  id,
  namespace: text,
  abandonTimeoutMs: ms,
  label: maybe(text),
  key: maybe(text),
});

const resource: fc.Arbitrary<Resource> = fc.oneof(
  plain({ type: fc.constant('write' as const), path: fc.array(text) }),
  plain({ type: fc.constant('read' as const), path: fc.array(text) }),
  plain({ type: fc.constant('read' as const), path: fc.array(text), limit: id }),
);

const lock: fc.Arbitrary<StoredLock> = plain({
  id,
  session: fc.constant(1),
  resources: fc.array(resource, { minLength: 1 }),
  ref: maybe(fc.oneof(text, fc.maxSafeInteger())),
  terms: fc.oneof(
    fc.constant(NO_TERMS),
    plain({ waitMs: ms, holdMs: maybe(id), owner: maybe(text), label: maybe(text) }),
  ),
  wasHeld: fc.boolean(),
  sinceMs: ms,
});

const OWNER: StoredSession = {
  id: 1,
  namespace: 'default',
  abandonTimeoutMs: 0,
  label: undefined,
  key: undefined,
};

function isOneLine(record: string): boolean {
  return !record.includes('\n') && record === Buffer.from(record).toString();
}

test('what is put comes back the same, whatever it contains, from one line', () => {
  fc.assert(
    fc.property(session, lock, (someSession, someLock) => {
      const live = new LiveSet();
      const owner = { ...someSession, id: 1 };
      const records = [sessionRecord(owner), lockRecord(someLock)];
      for (const record of records) {
        assert.ok(isOneLine(record));
        assert.equal(live.apply(record, false), undefined);
      }
      assert.deepEqual(live.sorted(), { sessions: [owner], locks: [someLock] });
    }),
  );
});

test('sessions and locks come back in order of their ids; a put replaces, a delete removes', () => {
  const live = new LiveSet();
  const at = (lockId: number, sinceMs: number): string =>
    lockRecord({
      id: lockId,
      session: 1,
      resources: [{ type: 'write', path: [] }],
      ref: undefined,
      terms: NO_TERMS,
      wasHeld: false,
      sinceMs,
    });
  const records = [
    sessionRecord({ ...OWNER, id: 2 }),
    sessionRecord(OWNER),
    ...[9, 10, 8, 7].map((lockId) => at(lockId, 5)),
    at(9, 6),
    deleteLockRecord(8),
    deleteSessionRecord(2),
  ];
  for (const record of records) assert.equal(live.apply(record, false), undefined);
  const sorted = live.sorted();
  assert.ok(!(sorted instanceof StoreError));
  assert.deepEqual(sorted.sessions, [OWNER]);
  assert.deepEqual(
    sorted.locks.map(({ id: lockId, sinceMs }) => [lockId, sinceMs]),
    [
      [7, 5],
      [9, 6],
      [10, 5],
    ],
  );
});

test('a missing record is an error: a delete without its put, a lock without its session', () => {
  const live = new LiveSet();
  for (const record of [deleteLockRecord(3), deleteSessionRecord(3)]) {
    assert.match(String(live.apply(record, false)), /3}: it deletes what is not there/);
    assert.equal(live.apply(record, true), undefined);
  }
  live.apply(
    '{"lock":5,"session":4,"resources":[{"type":"read","path":[]}],"held":true,"sinceMs":0}',
    false,
  );
  assert.match(String(live.sorted()), /lock 5 belongs to session 4, which is missing/);
});

test('a wrong record is an error that names what is wrong', () => {
  const s = '"session":1,"namespace":"a","abandonTimeoutMs":0';
  const r = '{"type":"read","path":[]}';
  const l = (resources: string, rest = '', end = '"held":true,"sinceMs":0'): string =>
    `{"lock":1,"session":1,"resources":${resources}${rest},${end}}`;
  const wrong: [string, RegExp][] = [
    ['', /not JSON/],
    ['{"lock":1', /not JSON/],
    ['[]', /not a JSON object/],
    ['null', /not a JSON object/],
    ['{}', /neither puts nor deletes/],
    ['{"session":0,"namespace":"a","abandonTimeoutMs":0}', /must be a positive integer/],
    ['{"session":1.5,"namespace":"a","abandonTimeoutMs":0}', /must be/],
    ['{"session":1,"abandonTimeoutMs":0}', /namespace must be a string/],
    ['{"session":1,"namespace":"a"}', /abandonTimeoutMs must be/],
    ['{"session":1,"namespace":"a","abandonTimeoutMs":-1}', /abandonTimeoutMs must be/],
    [`{${s},"label":1}`, /label must be a string/],
    [`{${s},"key":null}`, /key must be a string/],
    [`{${s},"colour":1}`, /unknown field "colour"/],
    ['{"lock":"1","ref":1}', /lock must be a positive integer/],
    ['{"lock":1,"ref":1}', /session must be a positive integer/],
    ['{"lock":1,', /not JSON/],
    ['{"lock":1,"session":1}', /resources must be/],
    [l('[]'), /resources must be/],
    [l('{}'), /resources must be/],
    [l('[1]'), /resources\[0\] must be an object/],
    [l(`[${r},{"type":"r","path":[]}]`), /resources\[1\].type/],
    [l('[{"type":"read","path":"a"}]'), /resources\[0\].path/],
    [l('[{"type":"read","path":["a",1]}]'), /resources\[0\].path/],
    [l('[{"type":"read","path":[],"limit":0}]'), /resources\[0\].limit/],
    [l('[{"type":"write","path":[],"limit":1}]'), /limit is for reads only/],
    [l('[{"type":"write","path":[],"mode":1}]'), /resources\[0\] has an unknown field "mode"/],
    [l(`[${r}]`, ',"ref":1.5'), /ref must be/],
    [l(`[${r}]`, ',"waitMs":-1'), /waitMs must be/],
    [l(`[${r}]`, ',"holdMs":0'), /holdMs must be/],
    [l(`[${r}]`, ',"owner":1'), /owner must be/],
    [l(`[${r}]`, ',"label":[]'), /label must be/],
    [l(`[${r}]`, ',"color":1'), /unknown field "color"/],
    [l(`[${r}]`, '', '"held":1,"sinceMs":0'), /held must be/],
    [l(`[${r}]`, '', '"held":true,"sinceMs":0.5'), /sinceMs must be/],
    ['{"deleteLock":}', /not JSON/],
    ['{"deleteLock":0}', /must have one id/],
    ['{"deleteLock":1,"lock":null}', /unknown field "deleteLock"/],
    ['{"deleteLock":1,"deleteSession":1}', /must have one id, and nothing else/],
    ['{"deleteLock":01}', /not JSON/],
    ['{"deleteSession":-1}', /must have one id/],
    ['{"deleteSession":1', /not JSON/],
  ];
  for (const [record, reason] of wrong) {
    const live = new LiveSet();
    const error = live.apply(record, true) ?? live.sorted();
    assert.ok(error instanceof StoreError, record);
    assert.match(error.message, reason);
  }
});

test('of several lines the wrong one is named, and those before it are applied', () => {
  const puts = [1, 2].map((sessionId) => sessionRecord({ ...OWNER, id: sessionId }));
  // The last two are JSON, if only together.
  for (const wrong of ['{', '', '{}', '[]', '{"deleteLock":[1\n2]}']) {
    const live = new LiveSet();
    const error = live.apply([...puts, wrong, deleteSessionRecord(1)].join('\n'), false);
    const [line = ''] = wrong.split('\n');
    assert.ok(error?.message.startsWith(`invalid record ${line}: `), error?.message);
    assert.equal(live.applied, 2);
  }
  const live = new LiveSet();
  assert.equal(live.apply([...puts, deleteSessionRecord(1)].join('\n'), false), undefined);
  assert.equal(live.applied, 3);
  assert.deepEqual(live.sorted(), { sessions: [{ ...OWNER, id: 2 }], locks: [] });
});

test('any text is a record or an error', () => {
  const json = fc.json().chain((value) => fc.constantFrom(value, `{"lock":${value}}`));
  fc.assert(
    fc.property(fc.oneof(text, json), (record) => {
      const live = new LiveSet();
      assert.ok((live.apply(record, true) ?? live.sorted()) instanceof StoreError);
    }),
  );
});
