/** PROTOCOL.md, section 10: where Locktopus answers v1 clients otherwise than the Go server does, on purpose. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lock, read, write } from '../support/line-client.ts';
import { acquired, idOf, startV1, type V1Client } from '../support/v1-client.ts';
import { WebSocketClient } from '../support/websocket-client.ts';
import { close, text } from '../support/websocket-frames.ts';
import type { Closed } from '../support/ws-client.ts';

/** What one message, sent by a client that is ready, ends the connection with. */
async function endOf(client: V1Client, message: string): Promise<Closed> {
  client.socket.send(message);
  return client.closed();
}

test('a lock without resources is an error', async (t) => {
  const { connect } = await startV1(t);
  for (const fields of ['', ',"resources":null', ',"resources":[]']) {
    const end = await endOf(await connect(), `{"action":"lock"${fields}}`);
    assert.equal(end.code, 3000, fields);
    assert.match(end.unread.join(), /^resources must be an array of at least one resource$/);
  }
});

test('a resource without a path is an error: it must not lock everything', async (t) => {
  const { connect, server } = await startV1(t);
  for (const fields of ['', ',"path":null', ',"paths":["a"]', ',"Path":["a"]']) {
    const resource = `{"type":"write"${fields}}`;
    const end = await endOf(await connect(), `{"action":"lock","resources":[${resource}]}`);
    assert.equal(end.code, 3000, fields);
    assert.match(end.unread.join(), /^resources\[0\]\.path must be an array of strings/);
  }
  assert.equal(server.counts.acquired, 0);
});

test('text after the JSON value is an error', async (t) => {
  const { connect } = await startV1(t);
  const message = JSON.stringify(lock(write('a')));
  for (const rest of ['x', '{}', message, '\0', ',']) {
    const end = await endOf(await connect(), message + rest);
    assert.equal(end.code, 3000, rest);
    assert.match(end.unread.join(), /JSON/);
  }
  const client = await connect();
  client.socket.send(` \r\n\t${message} \r\n`);
  const frame = await client.next();
  assert.equal(frame, acquired(idOf(frame)), 'blanks around it are part of JSON');
});

test('names of fields count to the letter', async (t) => {
  const { connect } = await startV1(t);
  const resources = '"resources":[{"type":"write","path":["a"]}]';
  for (const message of [
    `{"Action":"lock",${resources}}`,
    `{"ACTION":"lock",${resources}}`,
    `{"action":"lock",${resources.replace('r', 'R')}}`,
    `{"action":"lock",${resources.replace('type', 'Type')}}`,
    `{"action":"lock",${resources.replace('path', 'PATH')}}`,
  ]) {
    assert.equal((await endOf(await connect(), message)).code, 3000, message);
  }
});

test('a client that releases while enqueued leaves no ghost: those behind move up', async (t) => {
  const { connect, server } = await startV1(t);
  const [reader, writer, behind] = [await connect(), await connect(), await connect()];
  await reader.acquire(read('a'));
  const waiting = await writer.enqueue(write('a'));
  const id = await behind.enqueue(read('a'));
  await writer.release(waiting);
  await behind.granted(id);
  assert.deepEqual([server.counts.acquired, server.counts.enqueued], [2, 0]);
});

test('a reader does not wait behind a reader that waits for a writer elsewhere', async (t) => {
  const { connect } = await startV1(t);
  const [writer, waiting, reader] = [await connect(), await connect(), await connect()];
  await writer.acquire(write('b'));
  await waiting.enqueue(read('a'), read('b'));
  await reader.acquire(read('a'));
});

test('a reader does wait behind a waiting writer', async (t) => {
  const { connect } = await startV1(t);
  const [first, writer, second] = [await connect(), await connect(), await connect()];
  const held = await first.acquire(read('a'));
  const waiting = await writer.enqueue(write('a'));
  const behind = await second.enqueue(read('a'));
  await first.release(held);
  await writer.granted(waiting);
  await writer.release(waiting);
  await second.granted(behind);
});

