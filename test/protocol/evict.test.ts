/** `evict` over real sockets: what each victim hears, who may, and what is kept of it. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { WebSocket } from 'ws';
import type { ServerOptions } from '../../src/server-options.ts';
import { converse } from '../support/conversation.ts';
import { type LineClient, lock, type Reply, write } from '../support/line-client.ts';
import { codeOf, setUp, take, unreadOf } from '../support/line-server.ts';
import { setUp as setUpHost } from '../support/session-host.ts';
import { V1Client } from '../support/v1-client.ts';

const ADMIN_TOKEN = 'admin-token-00001';

/** A server that writes down what administrators do. */
async function setUpAdmin(t: TestContext, options: ServerOptions = {}) {
  const evictions: string[] = [];
  const adminObserver: ServerOptions['adminObserver'] = {
    evicted: ({ session, lock: taken, locks }, by) =>
      evictions.push(`${taken?.id ?? `session ${session.id}`} ${locks} ${by}`),
  };
  return { ...(await setUp(t, { adminObserver, ...options })), evictions };
}

function clientOf({ socket }: LineClient): string {
  return `127.0.0.1:${socket.localPort}`;
}

test('a held lock is taken away: answer, victim, next in line, and the watchers hear of it', async (t) => {
  const { connect, evictions } = await setUpAdmin(t);
  const [victim, next, admin] = [await connect(), await connect(), await connect()];
  const { id } = await victim.ask({ ...lock(write('a')), ref: 1 });
  await victim.ask({ ...lock(write('b')), ref: 2 });
  const waiting = await next.ask({ ...lock(write('a')), ref: 3 });
  await admin.ask({ action: 'watch' });
  admin.send({ action: 'evict', ref: 'e', id });
  const said = await take(admin, 3);
  assert.deepEqual(
    said.map(({ event, ref, locks, ...rest }) => [event ?? ref, locks, rest.id]),
    [
      ['e', 1, id],
      ['evicted', undefined, id],
      ['acquired', undefined, waiting.id],
    ],
  );
  assert.deepEqual(await victim.next(), { action: 'lock', ref: 1, id, state: 'evicted' });
  assert.deepEqual(await next.next(), { ...waiting, state: 'acquired' });
  assert.equal(codeOf(await victim.ask({ action: 'release', id })), 'no_such_lock');
  assert.equal((await victim.ask({ action: 'release' })).state, 'released', 'the other one stays');
  assert.deepEqual(evictions, [`${id} 1 ${clientOf(admin)}`]);
});

test('an enqueued lock is taken away, and never acquired after that', async (t) => {
  const { connect } = await setUpAdmin(t);
  const [holder, victim, admin] = [await connect(), await connect(), await connect()];
  await holder.ask(lock(write('a')));
  const { id } = await victim.ask({ ...lock(write('a')), ref: 'r' });
  assert.deepEqual(await admin.ask({ action: 'evict', id }), { action: 'evict', id, locks: 1 });
  assert.deepEqual(await victim.next(), { action: 'lock', ref: 'r', id, state: 'evicted' });
  await holder.ask({ action: 'release' });
  assert.deepEqual(await unreadOf(victim), []);
  const again = await victim.ask({ ...lock(write('a')), ref: 'r' });
  assert.equal(again.state, 'acquired', 'its ref is free again');
  assert.notEqual(again.id, id);
});

test('a session is ended: the client is told, and can never resume it', async (t) => {
  const { connect, greet, evictions, server } = await setUpAdmin(t);
  const { client: victim, session } = await greet({ label: 'till' });
  const admin = await connect();
  const held = await victim.ask(lock(write('a')));
  await victim.ask(lock(write('a')));
  const [{ sessionId } = {} as Reply] = await inspectAll(admin);
  assert.equal(sessionId, '1');
  assert.deepEqual(await admin.ask({ action: 'evict', sessionId }), {
    action: 'evict',
    sessionId,
    locks: 2,
  });
  const [farewell = {}] = await victim.ended();
  assert.equal(codeOf(farewell), 'evicted');
  assert.equal(farewell.action, undefined);
  assert.deepEqual(await inspectAll(admin), []);
  const back = await connect();
  assert.equal(codeOf(await back.ask({ action: 'hello', session })), 'no_such_session');
  assert.equal(codeOf(await admin.ask({ action: 'evict', sessionId })), 'no_such_session');
  assert.equal(codeOf(await admin.ask({ action: 'evict', id: held.id })), 'no_such_lock');
  assert.deepEqual(evictions, [`session 1 2 ${clientOf(admin)}`]);
  assert.equal(server.counts.acquired + server.counts.enqueued, 0);
});

