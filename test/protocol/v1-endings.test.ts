/** PROTOCOL.md, section 6: how a v1 session ends, by whom, and what becomes of its lock. */
import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { test } from 'node:test';
import { exchange } from '../support/http-client.ts';
import { lock, read, write } from '../support/line-client.ts';
import { NOTHING_LEFT } from '../support/running-server.ts';
import { idOf, startV1, type V1Client } from '../support/v1-client.ts';
import { WebSocketClient } from '../support/websocket-client.ts';
import { CLOSE, text } from '../support/websocket-frames.ts';

const GOOD = { type: 'write', path: ['a'] };

function resources(...list: unknown[]): string {
  return JSON.stringify({ action: 'lock', resources: list });
}

/** Messages that are refused in any state, with a word of the reason. */
const BAD: [string, string | Buffer, RegExp][] = [
  ['nothing', '', /JSON/],
  ['blanks', '  \n', /JSON/],
  ['half an object', '{"action":"lock"', /JSON/],
  ['single quotes', "{'action':'lock'}", /JSON/],
  ['a byte order mark', '\ufeff{"action":"release"}', /JSON/],
  ['null', 'null', /must be one JSON object, such as \{"action":"release"\}$/],
  ['a number', '1', /object/],
  ['a string', '"lock"', /object/],
  ['an array', '[{"action":"lock"}]', /object/],
  ['deep nesting', '['.repeat(100_000), /JSON/],
  ['a binary message that is not UTF-8', Buffer.from([0x7b, 0xff, 0x7d]), /UTF-8/],
  ['no action', '{}', /action/],
  ['an action that is no string', '{"action":["lock"]}', /action/],
  ['an unknown action', '{"action":"steal"}', /unknown action "steal"/],
  ['an action in capitals', '{"action":"LOCK"}', /unknown action/],
  ['an action from the prototype', '{"action":"toString"}', /unknown action/],
  ['an action by way of __proto__', '{"__proto__":{"action":"release"}}', /action/],
];

/** Messages that are refused when the session is ready. */
const BAD_LOCKS: [string, string, RegExp][] = [
  ['resources that are an object', '{"action":"lock","resources":{}}', /resources/],
  ['resources that are a string', '{"action":"lock","resources":"a"}', /resources/],
  ['a resource that is null', resources(null), /resources\[0\]/],
  ['a resource that is an array', resources(GOOD, []), /resources\[1\]/],
  ['no type', resources({ path: ['a'] }), /resources\[0\]\.type/],
  ['an unknown type', resources({ type: 'rw', path: ['a'] }), /resources\[0\]\.type/],
  ['an empty type', resources({ type: '', path: ['a'] }), /resources\[0\]\.type/],
  ['a type that is a number', resources({ type: 1, path: ['a'] }), /resources\[0\]\.type/],
  ['a path that is a string', resources({ type: 'r', path: 'a' }), /resources\[0\]\.path/],
  ['a path that is an object', resources({ type: 'r', path: {} }), /resources\[0\]\.path/],
  ['a number in a path', resources({ type: 'r', path: ['a', 1] }), /resources\[0\]\.path\[1\]/],
  ['null in a path', resources({ type: 'r', path: [null] }), /resources\[0\]\.path\[0\]/],
  ['a release when ready', '{"action":"release"}', /release/],
];

/** The connection ends as it must after a bad message: one sentence, then 3000. */
async function assertRejected(client: V1Client, reason: RegExp): Promise<void> {
  const { code, unread } = await client.closed();
  const [sentence = ''] = unread;
  assert.equal(unread.length, 1);
  assert.match(sentence, reason);
  assert.throws(() => JSON.parse(sentence), 'plain words, not JSON');
  assert.equal(code, 3000);
}

test('each bad message gets one text frame with the reason, then close 3000', async (t) => {
  const { connect } = await startV1(t);
  for (const [what, message, reason] of [...BAD, ...BAD_LOCKS]) {
    await t.test(what, async () => {
      const client = await connect();
      client.socket.send(message);
      await assertRejected(client, reason);
    });
  }
});

test('the close after a bad message carries its code and no reason', async (t) => {
  const { port } = await startV1(t);
  const client = await WebSocketClient.connect(t, port);
  client.sendBytes(text('nonsense'));
  assert.match(await client.nextText(), /JSON/);
  const { opcode, payload } = await client.nextFrame();
  assert.deepEqual([opcode, payload.toString('hex')], [CLOSE, '0bb8']);
});

test('a lock when one is held or awaited is refused like any bad message', async (t) => {
  const { connect } = await startV1(t);
  const [holder, waiter] = [await connect(), await connect()];
  await holder.acquire(write('a'));
  await waiter.enqueue(write('a'));
  holder.send(lock(write('b')));
  await assertRejected(holder, /cannot lock/);
  waiter.send(lock(write('b')));
  await assertRejected(waiter, /cannot lock/);
});

test('nothing that follows a bad message is carried out', async (t) => {
  const { server, port } = await startV1(t);
  const client = await WebSocketClient.connect(t, port);
  client.send({ action: 'steal' }, lock(write('a')), { action: 'release' });
  assert.match(await client.nextText(), /steal/);
  assert.equal((await client.nextFrame()).opcode, CLOSE);
  assert.equal(server.counts.acquired, 0);
});

