/** Resuming over real sockets: what the new connection is told, the old one too, and wrong names. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lock, read, write } from '../support/line-client.ts';
import { codeOf, setUp, take, unreadOf } from '../support/line-server.ts';
import { NOTHING_LEFT } from '../support/running-server.ts';

test('a resumed session is told all its locks in order of arrival, with ref and state', async (t) => {
  const { connect, greet, cut, clock } = await setUp(t);
  const other = await connect();
  await other.ask(lock(write('b')));
  await other.ask({ ...lock(write('c')), ref: 'c' });
  const { client, session } = await greet({ abandonTimeoutMs: 1000, label: 'till' });
  const first = await client.ask({ ...lock(write('a')), ref: 1 });
  const second = await client.ask({ ...lock(write('b')), ref: '1' });
  const third = await client.ask(lock(write('c')));
  await cut(client);
  clock.advance(999);
  await other.ask({
    action: 'release',
    id: (await other.ask({ ...lock(write('c')), ref: 'c' })).id,
  });
  const again = await connect();
  const hello = await again.ask({ action: 'hello', session, ref: 'h' });
  assert.equal(hello.session, session);
  assert.equal(hello.ref, 'h');
  assert.equal(hello.namespace, 'default');
  assert.equal(hello.abandonTimeoutMs, 1000);
  assert.equal(hello.resumed, true);
  assert.equal(hello.locks, 3);
  assert.deepEqual(await take(again, 3), [first, second, { ...third, state: 'acquired' }]);
  await other.ask({ action: 'release' });
  assert.deepEqual(await again.next(), { ...second, state: 'acquired' });
});

test('a session that has nothing can be resumed as well', async (t) => {
  const { connect, greet, cut } = await setUp(t);
  const { client, session } = await greet({ namespace: 'shop' });
  await cut(client);
  const again = await connect();
  const hello = await again.ask({ action: 'hello', session });
  assert.deepEqual([hello.namespace, hello.resumed, hello.locks], ['shop', true, 0]);
  assert.deepEqual(await unreadOf(again), []);
});

test('a live connection is told that it was taken over, and ended; its session goes on', async (t) => {
  const { connect, greet, server, watch, clock } = await setUp(t);
  const { client, session } = await greet({ abandonTimeoutMs: 0 });
  await client.ask({ ...lock(write('a')), ref: 1 });
  const again = await connect();
  await again.ask({ action: 'hello', session });
  // What the old connection still sends is not carried out.
  client.send({ action: 'release' });
  const last = await client.ended();
  assert.deepEqual(last.map(codeOf), ['taken_over']);
  assert.equal('action' in (last[0] ?? {}), false);
  client.socket.destroy();
  await watch.until('disconnected');
  assert.equal(server.counts.acquired, 1);
  assert.equal((await again.next()).state, 'acquired');
  assert.equal((await again.ask({ action: 'release' })).state, 'released');
  assert.equal(clock.pendingTimers, 0);
});

test('a session changes hands again and again, and only the last one has it', async (t) => {
  const { connect, greet, server } = await setUp(t);
  const { client, session } = await greet();
  await client.ask({ ...lock(write('a')), ref: 1 });
  let last = client;
  for (let i = 0; i < 20; i++) {
    const next = await connect();
    assert.equal((await next.ask({ action: 'hello', session })).locks, 1);
    assert.deepEqual((await last.ended()).map(codeOf).at(-1), 'taken_over');
    last = next;
  }
  assert.equal(server.counts.sessions, 1);
});

test('wrong, abandoned and ended names get the same bytes, and a fresh hello is welcome', async (t) => {
  const { connect, greet, cut, clock } = await setUp(t);
  const abandoned = await greet({ abandonTimeoutMs: 10 });
  await cut(abandoned.client);
  clock.advance(10);
  const ended = await greet();
  await ended.client.ask({ action: 'bye' });
  const atOnce = await greet({ abandonTimeoutMs: 0 });
  await cut(atOnce.client);
  const names = [abandoned.session, ended.session, atOnce.session, 'x'.repeat(32), '', '__proto__'];
  const answers = new Set<string>();
  const client = await connect();
  for (const session of names) {
    client.send({ action: 'hello', session });
    answers.add(await client.nextLine());
  }
  assert.equal(answers.size, 1);
  assert.match([...answers].join(), /no_such_session/);
  const hello = await client.ask({ action: 'hello', namespace: 'shop' });
  assert.equal(hello.namespace, 'shop');
  assert.equal(names.includes(String(hello.session)), false);
});

test('a session name is never used twice', async (t) => {
  const { greet } = await setUp(t);
  const names = new Set<string>();
  for (let i = 0; i < 100; i++) {
    const { client, session } = await greet();
    names.add(session);
    client.send({ action: 'bye' });
  }
  assert.equal(names.size, 100);
});

test('nothing of a resumed session can be chosen anew but its heartbeat', async (t) => {
  const { connect, greet, cut } = await setUp(t);
  const { client, session } = await greet();
  await cut(client);
  const again = await connect();
  for (const field of [{ namespace: 'x' }, { abandonTimeoutMs: 1 }, { label: 'x' }]) {
    assert.equal(codeOf(await again.ask({ action: 'hello', session, ...field })), 'bad_request');
  }
  assert.equal((await again.ask({ action: 'hello', session, heartbeatMs: 5 })).heartbeatMs, 5);
  assert.equal(codeOf(await again.ask({ action: 'hello', session })), 'hello_not_first');
});

test('a session resumed on one connection can be resumed from the next one after its loss', async (t) => {
  const { connect, greet, cut, clock, server, watch } = await setUp(t);
  const { client, session } = await greet({ abandonTimeoutMs: 100 });
  await client.ask({ ...lock(read('a')), ref: 1 });
  await cut(client);
  for (let i = 0; i < 3; i++) {
    clock.advance(99);
    const next = await connect();
    assert.equal((await next.ask({ action: 'hello', session })).locks, 1);
    await cut(next);
  }
  clock.advance(100);
  assert.equal(watch.count('abandoned'), 1);
  assert.deepEqual(server.counts, NOTHING_LEFT);
});

test('a grant whose reply was lost: the retry with the same ref holds one lock, and waits for nobody', async (t) => {
  const { connect, greet, cut, server, watch } = await setUp(t);
  const request = { ...lock(write('a')), ref: 'job', owner: 'me' };
  const { client, session } = await greet();
  client.socket.pause();
  client.send(request);
  await watch.until('acquired');
  await cut(client);
  const again = await connect();
  again.send({ action: 'hello', session }, request, { ...request, waitMs: 0 });
  const [, told, retried, tried] = await take(again, 4);
  assert.equal(told?.state, 'acquired');
  assert.deepEqual(retried, told);
  assert.deepEqual(tried, told);
  assert.equal(server.counts.acquired, 1);
  assert.equal(server.counts.enqueued, 0);
  await again.ask({ action: 'release' });
  assert.equal(server.counts.acquired, 0, 'one release is enough');
});

test('a grant that was lost with its connection while it waited: the retry finds it held', async (t) => {
  const { connect, greet, cut, server } = await setUp(t);
  const holder = await connect();
  await holder.ask(lock(write('a')));
  const request = { ...lock(write('a')), ref: 'job' };
  const { client, session } = await greet();
  const enqueued = await client.ask(request);
  await cut(client);
  await holder.ask({ action: 'release' });
  const again = await connect();
  again.send({ action: 'hello', session }, request);
  const [, told, retried] = await take(again, 3);
  assert.deepEqual(told, { ...enqueued, state: 'acquired' });
  assert.deepEqual(retried, told);
  assert.equal(server.counts.acquired, 1);
});

test('a wrong id, or the id of somebody else, releases nothing, also after a resume', async (t) => {
  const { connect, greet, cut, server } = await setUp(t);
  const victim = await greet();
  const { id } = await victim.client.ask(lock(write('a')));
  const { client, session } = await greet();
  await client.ask(lock(write('b')));
  await cut(client);
  const again = await connect();
  await again.ask({ action: 'hello', session });
  await again.next();
  assert.equal(codeOf(await again.ask({ action: 'release', id })), 'no_such_lock');
  assert.equal(server.counts.acquired, 2);
});

test('a heartbeat whose reply was lost counts', async (t) => {
  const { greet, clock, server } = await setUp(t);
  const { client } = await greet({ heartbeatMs: 100 });
  client.socket.pause();
  clock.advance(60);
  client.send({ action: 'ping' }, lock(write('a')));
  // The lock shows that the ping before it was read, though nobody reads the answers.
  while (server.counts.acquired === 0) await new Promise((resolve) => setImmediate(resolve));
  clock.advance(99);
  client.socket.resume();
  assert.equal((await client.next()).action, 'ping');
  assert.equal((await client.next()).state, 'acquired');
  assert.deepEqual(await unreadOf(client), []);
});

test('a broken heartbeat promise ends the connection with a word, and starts the abandon timeout', async (t) => {
  const { connect, greet, clock, server } = await setUp(t);
  const { client, session } = await greet({ heartbeatMs: 100, abandonTimeoutMs: 1000 });
  await client.ask({ ...lock(write('a')), ref: 1 });
  clock.advance(99);
  assert.deepEqual(await unreadOf(client), []);
  clock.advance(100);
  assert.deepEqual((await client.ended()).map(codeOf), ['silent']);
  clock.advance(999);
  assert.equal(server.counts.acquired, 1);
  const again = await connect();
  assert.equal((await again.ask({ action: 'hello', session })).locks, 1);
  assert.equal((await again.next()).state, 'acquired');
  clock.advance(100_000);
  assert.deepEqual(await unreadOf(again), [], 'the promise was the old connection’s');
});

test('whoever is silent for good loses its locks when the abandon timeout has passed as well', async (t) => {
  const { connect, greet, clock } = await setUp(t);
  const { client } = await greet({ heartbeatMs: 100, abandonTimeoutMs: 1000 });
  await client.ask(lock(write('a')));
  const waiter = await connect();
  await waiter.ask(lock(write('a')));
  clock.advance(1099);
  assert.deepEqual(await unreadOf(waiter), []);
  clock.advance(1);
  assert.equal((await waiter.next()).state, 'acquired');
});

test('a line that is no text is a sign of life like any other', async (t) => {
  const { greet, clock } = await setUp(t);
  const { client } = await greet({ heartbeatMs: 100 });
  for (const bytes of ['ff0a', '7b0a']) {
    clock.advance(60);
    client.sendRaw(Buffer.from(bytes, 'hex'));
    assert.notEqual(codeOf(await client.next()), 'silent');
  }
});
