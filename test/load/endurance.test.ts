/** What other lock servers crawl or die of: long paths, long queues, long-held locks, many names. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { ServerOptions } from '../../src/server-options.ts';
import { LineClient, lock, read, write } from '../support/line-client.ts';
import { NOTHING_LEFT, startServer } from '../support/running-server.ts';
import { startV1 } from '../support/v1-client.ts';
import { Watch } from '../support/watch.ts';
import { WebSocketClient } from '../support/websocket-client.ts';
import { CLOSE } from '../support/websocket-frames.ts';

const RELEASE = { action: 'release' };

/** A server, and clients of it on the line protocol. */
async function startLines(t: TestContext, options: ServerOptions = {}) {
  const server = await startServer(t, options);
  const connect = () => LineClient.connect(t, server.address.port);
  return { server, connect };
}

/** The states of the next `count` replies, and the ids of their locks. */
async function take(client: LineClient, count: number) {
  const states: unknown[] = [];
  const ids: unknown[] = [];
  for (let i = 0; i < count; i++) {
    const { state, id } = await client.next();
    states.push(state);
    ids.push(id);
  }
  return { states, ids };
}

for (const depth of [10, 100]) {
  test(`paths of ${depth} segments are locked and released like any other`, async (t) => {
    const { server, connect, port } = await startV1(t);
    const deep = (leaf: string) => [...Array(depth - 1).fill('x'), leaf];
    const v1 = await connect();
    const held = await v1.acquire(write(...deep('a')), read(...deep('b')));
    const client = await LineClient.connect(t, port);
    await client.ask({ action: 'hello', namespace: 'test' });
    assert.equal((await client.ask(lock(write(...deep('c'))))).state, 'acquired');
    assert.equal((await client.ask(RELEASE)).state, 'released');
    assert.equal((await client.ask(lock(write('x')))).state, 'enqueued');
    await v1.release(held);
    assert.equal((await client.next()).state, 'acquired');
    const waiting = await v1.enqueue(read(...deep('a')));
    await client.ask(RELEASE);
    await v1.granted(waiting);
    await v1.release(waiting);
    assert.equal(server.counts.acquired, 0);
  });

  test(`a thousand resources of ${depth} segments go into one lock and leave no trace`, async (t) => {
    const { connect } = await startLines(t);
    const client = await connect();
    const tail = Array(depth - 1).fill('x');
    const many = Array.from({ length: 1000 }, (_, i) => write(String(i), ...tail));
    for (let i = 0; i < 3; i++) {
      assert.equal((await client.ask(lock(...many))).state, 'acquired');
      assert.equal((await client.ask({ action: 'stats' })).paths, 1000 * depth);
      assert.equal((await client.ask(RELEASE)).state, 'released');
      assert.equal((await client.ask({ action: 'stats' })).paths, 0);
    }
  });
}

test('one lock is held while 30,000 others come and go', async (t) => {
  const { server, connect } = await startLines(t);
  const [holder, client] = [await connect(), await connect()];
  assert.equal((await holder.ask(lock(write('held'), read('shared')))).state, 'acquired');
  const expected = Array(1000).fill(['acquired', 'released']).flat();
  for (let round = 0; round < 30; round++) {
    const pairs = Array.from({ length: 1000 }, (_, i) => [
      lock(write('fresh', `${round}-${i}`), write('same'), read('shared')),
      RELEASE,
    ]);
    client.send(...pairs.flat());
    assert.deepEqual((await take(client, 2000)).states, expected);
  }
  const { paths } = await client.ask({ action: 'stats' });
  assert.equal(paths, 2);
  assert.equal(server.counts.acquired, 1);
});

test('10,000 waiters on one path are all served, in order of arrival', async (t) => {
  const { server, connect } = await startLines(t);
  const holder = await connect();
  await holder.ask(lock(write('a')));
  const clients: LineClient[] = [];
  for (let i = 0; i < 10; i++) clients.push(await connect());
  const arrived: unknown[] = [];
  for (let round = 0; round < 100; round++) {
    for (const client of clients) {
      client.send(...Array(10).fill(lock(write('a'))));
      arrived.push(...(await take(client, 10)).ids);
    }
  }
  assert.equal(server.counts.enqueued, 10_000);

  const served: unknown[] = [];
  const serve = async (client: LineClient): Promise<void> => {
    for (let i = 0; i < 1000; i++) {
      const { id, state } = await client.next();
      assert.equal(state, 'acquired');
      served.push(id);
      assert.deepEqual(await client.ask({ action: 'release', id }), {
        action: 'release',
        id,
        state: 'released',
      });
    }
  };
  const all = Promise.all(clients.map(serve));
  holder.send(RELEASE);
  await all;
  assert.deepEqual(served, arrived);
  assert.deepEqual([server.counts.acquired, server.counts.enqueued], [0, 0]);
});

