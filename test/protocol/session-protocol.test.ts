/** The session protocol over real sockets: each action, each refusal, and the order of replies. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeRequest, isInvalid } from '../../src/protocol/decode.ts';
import { DEFAULT_LIMITS } from '../../src/runtime/limits.ts';
import { VERSION } from '../../src/version.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { LineClient, lock, read, write } from '../support/line-client.ts';
import { startServer, until } from '../support/running-server.ts';
import { Watch } from '../support/watch.ts';

async function setUp(t: Parameters<typeof startServer>[0], options = {}) {
  const clock = new FakeClock();
  const server = await startServer(t, { clock, ...options });
  const connect = () => LineClient.connect(t, server.address.port);
  return { clock, server, connect };
}

/** The code of an error reply. */
function codeOf(reply: Record<string, unknown>): unknown {
  return (reply.error as { code: unknown } | undefined)?.code;
}

test('a lock that nothing stands against is acquired at once, and released by its id', async (t) => {
  const { connect } = await setUp(t);
  const client = await connect();
  const acquired = await client.ask({ ...lock(write('a')), ref: 1 });
  assert.deepEqual(acquired, { action: 'lock', ref: 1, id: acquired.id, state: 'acquired' });
  assert.match(String(acquired.id), /^[0-9]{16}$/);
  const released = await client.ask({ action: 'release', id: acquired.id, ref: 'r' });
  assert.deepEqual(released, {
    action: 'release',
    ref: 'r',
    id: acquired.id,
    state: 'released',
  });
});

test('a lock that must wait is enqueued, and acquired when its turn comes', async (t) => {
  const { connect } = await setUp(t);
  const [first, second] = [await connect(), await connect()];
  await first.ask(lock(write('a')));
  const enqueued = await second.ask({ ...lock(read('a', 'b')), ref: 2 });
  assert.equal(enqueued.state, 'enqueued');
  await first.ask({ action: 'release' });
  assert.deepEqual(await second.next(), { ...enqueued, state: 'acquired' });
});

test('one session has many locks, and its own releases let its own waiters through, in order', async (t) => {
  const { connect } = await setUp(t);
  const client = await connect();
  client.send(
    { ...lock(write('a')), ref: 1 },
    { ...lock(write('a')), ref: 2 },
    { ...lock(write('b')), ref: 3 },
  );
  const ids: unknown[] = [];
  for (const state of ['acquired', 'enqueued', 'acquired']) {
    const reply = await client.next();
    assert.equal(reply.state, state);
    ids.push(reply.id);
  }
  client.send({ action: 'release', id: ids[0] });
  assert.deepEqual(await client.next(), { action: 'release', id: ids[0], state: 'released' });
  assert.deepEqual(await client.next(), { action: 'lock', ref: 2, id: ids[1], state: 'acquired' });
});

test('a release takes a waiting lock out of the queue, and those behind it move up', async (t) => {
  const { connect } = await setUp(t);
  const [holder, waiter, behind] = [await connect(), await connect(), await connect()];
  await holder.ask(lock(read('a')));
  await waiter.ask(lock(write('a')));
  assert.equal((await behind.ask(lock(read('a')))).state, 'enqueued');
  assert.equal((await waiter.ask({ action: 'release' })).state, 'released');
  assert.equal((await behind.next()).state, 'acquired');
});

test('limited reads are admitted up to their limit', async (t) => {
  const { connect } = await setUp(t);
  const client = await connect();
  const seat = lock({ type: 'read', path: ['gpu'], limit: 2 });
  client.send(seat, seat, seat);
  const replies = [await client.next(), await client.next(), await client.next()];
  assert.deepEqual(
    replies.map((reply) => reply.state),
    ['acquired', 'acquired', 'enqueued'],
  );
  client.send({ action: 'release', id: replies[1]?.id });
  await client.next();
  assert.deepEqual(await client.next(), { ...replies[2], state: 'acquired' });
});

