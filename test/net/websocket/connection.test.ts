/** Control frames, closing, and peers that misbehave (RFC 6455, 5.5 and 7), over real sockets. */
import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { afterEach, beforeEach, test } from 'node:test';
import { CLOSE_TIMEOUT_MS } from '../../../src/net/stream/graceful-close.ts';
import { makeStreamHost } from '../../../src/net/stream/stream-host.ts';
import {
  type EndInfo,
  WebSocketConnection,
  type WebSocketOptions,
} from '../../../src/net/websocket/connection.ts';
import { CHUNK_SIZES, piecesOf } from '../../support/cut-anywhere.ts';
import { type EchoHooks, type EchoServer, startEchoServer } from '../../support/echo-server.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { RawClient } from '../../support/raw-client.ts';
import {
  BINARY,
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
} from '../../support/websocket-frames.ts';

let clock: FakeClock;
let server: EchoServer | undefined;
/** What `ended` was told, for every connection. */
let endings: EndInfo[];
let connections: WebSocketConnection[];
/** The server's ends. */
let sockets: Socket[];
let wakeEnding: () => void;

beforeEach(() => {
  clock = new FakeClock();
  endings = [];
  connections = [];
  sockets = [];
  wakeEnding = () => {};
});

afterEach(async () => {
  server?.http.close();
  await socketsClosed();
  server = undefined;
  assert.equal(clock.pendingTimers, 0, 'no timer is left');
  assert.equal(endings.length, connections.length, 'each connection ends once');
});

/** Starts the server and a client on it; `first` comes in the same packet as the handshake. */
async function open(
  options: Partial<WebSocketOptions> = {},
  first: Buffer = Buffer.alloc(0),
  onText?: EchoHooks['text'],
): Promise<RawClient> {
  server = await startEchoServer(
    0,
    { streams: makeStreamHost(clock, 2 ** 30), ...options },
    {
      connected: (connection) => void connections.push(connection),
      ended: (info) => {
        endings.push(info);
        wakeEnding();
      },
      ...(onText && { text: onText }),
    },
  );
  server.http.on('connection', (socket) => void sockets.push(socket));
  return RawClient.upgraded(server.port, first);
}

async function ending(): Promise<EndInfo> {
  if (endings.length === 0) await new Promise<void>((resolve) => (wakeEnding = resolve));
  const info = endings[0];
  assert.ok(info !== undefined);
  return info;
}

/** Waits until no socket of the server is left. */
async function socketsClosed(): Promise<void> {
  for (const socket of sockets) if (!socket.closed) await once(socket, 'close');
}

function theConnection(): WebSocketConnection {
  const connection = connections[0];
  assert.ok(connection !== undefined);
  return connection;
}

test('every ping is answered with its payload, in order, also inside a message', async () => {
  const client = await open();
  const payload = Buffer.from(`${'\xff\x00'.repeat(62)}x`, 'latin1');
  await client.send(
    Buffer.concat([
      frame(FIN | PING),
      frame(TEXT, 'a'),
      frame(FIN | PING, payload),
      frame(FIN | PONG, 'unasked'),
      frame(FIN, 'b'),
      close(1000),
    ]),
  );
  await client.finish();
  assert.deepEqual(client.frameList, ['10:', `10:${payload.toString('hex')}`, '1:6162', '8:03e8']);
});

test('a ping of ours is empty', async () => {
  const client = await open();
  theConnection().ping();
  theConnection().close(1000, '');
  await client.until(() => client.frames.length === 2);
  await client.send(frame(FIN | PONG));
  await client.send(close(1000));
  await client.finish();
  assert.deepEqual(client.frameList, ['9:', '8:03e8']);
});