test('10,000 waiters that give up leave the queue as they found it', async (t) => {
  const { server, connect } = await startLines(t);
  const [holder, client, last] = [await connect(), await connect(), await connect()];
  await holder.ask(lock(write('a')));
  client.send(...Array(10_000).fill(lock(write('a'))));
  const { ids } = await take(client, 10_000);
  assert.equal((await last.ask(lock(read('a')))).state, 'enqueued');
  client.send(...ids.toReversed().map((id) => ({ action: 'release', id })));
  assert.deepEqual((await take(client, 10_000)).ids, ids.toReversed());
  assert.equal(server.counts.enqueued, 1);
  await holder.ask(RELEASE);
  assert.equal((await last.next()).state, 'acquired');
});

test('3,000 readers behind a writer are let in together, and the next writer after them', async (t) => {
  const { server, connect } = await startLines(t);
  const [writer, nextWriter] = [await connect(), await connect()];
  await writer.ask(lock(write('a')));
  const readers: LineClient[] = [];
  for (let i = 0; i < 30; i++) readers.push(await connect());
  for (const reader of readers) {
    reader.send(...Array(100).fill(lock(read('a', 'b'))));
    assert.deepEqual((await take(reader, 100)).states, Array(100).fill('enqueued'));
  }
  assert.equal((await nextWriter.ask(lock(write('a', 'b', 'c')))).state, 'enqueued');
  await writer.ask(RELEASE);
  const held: unknown[][] = [];
  for (const reader of readers) {
    const { ids, states } = await take(reader, 100);
    assert.deepEqual(states, Array(100).fill('acquired'));
    held.push(ids);
  }
  assert.deepEqual([server.counts.acquired, server.counts.enqueued], [3000, 1]);
  for (const [i, reader] of readers.entries()) {
    assert.equal(server.counts.enqueued, 1, 'the writer waits for the last of them');
    reader.send(...(held[i] ?? []).map((id) => ({ action: 'release', id })));
    await take(reader, 100);
  }
  assert.equal((await nextWriter.next()).state, 'acquired');
});

test('a reader is not held up by readers that wait for writers elsewhere', async (t) => {
  const { server, connect } = await startLines(t);
  const [writer, waiting, reader] = [await connect(), await connect(), await connect()];
  await writer.ask(lock(write('elsewhere')));
  waiting.send(...Array(3000).fill(lock(read('a'), read('elsewhere'))));
  assert.deepEqual((await take(waiting, 3000)).states, Array(3000).fill('enqueued'));
  reader.send(...Array(3000).fill(lock(read('a'))));
  assert.deepEqual((await take(reader, 3000)).states, Array(3000).fill('acquired'));
  assert.equal(server.counts.enqueued, 3000);
});

test('on TCP, messages between refused ones are answered, each in its place', async (t) => {
  const { connect } = await startLines(t);
  const client = await connect();
  await client.ask({ action: 'ping' });
  client.sendRaw(
    `nonsense\n${JSON.stringify(lock(write('a')))}\n{}\n{"action":"release"}\n`.repeat(2000),
  );
  for (let i = 0; i < 2000; i++) {
    const replies = [await client.next(), await client.next(), await client.next()];
    replies.push(await client.next());
    assert.deepEqual(
      replies.map(({ state, error }) => state ?? typeof error),
      ['object', 'acquired', 'object', 'released'],
    );
  }
});

test('in v1, ten thousand messages after a refused one are passed over', async (t) => {
  const { server, connect, port, watch } = await startV1(t);
  const client = await WebSocketClient.connect(t, port);
  client.send({ action: 'nonsense' }, ...Array(10_000).fill(lock(write('a'))));
  assert.match(await client.nextText(), /unknown action/);
  assert.equal((await client.nextFrame()).opcode, CLOSE);
  await watch.until('disconnected');
  assert.equal(server.counts.sessions, 0);
  await (await connect()).acquire(write('a'));
});

test('thousands of namespaces that were used once are gone afterwards', async (t) => {
  const watch = new Watch();
  const { server, connect } = await startLines(t, {
    clientObserver: watch,
    defaultAbandonTimeoutMs: 0,
  });
  const { port } = server.address;
  const useOnce = async (name: string): Promise<void> => {
    const client = await connect();
    await client.ask({ action: 'hello', namespace: name });
    assert.equal((await client.ask(lock(write('a', name)))).state, 'acquired');
    client.socket.end();
    const v1 = await WebSocketClient.connect(t, port, `/v1?namespace=${name}-v1`);
    v1.send(lock(write('a', name)));
    assert.equal((await v1.next()).state, 'acquired');
    v1.socket.end();
  };
  const [rounds, atOnce] = [10, 100];
  for (let round = 0; round < rounds; round++) {
    await Promise.all(Array.from({ length: atOnce }, (_, i) => useOnce(`${round}-${i}`)));
  }
  await watch.until('disconnected', rounds * atOnce * 2);
  assert.deepEqual(server.counts, NOTHING_LEFT);
});