test('a lock repeated with the ref of a living one answers how that stands, and takes nothing', async (t) => {
  const { connect, server } = await setUp(t);
  const client = await connect();
  const request = { ...lock(write('a'), read('b')), ref: 'job' };
  const first = await client.ask(request);
  assert.deepEqual(await client.ask(request), first);
  assert.equal(server.counts.acquired, 1);
  const sameResources = [{ path: ['a'], type: 'w' }, read('b')];
  assert.deepEqual(await client.ask({ ...lock(...sameResources), ref: 'job' }), first);
  for (const other of [[write('z')], [write('a')], [read('a'), read('b')], [write('a'), read()]]) {
    assert.equal(codeOf(await client.ask({ ...lock(...other), ref: 'job' })), 'ref_in_use');
  }
  const limited = [write('a'), { ...read('b'), limit: 1 }];
  assert.equal(codeOf(await client.ask({ ...lock(...limited), ref: 'job' })), 'ref_in_use');
  await client.ask({ action: 'release' });
  const second = await client.ask(request);
  assert.equal(second.state, 'acquired');
  assert.notEqual(second.id, first.id);
});

test('7 and "7" are different refs', async (t) => {
  const { connect, server } = await setUp(t);
  const client = await connect();
  await client.ask({ ...lock(read('a')), ref: 7 });
  assert.equal((await client.ask({ ...lock(read('a')), ref: '7' })).ref, '7');
  assert.equal(server.counts.acquired, 2);
});

test('hello chooses the namespace and tells the limits', async (t) => {
  const { connect, server } = await setUp(t, { limits: { maxSegmentsPerPath: 5 } });
  const client = await connect();
  const reply = await client.ask({ action: 'hello', namespace: 'shop', abandonTimeoutMs: 5 });
  assert.match(String(reply.session), /^[-_A-Za-z0-9]{32}$/);
  assert.deepEqual(reply, {
    action: 'hello',
    session: reply.session,
    sessionId: '1',
    namespace: 'shop',
    protocol: 2,
    version: VERSION,
    abandonTimeoutMs: 5,
    limits: {
      maxMessageBytes: 1_048_576,
      maxResourcesPerLock: 1000,
      maxSegmentsPerPath: 5,
      maxSegmentBytes: 1024,
      maxLocksPerSession: 10_000,
      maxWatches: 100,
    },
  });
  const other = await connect();
  await client.ask(lock(write()));
  assert.equal((await other.ask(lock(write()))).state, 'acquired', 'another namespace');
  assert.equal(server.counts.namespaces, 2);
});

test('hello has defaults, and is refused once the session has begun', async (t) => {
  const { connect } = await setUp(t, { defaultAbandonTimeoutMs: 1234 });
  const client = await connect();
  assert.equal(codeOf(await client.ask({ action: 'hello', namespace: 7 })), 'bad_request');
  const reply = await client.ask({ action: 'hello' });
  assert.equal(reply.namespace, 'default');
  assert.equal(reply.abandonTimeoutMs, 1234);
  assert.equal(codeOf(await client.ask({ action: 'hello' })), 'hello_not_first');
  const late = await connect();
  await late.ask({ action: 'ping' });
  assert.equal(codeOf(await late.ask({ action: 'hello' })), 'hello_not_first');
});

test('release without an id needs exactly one lock; only own locks can be released', async (t) => {
  const { connect, server } = await setUp(t);
  const [client, other] = [await connect(), await connect()];
  assert.equal(codeOf(await client.ask({ action: 'release' })), 'no_such_lock');
  await client.ask(lock(read('a')));
  await client.ask(lock(read('b')));
  assert.equal(codeOf(await client.ask({ action: 'release' })), 'id_needed');
  const { id } = await other.ask(lock(read('c')));
  assert.equal(codeOf(await client.ask({ action: 'release', id })), 'no_such_lock');
  assert.equal(codeOf(await client.ask({ action: 'release', id: '1' })), 'no_such_lock');
  assert.equal(server.counts.acquired, 3);
});

