/** PROTOCOL.md, section 6: what a v1 client says and hears while all goes well, frame by frame. */
import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { once } from 'node:events';
import { test } from 'node:test';
import { lock, read, write } from '../support/line-client.ts';
import { acquired, idOf, ready, startV1 } from '../support/v1-client.ts';
import { WebSocketClient } from '../support/websocket-client.ts';
import {
  CLOSE,
  close,
  FIN,
  fragmented,
  frame,
  hex,
  PING,
  PONG,
  TEXT,
  text,
} from '../support/websocket-frames.ts';

const RELEASE = { action: 'release' };

test('a lock on what is free is acquired, and releasing it leaves the session ready', async (t) => {
  const { connect } = await startV1(t);
  const client = await connect();
  const frame = await client.ask(lock(write('a')));
  const id = idOf(frame);
  assert.equal(frame, `{"id":"${id}","action":"lock","state":"acquired"}`);
  assert.equal(
    await client.ask({ action: 'release' }),
    `{"id":"${id}","action":"release","state":"ready"}`,
  );
  await client.acquire(write('a'));
});

test('an enqueued lock is told a second time, unasked, when it is held', async (t) => {
  const { connect } = await startV1(t);
  const [first, second] = [await connect(), await connect()];
  const held = await first.acquire(write('a'));
  const frame = await second.ask(lock(write('a')));
  const id = idOf(frame);
  assert.equal(frame, `{"id":"${id}","action":"lock","state":"enqueued"}`);
  await first.release(held);
  assert.equal(await second.next(), `{"id":"${id}","action":"lock","state":"acquired"}`);
});

test('a release while enqueued is answered at once with the id of that lock', async (t) => {
  const { server, connect } = await startV1(t);
  const [first, second] = [await connect(), await connect()];
  const held = await first.acquire(write('a'));
  await second.release(await second.enqueue(write('a')));
  assert.equal(server.counts.enqueued, 0);
  await first.release(held);
  await second.acquire(write('a'));
});

test('when grant and release cross on the wire, the client sees acquired and then ready', async (t) => {
  const { connect } = await startV1(t);
  const [first, second] = [await connect(), await connect()];
  const held = await first.acquire(write('a'));
  const id = await second.enqueue(write('a'));
  await first.release(held);
  // By now the grant is on its way to a client that has asked for the release before reading it.
  second.send(RELEASE);
  assert.deepEqual([await second.next(), await second.next()], [acquired(id), ready(id)]);
  await first.acquire(write('a'));
});

test('lock, release, lock, release in one write are answered in order', async (t) => {
  const { port } = await startV1(t);
  const client = await WebSocketClient.connect(t, port);
  client.send(lock(write('a')), RELEASE, lock(read('b')), RELEASE);
  const frames: string[] = [];
  for (let i = 0; i < 4; i++) frames.push(await client.nextText());
  const [first = '', , second = ''] = frames;
  const [one, two] = [idOf(first), idOf(second)];
  assert.deepEqual(frames, [acquired(one), ready(one), acquired(two), ready(two)]);
  assert.ok(Number(one) < Number(two));
});

test('a type is r, read, w or write in any letter case', async (t) => {
  const { connect } = await startV1(t);
  const [reader, client] = [await connect(), await connect()];
  await reader.acquire(read('a'));
  for (const type of ['r', 'R', 'read', 'READ', 'Read', 'rEaD']) {
    await client.release(await client.acquire({ type, path: ['a'] }));
  }
  for (const type of ['w', 'W', 'write', 'WRITE', 'Write', 'wRiTe']) {
    await client.release(await client.enqueue({ type, path: ['a'] }));
  }
});

test('the empty path is the root: the whole namespace', async (t) => {
  const { connect } = await startV1(t);
  const [client, other, elsewhere] = [
    await connect(),
    await connect(),
    await connect('namespace=x'),
  ];
  await client.acquire(write());
  await other.enqueue(read('any', 'path'));
  await elsewhere.acquire(write());
});

