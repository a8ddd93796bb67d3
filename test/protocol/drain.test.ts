/** A server that drains: nothing new, nothing waits, and who holds a lock may finish. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { ServerOptions } from '../../src/server-options.ts';
import { ask } from '../support/http-client.ts';
import { type LineClient, lock, type Reply, write } from '../support/line-client.ts';
import { codeOf, setUp as setUpLines, take, unreadOf } from '../support/line-server.ts';
import { NOTHING_LEFT } from '../support/running-server.ts';
import { V1Client } from '../support/v1-client.ts';
import { WebSocketClient } from '../support/websocket-client.ts';

const TIMEOUT_MS = 10_000;

async function setUp(t: TestContext, options?: ServerOptions) {
  const lines = await setUpLines(t, options);
  const { server } = lines;
  /** A client that holds a lock, and the name of its session. */
  const hold = async (path: string, terms: object = {}) => {
    const { client, session } = await lines.greet();
    const { id } = await client.ask({ ...lock(write(path)), ref: path, ...terms });
    return { client, session, id: String(id) };
  };
  const v1 = () => V1Client.connect(t, server.address.port);
  return { ...lines, hold, v1, port: server.address.port };
}

/** The codes of errors, the states of locks: what was said, in short. */
function gist(replies: Reply[]): unknown[] {
  return replies.map((reply) => [reply.action, reply.ref, codeOf(reply) ?? reply.state]);
}

/** What everybody is told when it begins. */
const NOTICE = [undefined, undefined, 'draining'];
/** What is told last. */
const FAREWELL = [undefined, undefined, 'shutting_down'];

async function heardNotice(client: LineClient): Promise<void> {
  assert.deepEqual(gist([await client.next()]), [NOTICE]);
}

test('a holder is told once, may look and release, and is then disconnected', async (t) => {
  const { server, hold } = await setUp(t);
  const { client, id } = await hold('a');
  const drained = server.drain(TIMEOUT_MS);
  await heardNotice(client);
  assert.deepEqual(await client.ask({ action: 'ping', ref: 1 }), { action: 'ping', ref: 1 });
  client.send({ action: 'inspect', id, ref: 2 });
  assert.equal((await take(client, 2))[1]?.end, true);
  client.send({ action: 'release', id });
  assert.deepEqual(gist(await client.ended()), [['release', undefined, 'released'], FAREWELL]);
  assert.deepEqual(await drained, { cutOff: 0 });
  assert.deepEqual(server.counts, NOTHING_LEFT);
});

test('a drain of nobody is over at once, and a second one is the same', async (t) => {
  const { server, clock } = await setUp(t);
  const first = server.drain(TIMEOUT_MS);
  assert.equal(server.drain(1), first);
  assert.deepEqual(await first, { cutOff: 0 });
  assert.equal(clock.pendingTimers, 0);
});

test('the time is over: holders are cut off and counted, lost ones too', async (t) => {
  const { server, clock, hold, cut } = await setUp(t);
  const { client } = await hold('a');
  await cut((await hold('b')).client);
  const drained = server.drain(TIMEOUT_MS);
  await heardNotice(client);
  clock.advance(TIMEOUT_MS - 1);
  assert.deepEqual(await unreadOf(client), []);
  clock.advance(1);
  assert.deepEqual(gist(await client.ended()), [FAREWELL]);
  assert.deepEqual(await drained, { cutOff: 2 });
  assert.deepEqual(server.counts, NOTHING_LEFT);
});

test('without time it closes at once', async (t) => {
  const { server, hold } = await setUp(t);
  const { client } = await hold('a');
  const drained = server.drain(0);
  assert.deepEqual(gist(await client.ended()), [FAREWELL]);
  assert.deepEqual(await drained, { cutOff: 1 });
});

test('what waits leaves the queue, each request with its error, and nobody moves up', async (t) => {
  const { server, clock, watch, hold, greet } = await setUp(t);
  const { client: holder } = await hold('a');
  await holder.ask({ ...lock(write('b')), ref: 'b' });
  const { client: waiter } = await greet();
  // The second waits for the first alone, which must not make it held on the way out.
  await waiter.ask({ ...lock(write('c'), write('a')), ref: 1 });
  await waiter.ask({ ...lock(write('c')), ref: 2 });
  const { id } = await waiter.ask({ ...lock(write('b')), ref: 3, waitMs: 50 });
  const drained = server.drain(TIMEOUT_MS);
  const said = await waiter.ended();
  assert.deepEqual(gist(said), [
    NOTICE,
    ['lock', 3, 'draining'],
    ['lock', 2, 'draining'],
    ['lock', 1, 'draining'],
    FAREWELL,
  ]);
  assert.equal(said[1]?.id, id);
  assert.equal(watch.count('draining'), 3);
  assert.equal(watch.count('acquired'), 2);
  clock.advance(50);
  await heardNotice(holder);
  holder.send({ action: 'bye' });
  assert.deepEqual(await drained, { cutOff: 0 });
  assert.equal(clock.pendingTimers, 0);
});