test('stats tells the numbers of the namespace', async (t) => {
  const { connect } = await setUp(t);
  const client = await connect();
  await client.ask(lock(write('a', 'b'), read('c')));
  await client.ask(lock(write('a')));
  assert.deepEqual(await client.ask({ action: 'stats', ref: 0 }), {
    action: 'stats',
    ref: 0,
    namespace: 'default',
    sessions: 1,
    locks: { acquired: 1, enqueued: 1 },
    resources: { acquired: 2, enqueued: 1 },
    paths: 3,
  });
});

test('help ends with a line that says so, and its examples are good requests', async (t) => {
  const { connect } = await setUp(t);
  const client = await connect();
  client.send({ action: 'help', ref: 1 });
  const examples: object[] = [];
  for (let line = await client.next(); line.end !== true; line = await client.next()) {
    assert.equal(line.action, 'help');
    assert.equal(line.ref, 1);
    if (line.example !== undefined) examples.push(line.example as object);
  }
  assert.ok(examples.length >= 8);
  for (const example of examples) {
    const decoded = decodeRequest(JSON.stringify(example), DEFAULT_LIMITS);
    assert.equal(isInvalid(decoded), false, JSON.stringify(example));
  }
});

test('bye releases everything at once and ends the connection', async (t) => {
  const { connect, server } = await setUp(t);
  const [client, waiter] = [await connect(), await connect()];
  await client.ask(lock(write('a')));
  await client.ask(lock(write('a')));
  await waiter.ask(lock(write('a')));
  assert.deepEqual(await client.ask({ action: 'bye', ref: 9 }), { action: 'bye', ref: 9 });
  assert.deepEqual(await client.ended(), []);
  assert.equal((await waiter.next()).state, 'acquired');
  assert.equal(server.counts.sessions, 1);
});

test('a wrong request costs an error reply, and the connection goes on', async (t) => {
  const { connect } = await setUp(t);
  const client = await connect();
  assert.deepEqual(await client.ask({ ...lock({ type: 'w', path: ['a', 1] }), ref: 8 }), {
    action: 'lock',
    ref: 8,
    error: { code: 'bad_request', message: 'resources[0].path[1] must be a string' },
  });
  assert.equal((await client.ask(lock(write('a')))).state, 'acquired');
  client.sendRaw('not json\n');
  assert.equal(codeOf(await client.next()), 'bad_json');
  client.sendRaw(Buffer.from('22ff220a', 'hex'));
  assert.equal(codeOf(await client.next()), 'bad_utf8');
  assert.deepEqual(await client.ask({ action: 'ping', ref: 1 }), { action: 'ping', ref: 1 });
});

test('a first line that is no JSON object ends the connection, with nothing done', async (t) => {
  const { connect, server } = await setUp(t);
  for (const line of ['hello', '[1]', '"x"', Buffer.from('ff', 'hex')]) {
    const client = await connect();
    client.sendRaw(Buffer.concat([Buffer.from(line as string), Buffer.from('\n')]));
    client.send(lock(write('a')));
    const replies = await client.ended();
    assert.equal(replies.length, 1);
    assert.match(JSON.stringify(replies), /bad_(json|utf8).*must begin with a JSON object/);
  }
  assert.equal(server.counts.namespaces, 0);
});

test('once a JSON object was sent, good or not, a line that is none costs an error only', async (t) => {
  const { connect } = await setUp(t);
  for (const first of ['{"action":"nope"}', '{"action":"lock"}']) {
    const client = await connect();
    client.sendRaw(`${first}\noops\n`);
    await client.next();
    assert.equal(codeOf(await client.next()), 'bad_json');
    assert.deepEqual(await client.ask({ action: 'ping' }), { action: 'ping' });
  }
});

test('a line of the limit is served; one byte more ends the connection, which is then lost', async (t) => {
  const { connect, clock, server } = await setUp(t, { limits: { maxMessageBytes: 200 } });
  const client = await connect();
  const request = JSON.stringify(lock(write('a')));
  client.sendRaw(`${request.padEnd(200)}\n`);
  assert.equal((await client.next()).state, 'acquired');
  client.sendRaw(`${request.padEnd(201)}\n{"action":"release"}\n`);
  const replies = await client.ended();
  assert.equal(replies.length, 1);
  assert.equal(codeOf(replies[0] ?? {}), 'message_too_long');
  assert.equal(server.counts.acquired, 1);
  clock.advance(60_000);
  assert.equal(server.counts.acquired, 0);
});

