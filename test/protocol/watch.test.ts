/** `watch` over real sockets: each event, where it is heard, its bounds, and watchers that are slow. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { converse } from '../support/conversation.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { lock, type Reply, read, write } from '../support/line-client.ts';
import { codeOf, setUp, unreadOf } from '../support/line-server.ts';
import { setUp as setUpHost } from '../support/session-host.ts';

/** Events as words: which, and of which lock. */
function words(events: readonly Reply[]): string[] {
  return events.map(({ event, label }) => `${event} ${label}`);
}

test('a watcher hears of everything that happens to a lock, with the words of its client', async (t) => {
  const { connect, greet, clock } = await setUp(t);
  clock.advance(1000.7);
  const watcher = await connect();
  assert.deepEqual(await watcher.ask({ action: 'watch', path: ['a'], ref: 1 }), {
    action: 'watch',
    ref: 1,
    path: ['a'],
  });
  const { client } = await greet({ label: 'till' });
  const { id } = await client.ask({ ...lock(write('a', 'b'), read('c')), label: 'l', owner: 'o' });
  const event = await watcher.next();
  assert.deepEqual(event, {
    action: 'watch',
    event: 'acquired',
    id,
    atMs: 1000,
    resources: [write('a', 'b'), read('c')],
    client: event.client,
    sessionId: '2',
    session: 'till',
    label: 'l',
    owner: 'o',
  });
  clock.advance(0.3);
  await client.ask({ action: 'release' });
  assert.deepEqual(await watcher.next(), { ...event, event: 'released', atMs: 1001 });
});

test('events are dated from the start of the server, not from that of its clock', async (t) => {
  const clock = new FakeClock();
  clock.advance(5000);
  const { connect } = await setUp(t, { clock });
  const [watcher, client] = [await connect(), await connect()];
  await watcher.ask({ action: 'watch' });
  clock.advance(70);
  await client.ask(lock(write('a')));
  assert.equal((await watcher.next()).atMs, 70);
});

test('there is an event for each thing that can happen', async (t) => {
  const { connect, greet, cut, clock } = await setUp(t);
  const watcher = await connect();
  await watcher.ask({ action: 'watch' });
  const { client } = await greet({ abandonTimeoutMs: 0 });
  await client.ask({ ...lock(write('a')), label: 'held', holdMs: 100 });
  await client.ask({ ...lock(write('a')), label: 'waits', waitMs: 50 });
  await client.ask({ ...lock(write('a')), label: 'next' });
  clock.advance(100);
  await client.ask({ ...lock(write('a')), label: 'cancelled' });
  await cut(client);
  const nameless = await connect();
  await nameless.ask({ ...lock(write('a')), label: 'bye' });
  await nameless.ask({ ...lock(write('a')), label: 'bye too' });
  await nameless.ask({ action: 'bye' });
  assert.deepEqual(words(await unreadOf(watcher)), [
    'acquired held',
    'enqueued waits',
    'enqueued next',
    'timeout waits',
    'expired held',
    'acquired next',
    'enqueued cancelled',
    'abandoned cancelled',
    'abandoned next',
    'acquired bye',
    'enqueued bye too',
    'released bye too',
    'released bye',
  ]);
});

test('a waiter without a name is abandoned with its connection, what it holds when its time is up', async (t) => {
  const { connect, cut, clock } = await setUp(t, { defaultAbandonTimeoutMs: 100 });
  const [watcher, client] = [await connect(), await connect()];
  await watcher.ask({ action: 'watch' });
  await client.ask({ ...lock(write('a')), label: 'held' });
  await client.ask({ ...lock(write('a')), label: 'waits' });
  await cut(client);
  assert.deepEqual(words(await unreadOf(watcher)).slice(2), ['abandoned waits']);
  clock.advance(100);
  assert.deepEqual(words(await unreadOf(watcher)), ['abandoned held']);
});

test('only what names something at or below the path is heard, once per lock', async (t) => {
  const { connect, greet } = await setUp(t);
  const watcher = await connect();
  await watcher.ask({ action: 'watch', path: ['a', 'b'] });
  await watcher.ask({ action: 'watch', path: ['a', 'b', 'c'] });
  const client = await connect();
  const ask = (label: string, ...resources: object[]) =>
    client.ask({ ...lock(...resources), label });
  await ask('above', read('a'));
  await ask('root', read());
  await ask('beside', read('a', 'bb'));
  await ask('at', read('a', 'b'));
  await ask('below', read('a', 'b', 'c', 'd'));
  await ask('among others', read('z'), read('a', 'b', 'c'));
  const { client: elsewhere } = await greet({ namespace: 'elsewhere' });
  await elsewhere.ask({ ...lock(read('a', 'b')), label: 'elsewhere' });
  assert.deepEqual(words(await unreadOf(watcher)), [
    'acquired at',
    'acquired below',
    'acquired among others',
  ]);
});