test('no new locks, but a retry of a live one is answered with its state', async (t) => {
  const { server, hold } = await setUp(t);
  const { client, id } = await hold('a');
  void server.drain(TIMEOUT_MS);
  await heardNotice(client);
  const refused = await client.ask({ ...lock(write('z')), ref: 5 });
  assert.deepEqual(gist([refused]), [['lock', 5, 'draining']]);
  const again = await client.ask({ ...lock(write('a')), ref: 'a' });
  assert.deepEqual([again.id, again.state], [id, 'acquired']);
  const never = await client.ask({ ...lock(write('z')), ref: 6, waitMs: 0 });
  assert.equal(codeOf(never), 'draining');
});

test('who is idle, or only watches, is disconnected', async (t) => {
  const { server, hold, greet, connect } = await setUp(t);
  await hold('a');
  const { client: watcher } = await greet();
  await watcher.ask({ action: 'watch', path: [] });
  const nameless = await connect();
  await nameless.ask({ action: 'ping' });
  void server.drain(TIMEOUT_MS);
  assert.deepEqual(gist(await watcher.ended()), [NOTICE, FAREWELL]);
  assert.deepEqual(gist(await nameless.ended()), [NOTICE, FAREWELL]);
});

/** With one, clients of this machine are no administrators. */
const ADMIN_TOKEN = 'admin-0123456789abcdef';

test('no new sessions: whatever comes first on a connection is refused, but for bye', async (t) => {
  const { server, hold, connect } = await setUp(t, { adminTokens: [ADMIN_TOKEN] });
  await hold('a');
  void server.drain(TIMEOUT_MS);
  const client = await connect();
  client.send({ action: 'hello', ref: 1 }, { ...lock(write('b')), ref: 2 }, { action: 'stats' });
  assert.deepEqual(gist(await take(client, 3)), [
    ['hello', 1, 'draining'],
    ['lock', 2, 'hello_refused'],
    ['stats', undefined, 'hello_refused'],
  ]);
  const other = await connect();
  other.send({ ...lock(write('b')), ref: 2 }, { action: 'stats' });
  assert.deepEqual(gist(await take(other, 2)), [
    ['lock', 2, 'draining'],
    ['stats', undefined, 'draining'],
  ]);
  client.send({ action: 'bye', ref: 3 });
  assert.deepEqual(await client.ended(), [{ action: 'bye', ref: 3 }]);
  assert.equal(server.counts.sessions, 1);
});

test('an administrator may still look and evict, and the drain does not wait for it', async (t) => {
  const { server, hold, connect } = await setUp(t, { adminTokens: [ADMIN_TOKEN] });
  const { client, id } = await hold('a');
  const { client: other } = await hold('b');
  const drained = server.drain(TIMEOUT_MS);
  await heardNotice(client);
  const admin = await connect();
  admin.send({ action: 'hello', token: ADMIN_TOKEN }, { action: 'inspect', path: ['a'] });
  const [hello, ...seen] = await take(admin, 4);
  assert.equal(hello?.protocol, 2);
  assert.deepEqual(gist(seen.slice(0, 1)), [NOTICE]);
  assert.deepEqual([seen[1]?.id, seen[2]?.acquired], [id, 1]);
  const refused = await admin.ask({ ...lock(write('z')), ref: 1 });
  assert.deepEqual(gist([refused]), [['lock', 1, 'draining']]);
  assert.equal((await admin.ask({ action: 'evict', id })).locks, 1);
  assert.deepEqual(gist(await client.ended()), [['lock', 'a', 'evicted'], FAREWELL]);
  const gone = await connect();
  await gone.ask({ action: 'hello', token: ADMIN_TOKEN, namespace: 'elsewhere' });
  gone.send({ action: 'bye' });
  other.send({ action: 'bye' });
  assert.deepEqual(await drained, { cutOff: 0 });
  assert.deepEqual(gist(await admin.ended()), [FAREWELL]);
  assert.deepEqual(server.counts, NOTHING_LEFT);
});

test('an administrator by its place needs no hello to see what a drain waits for', async (t) => {
  const { server, hold, connect, cut } = await setUp(t);
  const { client, id } = await hold('a');
  const drained = server.drain(TIMEOUT_MS);
  const local = await connect();
  local.send({ action: 'inspect' });
  assert.equal((await take(local, 2))[0]?.id, id);
  const lost = await connect();
  await lost.ask({ action: 'hello' });
  await cut(lost);
  client.send({ action: 'release' });
  assert.deepEqual(await drained, { cutOff: 0 });
});

test('a lost holder can come back and release; it is told as well', async (t) => {
  const { server, hold, cut, connect } = await setUp(t);
  const { client, session } = await hold('a');
  await cut(client);
  const drained = server.drain(TIMEOUT_MS);
  const back = await connect();
  back.send({ action: 'hello', session });
  const [hello, ...rest] = await take(back, 3);
  assert.deepEqual([hello?.resumed, hello?.locks], [true, 1]);
  assert.deepEqual(gist(rest), [['lock', 'a', 'acquired'], NOTICE]);
  back.send({ action: 'release' });
  assert.deepEqual(gist(await back.ended()), [['release', undefined, 'released'], FAREWELL]);
  assert.deepEqual(await drained, { cutOff: 0 });
});