for (const [what, sent, reply, info] of [
  ['a code and a reason', close(3210, 'done'), '8:0c8a', { code: 3210, reason: 'done' }],
  ['a code', close(1001), '8:03e9', { code: 1001, reason: '' }],
  ['nothing', frame(FIN | CLOSE), '8:', { code: 1005, reason: '' }],
] as const) {
  test(`a close with ${what} is answered with its code alone, and the server ends TCP`, async () => {
    const client = await open();
    await client.send(Buffer.concat([sent, text('late'), frame(FIN | PING), close(1000)]));
    await client.finish();
    assert.deepEqual(client.frameList, [reply]);
    assert.deepEqual(await ending(), { ...info, clean: true });
    await socketsClosed();
  });
}

test('after the close frames what comes is ignored, and what is sent does nothing', async () => {
  const client = await open();
  await client.send(close(1000));
  await client.until(() => client.finished);
  theConnection().sendText('late');
  theConnection().sendBinary(Buffer.from('late'));
  theConnection().ping();
  theConnection().close(1000, '');
  await client.send(Buffer.concat([text('late'), hex('ff ff ff ff')]));
  await client.finish();
  assert.deepEqual(client.frameList, ['8:03e8']);
});

for (const size of CHUNK_SIZES) {
  test(`a conversation in packets of ${size} bytes is the same`, async () => {
    const client = await open();
    const bytes = Buffer.concat([
      text('κ€'),
      fragmented(BINARY, 'a', '', 'b'),
      frame(FIN | PING, 'p'),
      close(1000, 'bye'),
    ]);
    for (const piece of piecesOf(bytes, size)) await client.send(piece);
    await client.finish();
    assert.deepEqual(client.frameList, ['1:cebae282ac', '2:6162', '10:70', '8:03e8']);
  });
}

for (const [what, bytes, code] of [
  ['an unmasked frame', hex('81 02 4869'), 1002],
  ['a reserved opcode', frame(FIN | 3), 1002],
  ['a bad close code', close(1005), 1002],
  ['text that is not UTF-8', text(hex('c0')), 1007],
  ['a message too big', frame(FIN | BINARY, Buffer.alloc(101)), 1009],
  ['too many fragments', fragmented(TEXT, '', '', '', '', ''), 1008],
] as const) {
  test(`${what} is answered with close code ${code} and a sentence, then FIN`, async () => {
    const client = await open({ maxMessageBytes: 100, maxFragments: 4 });
    await client.send(Buffer.concat([text('Hi'), bytes, text('late'), frame(FIN | PING)]));
    await client.finish();
    assert.equal(client.frameList[0], '1:4869');
    assert.equal(client.frames.length, 2);
    const payload: Buffer = client.frames[1]?.payload ?? Buffer.alloc(2);
    assert.equal(payload.readUInt16BE(0), code);
    const reason = payload.toString('utf8', 2);
    assert.match(reason, /^[A-Z].*\.$/);
    assert.deepEqual(await ending(), { code, reason, clean: false });
  });
}

test('a big message that is refused does not cost the peer its close frame', async () => {
  const client = await open({ maxMessageBytes: 100 });
  const bytes = frame(FIN | BINARY, Buffer.alloc(8 * 1024 * 1024));
  client.socket.write(bytes);
  await client.finish();
  assert.equal(client.frames[0]?.payload.readUInt16BE(0), 1009);
});

test('a close of ours waits for the answer, and reports it', async () => {
  const client = await open();
  theConnection().sendText('last words');
  theConnection().close(3000, '');
  await client.until(() => client.frames.length === 2);
  assert.deepEqual(client.frameList, ['1:6c61737420776f726473', '8:0bb8']);
  assert.deepEqual(endings, []);
  assert.equal(client.finished, false);
  await client.send(Buffer.concat([text('crossing'), frame(FIN | PING), close(3000)]));
  await client.finish();
  assert.equal(client.frames.length, 2);
  assert.deepEqual(await ending(), { code: 3000, reason: '', clean: true });
});