test('what is refused or only tried is no event', async (t) => {
  const { connect } = await setUp(t, { limits: { maxWaitersPerNamespace: 0 } });
  const [watcher, client] = [await connect(), await connect()];
  await client.ask({ ...lock(write('a')), owner: 'o' });
  await watcher.ask({ action: 'watch' });
  assert.equal((await client.ask({ ...lock(write('a')), waitMs: 0 })).state, 'timeout');
  assert.equal(codeOf(await client.ask(lock(write('a')))), 'too_many_waiters');
  assert.deepEqual(await unreadOf(watcher), []);
});

test('unwatch ends one watch, and one that is not there as well', async (t) => {
  const { connect } = await setUp(t);
  const [watcher, client] = [await connect(), await connect()];
  await watcher.ask({ action: 'watch', path: ['a'] });
  await watcher.ask({ action: 'watch', path: ['b'] });
  for (const path of [['a'], ['never']]) {
    assert.deepEqual(await watcher.ask({ action: 'unwatch', path }), { action: 'unwatch', path });
  }
  await client.ask({ ...lock(write('a')), label: 'a' });
  await client.ask({ ...lock(write('b')), label: 'b' });
  assert.deepEqual(words(await unreadOf(watcher)), ['acquired b']);
});

test('a connection watches maxWatches paths and not one more, and the same one again', async (t) => {
  const { connect } = await setUp(t, { limits: { maxWatches: 2 } });
  const watcher = await connect();
  const watch = async (path: string) =>
    codeOf(await watcher.ask({ action: 'watch', path: [path] }));
  assert.equal(await watch('a'), undefined);
  assert.equal(await watch('a'), undefined);
  assert.equal(await watch('b'), undefined);
  assert.equal(await watch('c'), 'too_many_watches');
  assert.equal(await watch('a'), undefined, 'what is watched already takes no place');
  await watcher.ask({ action: 'unwatch', path: ['a'] });
  assert.equal(await watch('c'), undefined);
});

test('a watch belongs to the connection: it ends with it, and a resume does not bring it back', async (t) => {
  const { connect, greet, cut } = await setUp(t);
  const { client, session } = await greet();
  await client.ask({ action: 'watch' });
  await cut(client);
  const again = await connect();
  await again.ask({ action: 'hello', session });
  const other = await connect();
  await other.ask(lock(write('a')));
  assert.deepEqual(await unreadOf(again), []);
  await again.ask({ action: 'watch' });
  const last = await connect();
  await last.ask({ action: 'hello', session });
  await other.ask({ action: 'release' });
  assert.deepEqual((await again.ended()).map(codeOf), ['taken_over']);
  assert.deepEqual(await unreadOf(last), []);
});

test('a slow watcher slows nobody, and is told how much it missed when it has caught up', async (t) => {
  const { connect, server } = await setUp(t);
  const [watcher, client] = [await connect(), await connect()];
  await watcher.ask({ action: 'watch' });
  watcher.socket.pause();
  const rounds = 2000;
  const resources = Array.from({ length: 10 }, (_, i) => write('x'.repeat(1000), `${i}`));
  for (let i = 0; i < rounds; i++) {
    client.send(lock(...resources), { action: 'release' });
    assert.equal((await client.next()).state, 'acquired');
    assert.equal((await client.next()).state, 'released');
  }
  assert.equal(server.counts.connections, 2, 'nobody was cut');
  watcher.socket.resume();
  let events = 0;
  let dropped = 0;
  let lastId = 0;
  while (events + dropped < 2 * rounds) {
    const line = await watcher.next();
    if (line.event === undefined) {
      dropped += Number(line.dropped);
      assert.deepEqual(line, { action: 'watch', dropped: line.dropped });
    } else {
      events++;
      assert.ok(Number(line.id) >= lastId, 'in order');
      lastId = Number(line.id);
    }
  }
  assert.ok(dropped > 0);
  assert.ok(events > 0);
  assert.equal(events + dropped, 2 * rounds, 'each event was told or counted');
  client.send(lock(write('a')));
  assert.equal((await watcher.next()).event, 'acquired', 'and then goes on');
});

test('a watcher whose connection has ended is sent nothing more, though its last output is written later', () => {
  const { host } = setUpHost();
  const watcher = converse(host);
  watcher.ask({ action: 'watch' });
  watcher.channel.unreadBytes = 1_000_000;
  converse(host).ask(lock(write('a')));
  watcher.ask({ action: 'bye' });
  assert.equal(watcher.said.length, 2);
  watcher.conversation.onWritable();
  assert.equal(watcher.said.length, 2);
});
