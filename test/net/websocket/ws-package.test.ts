/** The echo server and a client that others wrote: the `ws` package. */
import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import { WebSocket } from 'ws';
import type { EndInfo, WebSocketConnection } from '../../../src/net/websocket/connection.ts';
import { type EchoServer, startEchoServer } from '../../support/echo-server.ts';

const MIB = 1024 * 1024;

let server: EchoServer;
let connection: WebSocketConnection | undefined;
let ended: Promise<EndInfo>;
let reportEnded: (info: EndInfo) => void = () => {};

before(async () => {
  server = await startEchoServer(
    0,
    {},
    {
      connected: (latest) => {
        connection = latest;
        ended = new Promise((resolve) => {
          reportEnded = resolve;
        });
      },
      ended: (info) => reportEnded(info),
    },
  );
});
after(() => server.http.close());

async function connect(): Promise<WebSocket> {
  const client = new WebSocket(`ws://127.0.0.1:${server.port}/`);
  await once(client, 'open');
  return client;
}

/** The next message: text as a string, binary as it is. */
async function nextMessage(client: WebSocket): Promise<string | Buffer> {
  const [data, isBinary] = await once(client, 'message');
  return isBinary ? data : String(data);
}

async function closeOf(client: WebSocket): Promise<[number, string]> {
  const [code, reason] = await once(client, 'close');
  return [code, String(reason)];
}

test('text and binary of every length class come back', async () => {
  const client = await connect();
  for (const length of [0, 1, 125, 126, 127, 65535, 65536, 4 * MIB]) {
    const ascii = 'x'.repeat(length);
    client.send(ascii);
    assert.equal(await nextMessage(client), ascii);
    const greek = 'κ€😀'.repeat(length / 9);
    client.send(greek);
    assert.equal(await nextMessage(client), greek);
    const bytes = Buffer.alloc(length, Buffer.from([0, 127, 128, 255]));
    client.send(bytes);
    assert.deepEqual(await nextMessage(client), bytes);
  }
  client.close();
  await once(client, 'close');
});

test('many messages come back in order', async () => {
  const client = await connect();
  const received: string[] = [];
  client.on('message', (data) => received.push(String(data)));
  const sent = Array.from({ length: 1000 }, (_, i) => `message ${i}`);
  for (const message of sent) client.send(message);
  client.close(1000);
  await once(client, 'close');
  assert.deepEqual(received, sent);
});

test('fragments come back as one message', async () => {
  const client = await connect();
  for (const part of ['a', '', 'κ', 'x'.repeat(70_000)]) client.send(part, { fin: false });
  client.send('end', { fin: true });
  assert.equal(await nextMessage(client), `aκ${'x'.repeat(70_000)}end`);
  client.close();
  await once(client, 'close');
});

test('pings are answered, and a ping of ours arrives', async () => {
  const client = await connect();
  client.ping('payload');
  const [payload] = await once(client, 'pong');
  assert.equal(String(payload), 'payload');
  connection?.ping();
  await once(client, 'ping');
  client.close();
  await once(client, 'close');
});

for (const [code, reason] of [
  [1000, ''],
  [1001, 'leaving'],
  [3000, 'κόσμε'],
  [4999, 'r'.repeat(123)],
] as const) {
  test(`a close with ${code} by the client is clean`, async () => {
    const client = await connect();
    client.close(code, reason);
    assert.deepEqual(await closeOf(client), [code, '']);
    assert.deepEqual(await ended, { code, reason, clean: true });
  });

  test(`a close with ${code} by the server is clean`, async () => {
    const client = await connect();
    connection?.close(code, reason);
    assert.deepEqual(await closeOf(client), [code, reason]);
    assert.deepEqual(await ended, { code, reason, clean: true });
  });
}

test('a close without a code is clean', async () => {
  const client = await connect();
  client.close();
  assert.deepEqual(await closeOf(client), [1005, '']);
  assert.deepEqual(await ended, { code: 1005, reason: '', clean: true });
});

test('a client that goes without a word is noticed', async () => {
  const client = await connect();
  client.send('x'.repeat(MIB));
  client.terminate();
  await once(client, 'close');
  const { code, clean } = await ended;
  assert.deepEqual([code, clean], [1006, false]);
});

test('a text frame with the reason may come before a close with 3000', async () => {
  const client = await connect();
  const closing = closeOf(client);
  connection?.sendText('bad message');
  connection?.close(3000, '');
  assert.equal(await nextMessage(client), 'bad message');
  assert.deepEqual(await closing, [3000, '']);
});

test('compression is offered and not agreed to', async () => {
  const client = new WebSocket(`ws://127.0.0.1:${server.port}/`, { perMessageDeflate: true });
  await once(client, 'open');
  assert.equal(client.extensions, '');
  client.close();
  await once(client, 'close');
});