test('a close of ours that is not answered ends after the time set', async () => {
  const client = await open();
  theConnection().close(1001, 'The server shuts down.');
  await client.until(() => client.frames.length === 1);
  clock.advance(CLOSE_TIMEOUT_MS - 1);
  assert.deepEqual(endings, []);
  clock.advance(1);
  const info = { code: 1001, reason: 'The server shuts down.', clean: false };
  assert.deepEqual(await ending(), info);
  await client.until(() => client.closed || client.finished);
  client.socket.destroy();
});

test('an answer to our close that is no close frame ends it too', async () => {
  const client = await open();
  theConnection().close(1000, '');
  await client.until(() => client.frames.length === 1);
  await client.send(frame(FIN | 3));
  await client.finish();
  assert.deepEqual(client.frameList, ['8:03e8']);
  assert.equal((await ending()).clean, false);
});

for (const [what, bytes] of [
  ['closed', close(1000)],
  ['failed', frame(FIN | 3)],
] as const) {
  test(`a peer that has ${what} and keeps TCP open is cut after the time set`, async () => {
    const client = await open();
    await client.send(bytes);
    await client.until(() => client.finished);
    await ending();
    assert.equal(clock.pendingTimers, 1);
    clock.advance(CLOSE_TIMEOUT_MS);
    await socketsClosed();
    client.socket.destroy();
  });
}

test('a half-close without a close frame ends the connection, after what was under way', async () => {
  const client = await open();
  client.socket.end(text('Hi'));
  await client.until(() => client.finished);
  assert.deepEqual(client.frameList, ['1:4869']);
  assert.equal((await ending()).code, 1006);
  assert.equal((await ending()).clean, false);
});

test('a half-close in mid-frame ends the connection', async () => {
  const client = await open();
  client.socket.end(text('Hello').subarray(0, 8));
  await client.until(() => client.closed);
  assert.deepEqual(client.frameList, []);
  assert.equal((await ending()).code, 1006);
});

test('a half-close in answer to our close ends the connection', async () => {
  const client = await open();
  theConnection().close(1001, 'gone');
  await client.until(() => client.frames.length === 1);
  client.socket.end();
  await client.until(() => client.closed);
  assert.deepEqual(await ending(), { code: 1001, reason: 'gone', clean: false });
});

test('a reset in mid-frame ends the connection', async () => {
  const client = await open();
  await client.send(Buffer.concat([text('Hi'), text('Hello').subarray(0, 8)]));
  await client.until(() => client.frames.length === 1);
  client.socket.resetAndDestroy();
  assert.equal((await ending()).code, 1006);
});

test('a reset right after the handshake ends the connection', async () => {
  const client = await open();
  client.socket.resetAndDestroy();
  assert.equal((await ending()).code, 1006);
});

test('a reset while the closing handshake is under way ends the connection', async () => {
  const client = await open();
  theConnection().close(1000, '');
  await client.until(() => client.frames.length === 1);
  client.socket.resetAndDestroy();
  assert.equal((await ending()).clean, false);
});

test('the frames in the packet of the handshake are read in order with those after', async () => {
  const client = await open({}, Buffer.concat([text('one'), text('two').subarray(0, 3)]));
  await client.send(Buffer.concat([text('two').subarray(3), close(1000)]));
  await client.finish();
  assert.deepEqual(client.frameList, ['1:6f6e65', '1:74776f', '8:03e8']);
});

test('an offence in the packet of the handshake is answered', async () => {
  const client = await open({}, hex('81 00'));
  await client.finish();
  assert.equal(client.frames[0]?.payload.readUInt16BE(0), 1002);
});

/** Keeps `bytes` coming, never reading, until the connection is cut. */
async function flood(client: RawClient, bytes: Buffer): Promise<void> {
  client.socket.pause();
  while (!client.closed && client.socket.writable) {
    if (client.socket.write(bytes)) await new Promise((resolve) => setImmediate(resolve));
    else
      await Promise.race([once(client.socket, 'drain'), once(client.socket, 'close')]).catch(
        () => {},
      );
  }
}