test('ids rise across all namespaces, in order of arrival', async (t) => {
  const { connect } = await startV1(t);
  const [a, b] = [await connect('namespace=a'), await connect('namespace=b')];
  const ids: number[] = [];
  for (const client of [a, b, a, a, b]) {
    const id = await client.acquire(write('x'));
    ids.push(Number(id));
    await client.release(id);
  }
  assert.deepEqual(
    ids,
    [...ids].sort((x, y) => x - y),
  );
  assert.equal(new Set(ids).size, ids.length);
});

test('the lock acquired later of two that conflict has the larger id', async (t) => {
  const { connect } = await startV1(t);
  const [first, second] = [await connect(), await connect()];
  const held = await first.acquire(write('a'));
  const waiting = await second.enqueue(write('a', 'b'));
  assert.ok(Number(waiting) > Number(held));
});

test('ids go on rising when the server is started again', async (t) => {
  const before = await startV1(t);
  const id = await (await before.connect()).acquire(write('a'));
  await before.server.close();
  const after = await startV1(t);
  const next = await (await after.connect()).acquire(write('a'));
  assert.ok(Number(next) > Number(id), `${next} after ${id}`);
});

test('each limit lets n through and refuses n + 1', async (t) => {
  const limits = { maxResourcesPerLock: 2, maxSegmentsPerPath: 3, maxSegmentBytes: 4 };
  const { connect } = await startV1(t, { limits });
  const cases: [object[], object[], RegExp][] = [
    [[read('a'), read('b')], [read('a'), read('b'), read('c')], /resources has 3 .*at most 2/],
    [[read('a', 'b', 'c')], [read('a', 'b', 'c', 'd')], /path has 4 segments; at most 3/],
    [[read('abcd')], [read('abcde')], /path\[0\] has 5 bytes; at most 4/],
    [[read('éé')], [read('ééa')], /path\[0\] has 5 bytes; at most 4/],
    [[read('🐙')], [read('a', '🐙a')], /path\[1\] has 5 bytes; at most 4/],
  ];
  for (const [good, bad, reason] of cases) {
    const client = await connect();
    await client.release(await client.acquire(...good));
    const end = await endOf(client, JSON.stringify(lock(...bad)));
    assert.equal(end.code, 3000);
    assert.match(end.unread.join(), reason);
  }
});

test('a message of the largest size is taken, one byte more closes with 1009', async (t) => {
  const maxMessageBytes = 200;
  const { connect } = await startV1(t, { limits: { maxMessageBytes } });
  const message = JSON.stringify(lock(write('a'))).padEnd(maxMessageBytes);
  const client = await connect();
  client.socket.send(message);
  assert.match(await client.next(), /acquired/);
  assert.equal((await endOf(client, `${message} `)).code, 1009);

  const pieces = await connect();
  pieces.socket.send(message, { fin: false });
  pieces.socket.send(' ', { fin: true });
  assert.equal((await pieces.closed()).code, 1009);
});

test('waiters of a namespace are limited; one too many is refused and changes nothing', async (t) => {
  const { connect, server } = await startV1(t, { limits: { maxWaitersPerNamespace: 2 } });
  const holder = await connect();
  const held = await holder.acquire(write('a'));
  const [first, second] = [await connect(), await connect()];
  const firstId = await first.enqueue(read('a'));
  const secondId = await second.enqueue(read('a'));
  const end = await endOf(await connect(), JSON.stringify(lock(read('a'))));
  assert.equal(end.code, 3000);
  assert.match(end.unread.join(), /^limit of waiting locks in this namespace reached \(2\)/);
  await (await connect()).acquire(write('b'));
  await (await connect('namespace=other')).acquire(write('a'));
  await holder.release(held);
  await first.granted(firstId);
  await second.granted(secondId);
  assert.equal(server.counts.enqueued, 0);
});

test('a close in the packet of a lock that waits takes the lock out of the queue', async (t) => {
  const { connect, port, watch, server } = await startV1(t);
  const holder = await connect();
  await holder.acquire(write('a'));
  const client = await WebSocketClient.connect(t, port);
  client.sendBytes(text(JSON.stringify(lock(write('a')))), close(1000));
  await watch.until('lost');
  assert.equal(server.counts.enqueued, 0);
});