test('limits have codes of their own', async (t) => {
  const limits = {
    maxResourcesPerLock: 2,
    maxSegmentsPerPath: 2,
    maxSegmentBytes: 2,
    maxLocksPerSession: 2,
    maxWaitersPerNamespace: 1,
  };
  const { connect } = await setUp(t, { limits });
  const client = await connect();
  const code = async (...resources: object[]) => codeOf(await client.ask(lock(...resources)));
  assert.equal(await code(read(), read(), read()), 'too_many_resources');
  assert.equal(await code(read('1', '2', '3')), 'path_too_long');
  assert.equal(await code(read('123')), 'segment_too_long');
  assert.equal(await code(read('1', '2'), read('12')), undefined);
  assert.equal(await code(write()), undefined);
  assert.equal(await code(read()), 'too_many_locks');
  const other = await connect();
  assert.equal(codeOf(await other.ask(lock(write()))), 'too_many_waiters');
});

test('a session is the same wherever its bytes are cut', async (t) => {
  const { connect } = await setUp(t);
  const script = Buffer.from(
    '{"action":"hello","namespace":"grün"}\r\n\n{"action":"lock","ref":"ü","resources":[{"type":"w","path":["ä"]}]}\n{"action":"release"}\n{"action":"bye"}\n',
  );
  for (let cut = 1; cut < script.length; cut += 1) {
    const client = await connect();
    client.sendRaw(script.subarray(0, cut));
    // The reply to a ping of another connection shows that the first piece has been read.
    const other = await connect();
    await other.ask({ action: 'bye' });
    client.sendRaw(script.subarray(cut));
    const replies = await client.ended();
    assert.deepEqual(
      replies.map((reply) => [reply.action, reply.state]),
      [
        ['hello', undefined],
        ['lock', 'acquired'],
        ['release', 'released'],
        ['bye', undefined],
      ],
      `cut at ${cut}`,
    );
  }
});

test('thousands of requests in one packet are answered in order', async (t) => {
  const { connect } = await setUp(t);
  const client = await connect();
  const count = 5000;
  client.send(...Array.from({ length: count }, (_, ref) => ({ action: 'ping', ref })));
  for (let ref = 0; ref < count; ref++) assert.equal((await client.next()).ref, ref);
});

test('the replies to one chunk of input leave in one write', async (t) => {
  const { connect } = await setUp(t);
  const client = await connect();
  const chunks: string[] = [];
  client.socket.on('data', (text: string) => chunks.push(text));
  client.send(...Array.from({ length: 50 }, (_, ref) => ({ action: 'ping', ref })));
  for (let ref = 0; ref < 50; ref++) await client.next();
  assert.equal(chunks.length, 1);
});

test('a cut connection leaves its lock for the abandon timeout', async (t) => {
  const { connect, clock } = await setUp(t);
  const [client, waiter] = [await connect(), await connect()];
  await client.ask({ action: 'hello', abandonTimeoutMs: 500 });
  await client.ask(lock(write('a')));
  await waiter.ask(lock(write('a')));
  client.socket.resetAndDestroy();
  await until(() => clock.pendingTimers === 1);
  clock.advance(499);
  await waiter.ask({ action: 'ping' });
  assert.deepEqual(waiter.unread, []);
  clock.advance(1);
  assert.equal((await waiter.next()).state, 'acquired');
});

test('a half-closed connection is answered, then lost; a request that was cut off is not done', async (t) => {
  const { connect, server } = await setUp(t, { defaultAbandonTimeoutMs: 0 });
  const client = await connect();
  client.send({ action: 'ping' }, lock(write('a')));
  client.sendRaw(JSON.stringify(lock(write('b'))));
  client.socket.end();
  const replies = await client.ended();
  assert.deepEqual(
    replies.map((reply) => reply.action ?? codeOf(reply)),
    ['ping', 'lock', 'bad_json'],
  );
  assert.equal(server.counts.acquired, 0);
});