test('segments are compared exactly: empty, NUL, Unicode, names of JavaScript objects', async (t) => {
  const { connect } = await startV1(t);
  const segments = ['', '\0', ' ', 'a', 'A', 'é', 'e\u0301', '☃', '🐙', '__proto__', 'constructor'];
  segments.push('toString', 'hasOwnProperty', 'a/b', '*', '\n', '"', '\\', '\ufeff', '0', '00');
  for (const segment of segments) {
    await (await connect()).acquire(write('x', segment, 'y'));
  }
  const client = await connect();
  for (const segment of segments) {
    await client.release(await client.enqueue(write('x', segment, 'y')));
    await client.release(await client.acquire(write('x', 'y', segment)));
  }
});

test('unknown fields are ignored, and so are the resources of a release', async (t) => {
  const { connect } = await startV1(t);
  const [client, other] = [await connect(), await connect()];
  const extra = { ref: 1, id: 'x', waitMs: 0, namespace: 'x', __proto__: 1 };
  const resource = { type: 'read', path: ['a'], limit: 1, note: null };
  const id = idOf(await client.ask({ ...extra, action: 'lock', resources: [resource] }));
  await other.acquire(resource);
  assert.equal(await client.ask({ ...extra, action: 'release', resources: 'none' }), ready(id));
});

test('a limit is an unknown field, also in a request that is spelled as most are', async (t) => {
  const { connect } = await startV1(t);
  const limited = { type: 'read', path: ['a'], limit: 1 };
  for (let count = 0; count < 2; count++) await (await connect()).acquire(limited);
});

test('resources of one lock that overlap are merged', async (t) => {
  const { connect } = await startV1(t);
  const client = await connect();
  const overlaps = [
    [write('a'), write('a')],
    [read('a'), read('a')],
    [read('a'), write('a')],
    [write('a'), read('a')],
    [write('a'), write('a', 'b'), write('a', 'b', 'c')],
    [write('a', 'b', 'c'), write('a', 'b'), write('a')],
    [read(), write('a'), read('a', 'b')],
    [write(), read(), write('a')],
  ];
  for (const resources of overlaps) await client.release(await client.acquire(...resources));
});

/** What is held, what another asks for, and what it gets. */
const SEMANTICS: [string, object[], object[], 'acquired' | 'enqueued'][] = [
  ['a write blocks a write of the same path', [write('a', 'b')], [write('a', 'b')], 'enqueued'],
  ['a write blocks a read of the same path', [write('a', 'b')], [read('a', 'b')], 'enqueued'],
  ['a read blocks a write of the same path', [read('a', 'b')], [write('a', 'b')], 'enqueued'],
  ['reads of one path go together', [read('a', 'b')], [read('a', 'b')], 'acquired'],
  ['a write of the root blocks all', [write()], [read('a')], 'enqueued'],
  ['a read of the root blocks writes', [read()], [write('a')], 'enqueued'],
  ['anything blocks a write of the root', [read('a')], [write()], 'enqueued'],
  ['a read of the root waits for a write', [write('a')], [read()], 'enqueued'],
  ['siblings are independent', [write('a', 'b')], [write('a', 'c')], 'acquired'],
  ['a parent blocks its child', [write('a')], [write('a', 'b')], 'enqueued'],
  ['a child blocks its parent', [write('a', 'b')], [write('a')], 'enqueued'],
  ['reads along a branch go together', [read('a')], [read('a', 'b')], 'acquired'],
  ['reads along a branch go together upwards', [read('a', 'b', 'c')], [read()], 'acquired'],
  ['a read waits for a write above', [write('a')], [read('a', 'b', 'c')], 'enqueued'],
  [
    '{read a, write a/b} lets read a/c in',
    [read('a'), write('a', 'b')],
    [read('a', 'c')],
    'acquired',
  ],
  ['{read a, write a/b} keeps read a out', [read('a'), write('a', 'b')], [read('a')], 'enqueued'],
  [
    '{read a, write a/b} keeps read a/b out',
    [read('a'), write('a', 'b')],
    [read('a', 'b')],
    'enqueued',
  ],
  ['{read a, write a} is a write of a', [read('a'), write('a')], [read('a')], 'enqueued'],
  [
    'one conflict among many is enough',
    [write('a'), write('b')],
    [read('c'), read('b')],
    'enqueued',
  ],
  ['a name that only begins alike is another', [write('a')], [write('ab')], 'acquired'],
];