test('a holder can move to another connection, and the one before is closed', async (t) => {
  const { server, hold, connect } = await setUp(t);
  const { client, session } = await hold('a');
  const drained = server.drain(TIMEOUT_MS);
  const other = await connect();
  other.send({ action: 'hello', session }, { action: 'bye' });
  assert.deepEqual(gist(await client.ended()), [NOTICE, [undefined, undefined, 'taken_over']]);
  assert.equal((await other.ended()).at(-1)?.action, 'bye');
  assert.deepEqual(await drained, { cutOff: 0 });
});

test('a lost holder that is abandoned, or whose hold is over, is waited for no more', async (t) => {
  const { server, clock, hold, greet, cut } = await setUp(t);
  const { client: expiring } = await hold('a', { holdMs: 700 });
  await cut(expiring);
  const { client: abandoned } = await greet({ abandonTimeoutMs: 900 });
  await abandoned.ask(lock(write('b')));
  await cut(abandoned);
  const drained = server.drain(TIMEOUT_MS);
  clock.advance(899);
  assert.equal(server.counts.sessions, 1);
  clock.advance(1);
  assert.deepEqual(await drained, { cutOff: 0 });
  assert.equal(clock.pendingTimers, 0);
});

test('a hold that is over ends its session; one of two does not', async (t) => {
  const { server, clock, hold } = await setUp(t);
  const { client } = await hold('a', { holdMs: 700 });
  await client.ask({ ...lock(write('b')), ref: 'b' });
  const drained = server.drain(TIMEOUT_MS);
  await heardNotice(client);
  clock.advance(700);
  assert.deepEqual(gist(await unreadOf(client)), [['lock', 'a', 'expired']]);
  client.send({ action: 'release' });
  assert.deepEqual(gist(await client.ended()), [['release', undefined, 'released'], FAREWELL]);
  assert.deepEqual(await drained, { cutOff: 0 });
});

test('a promised heartbeat must be kept; the lost session still holds', async (t) => {
  const { server, clock, greet } = await setUp(t);
  const { client } = await greet({ heartbeatMs: 100 });
  await client.ask(lock(write('a')));
  const drained = server.drain(TIMEOUT_MS);
  clock.advance(100);
  assert.deepEqual(gist(await client.ended()), [NOTICE, [undefined, undefined, 'silent']]);
  assert.equal(server.counts.acquired, 1);
  clock.advance(TIMEOUT_MS);
  assert.deepEqual(await drained, { cutOff: 1 });
});

test('v1: the idle are closed, waiters are told in words, holders may release', async (t) => {
  const { server, v1 } = await setUp(t);
  const [idle, holder, waiter] = [await v1(), await v1(), await v1()];
  const id = await holder.acquire(write('a'));
  await waiter.enqueue(write('a'));
  const drained = server.drain(TIMEOUT_MS);
  assert.deepEqual([(await idle.closed()).code, (await idle.closed()).unread], [1001, []]);
  const { code, unread } = await waiter.closed();
  assert.equal(code, 1001);
  assert.match(String(unread), /^the server is about to stop/);
  // The lock that it asks for behind its release comes too late: the session has ended.
  holder.send({ action: 'release' }, lock(write('b')));
  const end = await holder.closed();
  assert.deepEqual([end.code, end.unread.length], [1001, 1]);
  assert.match(String(end.unread), new RegExp(`"${id}".*"ready"`));
  assert.deepEqual(await drained, { cutOff: 0 });
});

test('v1: a mistake costs a holder its connection, and the lock still counts as held', async (t) => {
  const { server, clock, v1 } = await setUp(t);
  const holder = await v1();
  await holder.acquire(write('a'));
  const drained = server.drain(TIMEOUT_MS);
  holder.send(lock(write('b')));
  assert.equal((await holder.closed()).code, 3000);
  assert.equal(server.counts.acquired, 1);
  clock.advance(TIMEOUT_MS);
  assert.deepEqual(await drained, { cutOff: 1 });
});

test('over HTTP: alive but not ready, no handshake for v1, one for v2', async (t) => {
  const { server, port, hold } = await setUp(t);
  const { client, session } = await hold('a');
  assert.equal((await ask(port, '/readyz')).status, 200);
  void server.drain(TIMEOUT_MS);
  assert.equal((await ask(port, '/livez')).status, 200);
  const ready = await ask(port, '/readyz');
  assert.equal(ready.status, 503);
  assert.match(ready.body, /^The server is stopping: /, 'it says why');
  assert.match((await ask(port, '/metrics')).body, /^locktopus_draining 1$/m);
  await assert.rejects(WebSocketClient.connect(t, port), /^Error: HTTP\/1\.1 503 /);
  const back = await WebSocketClient.connect(t, port, '/v2');
  back.send({ action: 'hello', session });
  assert.equal((await back.next()).resumed, true);
  await client.ended();
});
