/** After a refused `hello` nothing runs that was meant for the session that it asked for. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { DEFAULT_LIMITS } from '../../src/runtime/limits.ts';
import { type LineClient, lock, write } from '../support/line-client.ts';
import { codeOf, setUp } from '../support/line-server.ts';
import { startServer, until } from '../support/running-server.ts';
import { WebSocketClient } from '../support/websocket-client.ts';

/** Every way in which a `hello` can be wrong by itself. */
const WRONG: readonly (readonly [fields: object, code: string])[] = [
  [{ namespace: 'shop', abandonTimeout: 5000 }, 'bad_request'],
  [{ namespace: '' }, 'bad_request'],
  [{ namespace: 'n'.repeat(DEFAULT_LIMITS.maxSegmentBytes + 1) }, 'segment_too_long'],
  [{ abandonTimeoutMs: -1 }, 'bad_request'],
  [{ heartbeatMs: 0 }, 'bad_request'],
  [{ label: 1 }, 'bad_request'],
  [{ token: 1 }, 'bad_request'],
  [{ ref: null }, 'bad_request'],
  [{ session: 'gone', label: 'x' }, 'bad_request'],
  [{ session: 'gone' }, 'no_such_session'],
  [{ action: 'Hello' }, 'unknown_action'],
  [{ action: 'helo', namespace: 'shop' }, 'unknown_action'],
  [{ action: ['hello'], session: 'gone' }, 'unknown_action'],
  [{ action: undefined, acton: 'hello', abandonTimeoutMs: 5 }, 'unknown_action'],
];

/** Everything that is not carried out behind one. */
const OTHERS: readonly object[] = [
  lock(write('a')),
  { action: 'lock', waitMs: 0, resources: [write('a')] },
  { action: 'release' },
  { action: 'inspect' },
  { action: 'watch' },
  { action: 'unwatch' },
  { action: 'evict', id: '1' },
  { action: 'ping' },
  { action: 'stats' },
  { action: 'help' },
];

for (const [fields, code] of WRONG) {
  test(`on lines: ${code} for hello ${JSON.stringify(fields).slice(0, 60)}`, async (t) => {
    const { connect, server } = await setUp(t);
    const client = await connect();
    client.send({ action: 'hello', ...fields }, ...OTHERS);
    await expectRefused(client, code);
    assert.equal(server.counts.sessions, 0);
    client.send({ action: 'hello', namespace: 'shop' }, lock(write('a')));
    assert.equal((await client.next()).namespace, 'shop');
    assert.equal((await client.next()).state, 'acquired');
    client.send({ action: 'hello', ...fields }, { action: 'ping' });
    assert.notEqual(codeOf(await client.next()), undefined);
    assert.equal((await client.next()).error, undefined, 'a later mistake in hello costs nothing');
  });

  test(`at /v2: ${code} for hello ${JSON.stringify(fields).slice(0, 60)}`, async (t) => {
    const server = await startServer(t);
    const client = await WebSocketClient.connect(t, server.address.port, '/v2?namespace=query');
    for (const message of [{ action: 'hello', ...fields }, ...OTHERS]) client.send(message);
    await expectRefused(client, code);
    assert.equal(server.counts.sessions, 0);
    client.send({ action: 'hello' });
    assert.equal((await client.next()).namespace, 'query');
  });
}

async function expectRefused(client: Pick<LineClient, 'next'>, code: string): Promise<void> {
  assert.equal(codeOf(await client.next()), code);
  for (const { action } of OTHERS as { action: string }[]) {
    const reply = await client.next();
    assert.deepEqual([reply.action, codeOf(reply)], [action, 'hello_refused']);
    assert.match(
      JSON.stringify(reply.error),
      /the hello before this request was refused.* send it again/,
    );
  }
}

test('bye is carried out, and what is wrong in itself is told as that', async (t) => {
  const { connect } = await setUp(t);
  const client = await connect();
  client.send({ action: 'hello', x: 1 }, { action: 'lock' }, { action: 'fly' });
  client.sendRaw('{\n');
  client.send({ action: 'hello', session: 'gone' }, { action: 'ping', ref: 7 }, { action: 'bye' });
  const replies = await client.ended();
  const expected = ['bad_request', 'bad_request', 'unknown_action', 'bad_json', 'no_such_session'];
  assert.deepEqual(replies.map(codeOf), [...expected, 'hello_refused', undefined]);
  assert.deepEqual(replies.map(({ action }) => action).slice(-2), ['ping', 'bye']);
  assert.equal(replies.at(-2)?.ref, 7);
});

test('a server that is full or drains refuses a hello like any other', async (t) => {
  // With it, clients of this machine are no administrators, whom a drain lets in.
  const adminTokens = ['admin-0123456789abcdef'];
  const { connect, server } = await setUp(t, { limits: { maxSessions: 1 }, adminTokens });
  const holder = await connect();
  const { session } = await holder.ask({ action: 'hello' });
  await holder.ask(lock(write('a')));
  const full = await connect();
  full.send({ action: 'hello' }, lock(write('b')));
  assert.deepEqual(await codesOf(full, 2), ['too_many_sessions', 'hello_refused']);

  const drained = server.drain(60_000);
  await until(() => holder.unread.length > 0);
  const late = await connect();
  late.send({ action: 'hello' }, lock(write('b')));
  assert.deepEqual(await codesOf(late, 2), ['draining', 'hello_refused']);
  late.send({ action: 'hello', session });
  assert.equal((await late.next()).resumed, true, 'a resume is a hello that is accepted');
  await late.next();
  await late.next();
  await late.ask({ action: 'release' });
  await drained;
});

async function codesOf(client: LineClient, count: number): Promise<unknown[]> {
  const replies: unknown[] = [];
  while (replies.length < count) replies.push(codeOf(await client.next()));
  return replies;
}

test('a mistake in another first message is none in a hello: what follows begins a session', async (t: TestContext) => {
  const { connect } = await setUp(t);
  const client = await connect();
  client.send({ action: 'lock' }, lock(write('a')));
  assert.equal(codeOf(await client.next()), 'bad_request');
  assert.equal((await client.next()).state, 'acquired');
});