test('what blocks what', async (t) => {
  const { connect } = await startV1(t);
  for (const [what, held, asked, state] of SEMANTICS) {
    await t.test(what, async () => {
      const [holder, client] = [await connect(), await connect()];
      const id = await holder.acquire(...held);
      if (state === 'acquired') {
        await client.release(await client.acquire(...asked));
        await holder.release(id);
      } else {
        const waiting = await client.enqueue(...asked);
        await holder.release(id);
        await client.granted(waiting);
        await client.release(waiting);
      }
    });
  }
});

test('a lock that is granted in part shows nothing until it is held whole', async (t) => {
  const { connect, server } = await startV1(t);
  const [a, b, both] = [await connect(), await connect(), await connect()];
  const idA = await a.acquire(write('a'));
  const idB = await b.acquire(write('b'));
  const waiting = await both.enqueue(write('a'), write('b'));
  await a.release(idA);
  assert.equal(server.counts.enqueued, 1);
  await b.release(idB);
  await both.granted(waiting);
});

test('JSON in a binary frame is taken as text, and answered with text', async (t) => {
  const { connect } = await startV1(t);
  const client = await connect();
  client.socket.send(Buffer.from(JSON.stringify(lock(write('é')))), { binary: true });
  const frame = await client.next();
  assert.equal(frame, acquired(idOf(frame)));
});

test('a message may come in fragments, with a ping between them', async (t) => {
  const { port } = await startV1(t);
  const client = await WebSocketClient.connect(t, port);
  const json = Buffer.from(JSON.stringify(lock(write('☃'))));
  client.sendBytes(
    frame(TEXT, json.subarray(0, 10)),
    frame(FIN | PING, 'still there?'),
    frame(0, ''),
    frame(FIN, json.subarray(10)),
  );
  const pong = await client.nextFrame();
  assert.equal(pong.opcode, PONG);
  assert.equal(String(pong.payload), 'still there?');
  const id = idOf(await client.nextText());

  const release = Buffer.from('{"action":"release"}');
  client.sendBytes(fragmented(TEXT, ...[...release].map((byte) => Buffer.from([byte]))));
  assert.equal(await client.nextText(), ready(id));
});

test('a ping is answered with its payload', async (t) => {
  const { connect } = await startV1(t);
  const client = await connect();
  for (const payload of ['', 'x', 'y'.repeat(125)]) {
    client.socket.ping(payload);
    const [data] = await once(client.socket, 'pong');
    assert.equal(String(data), payload);
  }
});

test("the client's close is echoed with its code and no reason, after all that was asked", async (t) => {
  const { port } = await startV1(t);
  for (const code of [1000, 1001, 3000, 4999]) {
    const client = await WebSocketClient.connect(t, port, `/v1?namespace=${code}`);
    client.sendBytes(text(JSON.stringify(lock(write('a')))), close(code, 'the reason'));
    const reply = await client.nextText();
    assert.equal(reply, acquired(idOf(reply)));
    const echo = await client.nextFrame();
    assert.equal(echo.opcode, CLOSE);
    assert.equal(echo.payload.toString('hex'), code.toString(16).padStart(4, '0'));
  }
});

test('a close without a code is echoed without one', async (t) => {
  const { port } = await startV1(t);
  const client = await WebSocketClient.connect(t, port);
  client.sendBytes(frame(FIN | CLOSE));
  const echo = await client.nextFrame();
  assert.deepEqual([echo.opcode, echo.payload.length], [CLOSE, 0]);
});

test('framing errors close with 1002, text that is not UTF-8 with 1007', async (t) => {
  const { port } = await startV1(t);
  const offences: [string, Buffer, number][] = [
    ['a frame without a mask', hex('81 02 7b7d'), 1002],
    ['a reserved bit', frame(FIN | 0x40 | TEXT, '{}'), 1002],
    ['an unknown opcode', frame(FIN | 3, '{}'), 1002],
    ['text that is not UTF-8', text(hex('7b ff 7d')), 1007],
  ];
  for (const [what, bytes, code] of offences) {
    const client = await WebSocketClient.connect(t, port);
    client.sendBytes(bytes);
    const { opcode, payload } = await client.nextFrame();
    assert.equal(opcode, CLOSE, what);
    assert.equal(payload.readUInt16BE(), code, what);
  }
});
