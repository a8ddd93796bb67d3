/**
 * Messages that are put together by hand are, byte for byte, what `JSON.stringify` writes of their
 * fields, whatever text clients chose; and all that shows a lock shows the same of it.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { locksListing } from '../../src/net/http/listings.ts';
import { inspectLines } from '../../src/protocol/actions/inspect.ts';
import type { Channel } from '../../src/protocol/channel.ts';
import { ERROR_CODES, type ErrorCode, RequestError } from '../../src/protocol/errors.ts';
import {
  errorMessage,
  firstOf,
  ReplyWriter,
  resourceFields,
  wordFields,
} from '../../src/protocol/replies.ts';
import { Watching } from '../../src/protocol/watching.ts';
import { toByteString } from '../../src/runtime/byte-string.ts';
import { Counters } from '../../src/session/counters.ts';
import type { Ref, SessionLock } from '../../src/session/lock-record.ts';
import type { Namespace } from '../../src/session/namespace.ts';
import { Session } from '../../src/session/session.ts';
import type { Resource } from '../../src/table/resource.ts';
import { oddString } from '../fuzz/oddities.ts';
import { type Random, withSeeds } from '../support/random.ts';
import { setUp } from '../support/session-host.ts';

function json(value: object): string {
  return toByteString(JSON.stringify(value));
}

function maybe<T>(random: Random, value: T): T | undefined {
  return random.oneIn(2) ? value : undefined;
}

function drawRef(random: Random): Ref | undefined {
  return maybe(random, random.oneIn(2) ? random.below(2 ** 32) - 2 ** 31 : oddString(random));
}

function drawResources(random: Random): Resource[] {
  const path = Array.from({ length: random.below(4) }, () =>
    random.oneIn(2) ? 'a' : oddString(random),
  );
  const resources: Resource[] = [
    { type: 'write', path },
    { type: 'read', path },
    { type: 'read', path, limit: 1 },
  ];
  return random.oneIn(9) ? Array(12).fill(resources[1]) : [random.pick(resources)];
}

/** Sessions of one namespace, whose clients choose odd words. */
function crowd(random: Random) {
  const { host, clock, peerOf } = setUp();
  const namespace = oddString(random) || 'shop';
  const peer = peerOf('all');
  const sessions = [1, 2, 3].map(() => {
    const [client, label] = [oddString(random), maybe(random, oddString(random))];
    const settings = { namespace, abandonTimeoutMs: 5000, client, label };
    return new Session(host, { ...settings, key: maybe(random, host.newName()) }, peer);
  });
  const lock = (): SessionLock | undefined => {
    const open = sessions.filter((one) => one.namespace.sessions.has(one) && !one.isLost);
    if (open.length === 0) return undefined;
    const [owner, label] = [oddString(random), oddString(random)].map((it) => maybe(random, it));
    const [waitMs, holdMs] = [900, 800].map((ms) => maybe(random, random.below(ms) + 1));
    const terms = { waitMs, holdMs, owner, label };
    const made = random.pick(open).lock(drawResources(random), terms);
    return 'code' in made ? undefined : made;
  };
  const [{ namespace: place } = assert.fail()] = sessions;
  return { host, clock, peer, sessions, namespace: place, lock };
}

/** The fields of a lock in the answer to `inspect`. */
function inspected(lock: SessionLock, { table }: Namespace, nowMs: number, place?: string): object {
  const { session, terms, sinceMs } = lock.context;
  const isHeld = lock.state === 'acquired';
  const { listed, hasMore } = firstOf(table.waitsOf(lock));
  const waitsFor = listed.map(({ blocker, relation, path }) => {
    return { id: String(blocker.id), state: blocker.state, relation, path };
  });
  return {
    ...{ id: String(lock.id), state: lock.state, place, ...resourceFields(lock.resources) },
    ...{ client: session.client, sessionId: String(session.id) },
    ...{ lost: session.isLost || undefined, abandonedInMs: session.abandonedInMs(nowMs) },
    ...{ ...wordFields(lock), forMs: Math.max(0, Math.floor(nowMs - sinceMs)) },
    limitMs: isHeld ? terms.holdMs : terms.waitMs,
    ...(isHeld ? {} : { waitsFor, waitsForMore: hasMore || undefined }),
  };
}