test('a peer that does not read is cut when too much waits for it, and its waiters are gone', async (t) => {
  const { connect, server } = await setUp(t, {
    limits: { maxUnreadBytes: 100_000 },
    defaultAbandonTimeoutMs: 0,
  });
  const [client, witness] = [await connect(), await connect()];
  await client.ask(lock(write('a')));
  await witness.ask(lock(write('a')));
  client.socket.pause();
  const flood = `${JSON.stringify({ action: 'help' })}\n`.repeat(200);
  const pump = (): void => {
    while (!client.socket.destroyed && client.socket.write(flood));
  };
  client.socket.on('drain', pump);
  client.socket.on('error', () => {});
  pump();
  assert.equal((await witness.next()).state, 'acquired');
  assert.equal(server.counts.sessions, 1);
});

test('what stands behind the reply that was too much is not carried out', async (t) => {
  const { connect, server } = await setUp(t, { limits: { maxUnreadBytes: 1000 } });
  const client = await connect();
  client.send(...Array(100).fill({ action: 'ping' }), lock(write('late')));
  await client.ended();
  assert.equal(server.counts.acquired, 0);
});

test('a peer that says goodbye but does not close its side is cut after a while', async (t) => {
  const { connect, server, clock } = await setUp(t);
  const client = await connect();
  client.socket.allowHalfOpen = true;
  client.send({ action: 'bye' });
  await client.ended();
  assert.equal(server.counts.connections, 1);
  clock.advance(5000);
  await until(() => server.counts.connections === 0);
  assert.equal(clock.pendingTimers, 0);
});

test('the end of the input takes waiters out at once, though answers are still on their way', async (t) => {
  const watch = new Watch();
  const { connect, server } = await setUp(t, { lockObserver: watch });
  const [holder, leaver] = [await connect(), await connect()];
  await holder.ask(lock(write('a')));
  leaver.socket.pause();
  leaver.send(lock(write('a')));
  // More than the kernel keeps for a peer that does not read: the server can't close yet.
  leaver.send(...Array(4000).fill({ action: 'help' }));
  leaver.socket.end();
  await watch.until('lost');
  assert.equal(server.counts.connections, 2);
  assert.equal(server.counts.acquired, 1);
  leaver.socket.destroy();
});

test('the server says why when it stops, and grants nothing on its way out', async (t) => {
  const { connect, server } = await setUp(t);
  const [holder, waiter, silent] = [await connect(), await connect(), await connect()];
  await holder.ask(lock(write('a')));
  await waiter.ask(lock(write('a')));
  silent.sendRaw('{');
  await holder.ask({ action: 'ping' });
  const endings = Promise.all([holder.ended(), waiter.ended(), silent.ended()]);
  for (const client of [holder, waiter, silent]) client.socket.on('end', () => client.socket.end());
  await server.close();
  for (const replies of await endings) {
    assert.deepEqual(replies.map(codeOf), ['shutting_down']);
  }
  assert.equal(server.counts.sessions, 0);
});

test('a client that does not close its side is cut after a while when the server stops', async (t) => {
  const { connect, server, clock } = await setUp(t);
  const client = await connect();
  await client.ask(lock(write('a')));
  client.socket.allowHalfOpen = true;
  const closed = server.close();
  await client.ended();
  clock.advance(5000);
  await closed;
});

test('a client that chooses a longer abandon timeout than may be is told so, and may choose again', async (t) => {
  const { connect } = await setUp(t, { limits: { maxAbandonTimeoutMs: 5000 } });
  const client = await connect();
  const refused = await client.ask({ action: 'hello', ref: 1, abandonTimeoutMs: 5001 });
  assert.deepEqual(refused.error, {
    code: 'bad_request',
    message: 'abandonTimeoutMs may be at most 5000 on this server',
  });
  const hello = await client.ask({ action: 'hello', abandonTimeoutMs: 5000 });
  assert.equal(hello.abandonTimeoutMs, 5000);
  const indifferent = await connect();
  assert.equal((await indifferent.ask({ action: 'hello' })).abandonTimeoutMs, 5000);
});