test('after a bad message the lock is kept for the abandon timeout, the client gone at once', async (t) => {
  const { connect, clock, watch, server } = await startV1(t);
  for (const [what, message, reason] of BAD) {
    await t.test(what, async () => {
      const holder = await connect('namespace=test&abandon-timeout-ms=5000');
      await holder.acquire(write('a'));
      holder.socket.send(message);
      await assertRejected(holder, reason);
      const next = await connect();
      const id = await next.enqueue(write('a'));
      clock.advance(4999);
      assert.equal(server.counts.enqueued, 1);
      clock.advance(1);
      await next.granted(id);
      await next.release(id);
    });
  }
  assert.equal(watch.count('abandoned'), BAD.length);
});

test('a bad message of a client that waits takes its lock out of the queue at once', async (t) => {
  const { connect } = await startV1(t);
  const [reader, writer, behind] = [await connect(), await connect(), await connect()];
  await reader.acquire(read('a'));
  await writer.enqueue(write('a'));
  const id = await behind.enqueue(read('a'));
  writer.send({ action: 'steal' });
  await assertRejected(writer, /steal/);
  await behind.granted(id);
});

test('a client that sent a bad message and reads no answer is gone at once all the same', async (t) => {
  const { connect, port, watch } = await startV1(t);
  const [reader, behind] = [await connect(), await connect()];
  await reader.acquire(read('a'));
  const mute = await WebSocketClient.connect(t, port);
  mute.send(lock(write('a')));
  await mute.nextText();
  const id = await behind.enqueue(read('a'));
  mute.socket.pause();
  mute.send({ action: 'steal' });
  await behind.granted(id);
  assert.equal(watch.count('disconnected'), 0);
  mute.socket.destroy();
});

/** The ways in which a connection ends. Each must come to the same for an acquired lock. */
const ENDS: [string, (client: V1Client) => void][] = [
  ['a polite close', (client) => client.socket.close(1000)],
  ['a close without a code', (client) => client.socket.close()],
  ['a cut socket', (client) => client.socket.terminate()],
  ['a framing error', (client) => client.socket.send('{}', { mask: false })],
];

for (const [what, end] of ENDS) {
  test(`after ${what} an acquired lock is kept for the abandon timeout`, async (t) => {
    const { connect, clock, watch, server } = await startV1(t);
    const holder = await connect('namespace=test&abandon-timeout-ms=300');
    await holder.acquire(write('a'));
    clock.advance(299); // counts from the end of the connection only
    end(holder);
    await watch.until('disconnected');
    const next = await connect();
    const id = await next.enqueue(write('a'));
    clock.advance(299);
    assert.deepEqual([server.counts.acquired, server.counts.enqueued], [1, 1]);
    clock.advance(1);
    await next.granted(id);
    assert.equal(server.counts.sessions, 1);
  });

  test(`after ${what} an abandon timeout of 0 releases at once`, async (t) => {
    const { connect, watch } = await startV1(t);
    const holder = await connect('namespace=test&abandon-timeout-ms=0');
    await holder.acquire(write('a'));
    const next = await connect();
    const id = await next.enqueue(write('a'));
    end(holder);
    await next.granted(id);
    assert.equal(watch.count('abandoned'), 1);
  });

  test(`after ${what} a client that waited is out of the queue at once`, async (t) => {
    const { connect, watch } = await startV1(t);
    const [reader, writer, behind] = [await connect(), await connect(), await connect()];
    await reader.acquire(read('a'));
    await writer.enqueue(write('a'));
    const id = await behind.enqueue(read('a'));
    end(writer);
    await behind.granted(id);
    assert.equal(watch.count('lost'), 1);
  });
}

test('the abandon timeout is 60 seconds unless the client or the server sets it', async (t) => {
  for (const [options, ms] of [
    [{}, 60_000],
    [{ defaultAbandonTimeoutMs: 70 }, 70],
    [{ defaultAbandonTimeoutMs: 0 }, 0],
  ] as const) {
    const { connect, clock, watch, server } = await startV1(t, options);
    const holder = await connect();
    await holder.acquire(write('a'));
    holder.socket.terminate();
    await watch.until('disconnected');
    if (ms > 0) {
      clock.advance(ms - 1);
      assert.equal(server.counts.acquired, 1);
      clock.advance(1);
    }
    assert.deepEqual(server.counts, NOTHING_LEFT);
    assert.equal(clock.pendingTimers, 0);
  }
});

test('a session that holds nothing is gone with its connection, and its namespace too', async (t) => {
  const { connect, watch, server } = await startV1(t);
  const client = await connect();
  await client.release(await client.acquire(write('a')));
  client.socket.close();
  await watch.until('disconnected');
  assert.deepEqual([server.counts.sessions, server.counts.namespaces], [0, 0]);
});

test('the server that stops closes with 1001', async (t) => {
  const { connect, server } = await startV1(t);
  const client = await connect();
  await client.acquire(write('a'));
  await server.close();
  assert.deepEqual(await client.closed(), { code: 1001, reason: '', unread: [] });
});

test('a lock asked for in the packet of the handshake, by a client that is gone, is abandoned', async (t) => {
  const { port, watch, server } = await startV1(t);
  const client = await WebSocketClient.connect(t, port, '/v1?namespace=a&abandon-timeout-ms=0');
  client.send(lock(write('a')));
  client.socket.end();
  await watch.until('disconnected');
  assert.equal(watch.count('acquired'), 1);
  assert.equal(server.counts.namespaces, 0);
  assert.match(await exchange(port, 'GET / HTTP/1.0\r\n\r\n'), /Namespaces in use: 0/);
  assert.equal(idOf(await client.nextText()).length, 16);
});