test('inspect and /locks show each lock as JSON.stringify writes its fields', () => {
  withSeeds(60, (random) => {
    const { host, clock, peer, sessions, namespace, lock } = crowd(random);
    for (let step = 0; step < 12; step++) {
      lock();
      clock.advance(random.below(200) / 2);
      if (random.oneIn(15)) random.pick(sessions).lose(peer);
    }
    const nowMs = clock.now();
    const all = { action: 'inspect', ref: undefined, path: [], after: 0, max: 1000 } as const;
    const linesOf = (id: number | undefined): string[] => {
      const lines = inspectLines({ ...all, id }, namespace, nowMs);
      return lines instanceof RequestError ? assert.fail() : lines.map((line) => `{${line}}`);
    };
    const found = [...namespace.table.findLocks([])];
    const locks = found.map((match) => inspected(match.lock, namespace, nowMs, match.place));
    const acquired = found.filter((match) => match.lock.state === 'acquired').length;
    const { name } = namespace;
    const summary = { namespace: name, acquired, enqueued: found.length - acquired };
    const shown = linesOf(undefined);
    // Odd words may be so long that the first page has not all locks.
    const isWhole = shown.length > locks.length;
    const expected = [...locks, { end: true, ...summary }].map(json);
    if (isWhole) assert.deepEqual(shown, expected);
    else assert.deepEqual(shown.slice(0, -1), expected.slice(0, shown.length - 1));
    for (const match of found) {
      const line = json(inspected(match.lock, namespace, nowMs));
      assert.equal(linesOf(match.lock.id)[0], line);
    }
    if (!isWhole || name !== Buffer.from(name).toString() || host.registry.size === 0) return;
    const query = new URLSearchParams({ namespace: name, max: '1000' });
    const listing = locksListing(new URL(`http://localhost/locks?${query}`), host);
    assert.deepEqual(listing, { status: 200, body: JSON.stringify({ locks, ...summary }) });
  });
});

test('watch shows each lock as JSON.stringify writes its fields', () => {
  withSeeds(60, (random) => {
    const { clock, namespace, lock } = crowd(random);
    const events: string[] = [];
    const channel = { unreadBytes: 0, reply: (text: string) => void events.push(text) };
    const watching = new Watching(channel as Channel, namespace, { clock, startedMs: 0 });
    watching.add([]);
    const locks = new Map<string, SessionLock>();
    for (let step = 0; step < 12; step++) {
      const made = lock();
      if (made !== undefined) locks.set(String(made.id), made);
      clock.advance(random.below(200) / 2);
      for (const text of events.splice(0)) {
        const { event, id, atMs } = JSON.parse(Buffer.from(text, 'latin1').toString());
        const told = locks.get(id) ?? assert.fail(text);
        const { client, id: sessionId } = told.context.session;
        const fields = { ...resourceFields(told.resources), client, sessionId: String(sessionId) };
        const head = { action: 'watch', event, id, atMs };
        assert.equal(text, json({ ...head, ...fields, ...wordFields(told) }));
      }
    }
  });
});

test('states and errors are as JSON.stringify writes them', () => {
  const said: string[] = [];
  const say = (text: string): void => void said.push(text);
  const writer = new ReplyWriter({ reply: say, notify: say } as Channel, new Counters());
  const codes = Object.keys(ERROR_CODES) as ErrorCode[];
  withSeeds(300, (random) => {
    const [ref, id, message] = [drawRef(random), 2 ** random.below(53), oddString(random)];
    const state = random.pick(['acquired', 'timeout', 'expired', 'evicted'] as const);
    const lock = { id, state: 'acquired', context: { ref } } as unknown as SessionLock;
    const [code, action] = [random.pick(codes), random.pick(['lock', 'release'] as const)];
    const owner = maybe(random, oddString(random));
    const error = new RequestError(code, message, owner === undefined ? owner : { owner });
    const told = { code, message, owner };
    const head = { action: 'lock', ref, id: String(id) };
    for (const [write, fields] of [
      [() => writer.state({ action, ref }, id, state), { ...head, action, state }],
      [() => writer.lock(lock), { ...head, state: 'acquired' }],
      [() => writer.lockChanged(lock, state), { ...head, state }],
      [() => writer.lockError(lock, error), { ...head, error: { code, message } }],
      [() => writer.fields({ action, ref }, { message }), { action, ref, message }],
      [() => writer.texts({ action, ref }, ['"end":true']), { action, ref, end: true }],
      [() => writer.error({ action, ref }, error), { action, ref, error: told }],
      [() => writer.error({ action: undefined, ref }, error), { ref, error: told }],
      [() => writer.notifyError(error), { error: told }],
      [() => say(errorMessage(error)), { error: told }],
    ] as const) {
      write();
      assert.deepEqual(said.splice(0), [json(fields)]);
    }
  });
});