for (const [what, bytes] of [
  ['pings', frame(FIN | PING, Buffer.alloc(125))],
  ['messages', text('x'.repeat(1000))],
] as const) {
  test(`a peer that floods with ${what} and never reads is cut`, async (t) => {
    const client = await open({ maxUnreadBytes: 100_000 });
    const many = Buffer.concat(Array.from({ length: 500 }, () => bytes));
    let mostUnread = 0;
    const [socket] = sockets;
    assert.ok(socket);
    const write = socket.write.bind(socket);
    t.mock.method(socket, 'write', (text: string, encoding: BufferEncoding) => {
      const goesOn = write(text, encoding);
      mostUnread = Math.max(mostUnread, socket.writableLength);
      return goesOn;
    });
    const flooding = flood(client, many);
    const info = await ending();
    assert.ok(mostUnread > 0 && mostUnread <= 100_000, `${mostUnread} bytes waited`);
    assert.equal(info.code, 1008);
    assert.equal(info.clean, false);
    client.socket.destroy();
    await flooding;
  });
}

test('ended does not come from within a call of ours', async () => {
  const client = await open({ maxUnreadBytes: 10 });
  theConnection().sendText('more than ten bytes');
  assert.deepEqual(endings, []);
  assert.equal((await ending()).code, 1008);
  client.socket.destroy();
});

test('destroy cuts at once, and what is called after it does nothing', async () => {
  const client = await open();
  const connection = theConnection();
  connection.sendText('lost');
  connection.destroy();
  connection.destroy();
  connection.sendText('late');
  connection.close(1000, '');
  assert.deepEqual(endings, []);
  assert.equal((await ending()).code, 1006);
  await client.finish();
  assert.deepEqual(client.frames, []);
});

test('destroy ends the wait for an answer to our close', async () => {
  const client = await open();
  theConnection().close(1000, '');
  theConnection().destroy();
  assert.equal((await ending()).code, 1000);
  client.socket.destroy();
});

for (const way of ['close', 'destroy'] as const) {
  test(`after ${way} in a handler no message of the same packet is delivered`, async () => {
    const seen: string[] = [];
    const bytes = Buffer.concat([text('one'), text('two'), frame(FIN | PING), text('three')]);
    const client = await open({}, bytes, (connection, message) => {
      seen.push(message);
      if (way === 'destroy') {
        connection.destroy();
      } else {
        connection.sendText('No.');
        connection.close(3000, '');
      }
    }).catch(() => undefined);
    if (way === 'close' && client !== undefined) {
      await client.until(() => client.frames.length === 2);
      await client.send(close(3000));
      await client.finish();
      assert.deepEqual(client.frameList, ['1:4e6f2e', '8:0bb8']);
    }
    await ending();
    assert.deepEqual(seen, ['one']);
    client?.socket.destroy();
  });
}

test('a code that may not be sent is a mistake of the caller', async () => {
  const client = await open();
  for (const code of [0, 1005, 1006, 2999, 5000]) {
    assert.throws(() => theConnection().close(code, ''), RangeError);
  }
  client.socket.destroy();
  await ending();
});

for (const what of ['gone', 'half-closed'] as const) {
  test(`a socket that is ${what} before it gets here ends the connection`, async () => {
    const socket = new Duplex({
      read: () => void socket.push(null),
      write: (_chunk, _encoding, done) => done(),
    });
    if (what === 'gone') socket.destroy();
    else socket.resume();
    await once(socket, what === 'gone' ? 'close' : 'end');
    const limits = { maxMessageBytes: 1, maxFragments: 1, maxUnreadBytes: 100 };
    const options = { ...limits, streams: makeStreamHost(clock, 2 ** 30) };
    const info = await new Promise<EndInfo>((resolve) => {
      const handlers = { text: () => {}, binary: () => {}, ended: resolve };
      new WebSocketConnection(socket, text('Hi'), options, handlers).sendText('x');
    });
    assert.equal(info.code, 1006);
    if (!socket.closed) await once(socket, 'close');
  });
}