test('a lost session that is ended can not be resumed, and its locks are free at once', async (t) => {
  const { connect, greet, cut } = await setUpAdmin(t);
  const { client, session } = await greet({ abandonTimeoutMs: 1_000_000 });
  await client.ask(lock(write('a')));
  await cut(client);
  const admin = await connect();
  assert.equal((await admin.ask({ action: 'evict', sessionId: '1' })).locks, 1);
  assert.equal((await admin.ask(lock(write('a')))).state, 'acquired');
  const back = await connect();
  assert.equal(codeOf(await back.ask({ action: 'hello', session })), 'no_such_session');
});

test('of a session that was taken over, the connection that has it now is told', async (t) => {
  const { connect, greet } = await setUpAdmin(t);
  const { client: before, session } = await greet();
  const after = await connect();
  await after.ask({ action: 'hello', session });
  await before.ended();
  const admin = await connect();
  await admin.ask({ action: 'evict', sessionId: '1' });
  assert.deepEqual((await after.ended()).map(codeOf), ['evicted']);
});

test('administrators can take from themselves, and only within their namespace', async (t) => {
  const { connect, greet } = await setUpAdmin(t);
  const { client: other } = await greet({ namespace: 'other' });
  const { id } = await other.ask(lock(write('a')));
  const admin = await connect();
  const own = await admin.ask({ ...lock(write('a')), ref: 1 });
  assert.equal(codeOf(await admin.ask({ action: 'evict', id })), 'no_such_lock');
  assert.equal(codeOf(await admin.ask({ action: 'evict', sessionId: '1' })), 'no_such_session');
  assert.deepEqual(await admin.ask({ action: 'evict', id: own.id }), {
    action: 'evict',
    id: own.id,
    locks: 1,
  });
  assert.deepEqual(await admin.next(), { ...own, state: 'evicted' });
  admin.send({ action: 'evict', sessionId: '2' }, { action: 'ping' });
  const rest = await admin.ended();
  assert.deepEqual(rest[0], { action: 'evict', sessionId: '2', locks: 0 });
  assert.deepEqual(
    rest.slice(1).map(codeOf),
    ['evicted'],
    'and nothing of what it said after that',
  );
});

test('on WebSocket the session ends with close code 4002', async (t) => {
  const { connect, server } = await setUpAdmin(t);
  const socket = new WebSocket(`ws://127.0.0.1:${server.address.port}/v2`);
  t.after(() => socket.terminate());
  const closed = new Promise<number>((resolve) => socket.on('close', resolve));
  await new Promise((resolve) => socket.on('open', resolve));
  socket.send(JSON.stringify(lock(write('a'))));
  await new Promise((resolve) => socket.once('message', resolve));
  const admin = await connect();
  await admin.ask({ action: 'evict', sessionId: '1' });
  assert.equal(await closed, 4002);
});

for (const what of ['its lock', 'its session'] as const) {
  test(`a client of v1 that loses ${what} hears a sentence and is closed with 3000`, async (t) => {
    const { greet, server } = await setUpAdmin(t);
    const { client: admin } = await greet({ namespace: 'test' });
    const victim = await V1Client.connect(t, server.address.port);
    const id = await victim.acquire(write('a'));
    const next = await V1Client.connect(t, server.address.port);
    const nextId = await next.enqueue(write('a'));
    const request = what === 'its lock' ? { id } : { sessionId: '2' };
    const answer = await admin.ask({ action: 'evict', ...request });
    assert.deepEqual(answer, { action: 'evict', ...request, locks: 1 });
    await next.granted(nextId);
    const { code, unread } = await victim.closed();
    assert.equal(code, 3000);
    assert.deepEqual(unread, ['an administrator has ended this session; its lock is released']);
    assert.equal(server.counts.sessions, 2);
  });
}

test('with an admin token nobody else may, though it comes from this machine', async (t) => {
  const { connect, greet, evictions } = await setUpAdmin(t, { adminTokens: [ADMIN_TOKEN] });
  const client = await connect();
  const { id } = await client.ask(lock(write('a')));
  const refused = await client.ask({ action: 'evict', ref: 7, id });
  assert.equal(codeOf(refused), 'forbidden');
  assert.equal(refused.ref, 7);
  assert.equal(codeOf(await client.ask({ action: 'evict', id: '1' })), 'forbidden');
  assert.deepEqual(evictions, []);
  const { client: admin } = await greet({ token: ADMIN_TOKEN });
  assert.equal((await admin.ask({ action: 'evict', id })).locks, 1);
});

test('without an admin token it is for who is on this machine, and forbidden to others', () => {
  const { host } = setUpHost();
  const remote = converse(host, { locality: 'remote' }).ask;
  const neighbour = converse(host).ask;
  const { id } = remote(lock(write('a')));
  assert.equal(codeOf(remote({ action: 'evict', id })), 'forbidden');
  assert.equal(neighbour({ action: 'evict', id }).locks, 1);
});

async function inspectAll(client: LineClient): Promise<Reply[]> {
  client.send({ action: 'inspect' });
  const lines: Reply[] = [];
  for (let line = await client.next(); line.end !== true; line = await client.next()) {
    lines.push(line);
  }
  return lines;
}
