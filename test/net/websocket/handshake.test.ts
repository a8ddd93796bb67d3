/** The opening handshake (RFC 6455, 4.2): each rule broken one at a time, and over real sockets. */
import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import type { IncomingHttpHeaders } from 'node:http';
import { after, before, test } from 'node:test';
import { acceptHead, checkHandshake } from '../../../src/net/websocket/handshake.ts';
import { everyCut, piecesOf } from '../../support/cut-anywhere.ts';
import { type EchoServer, startEchoServer } from '../../support/echo-server.ts';
import { HANDSHAKE, RawClient } from '../../support/raw-client.ts';
import { text } from '../../support/websocket-frames.ts';

const ACCEPT = 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=';

const GOOD = {
  host: 'example.com',
  upgrade: 'websocket',
  connection: 'Upgrade',
  'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
  'sec-websocket-version': '13',
};

function check(headers: IncomingHttpHeaders, method = 'GET', httpVersion = '1.1') {
  return checkHandshake({ method, httpVersion, headers });
}

function statusOf(answer: ReturnType<typeof checkHandshake>): number {
  return 'accept' in answer ? 101 : answer.status;
}

test('the key of RFC 6455, 1.3, gets the answer given there', () => {
  assert.deepEqual(check(GOOD), { accept: ACCEPT });
});

test('the response head agrees to no extension and no subprotocol', () => {
  assert.equal(
    acceptHead(ACCEPT),
    `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${ACCEPT}\r\n\r\n`,
  );
});

for (const name of Object.keys(GOOD)) {
  test(`a handshake without ${name} is refused`, () => {
    const headers: Record<string, string> = { ...GOOD };
    delete headers[name];
    const status = name === 'sec-websocket-version' ? 426 : 400;
    assert.equal(statusOf(check(headers)), status);
  });
}

test('no headers at all are refused', () => {
  assert.equal(statusOf(check({})), 400);
});

test('only GET opens a WebSocket', () => {
  for (const method of ['POST', 'HEAD', 'PUT', 'OPTIONS', 'get', '']) {
    const answer = check(GOOD, method);
    assert.ok('status' in answer);
    assert.equal(answer.status, 405);
    assert.deepEqual(answer.headers, { Allow: 'GET' });
  }
  assert.equal(statusOf(checkHandshake({ httpVersion: '1.1', headers: GOOD })), 405);
});

test('only HTTP/1.1 or later opens a WebSocket', () => {
  for (const version of ['1.1', '2.0']) assert.equal(statusOf(check(GOOD, 'GET', version)), 101);
  for (const version of ['1.0', '0.9', '', 'x']) {
    assert.equal(statusOf(check(GOOD, 'GET', version)), 400);
  }
});

test('Upgrade and Connection are comma lists in any case', () => {
  for (const upgrade of ['WebSocket', 'h2c, websocket', '\twebsocket ', 'h2c,,WEBSOCKET,']) {
    assert.equal(statusOf(check({ ...GOOD, upgrade })), 101, upgrade);
  }
  for (const upgrade of ['', ',', 'websockets', 'web socket', 'websocket/13', 'h2c']) {
    assert.equal(statusOf(check({ ...GOOD, upgrade })), 400, upgrade);
  }
  for (const connection of [
    'upgrade',
    'keep-alive, Upgrade',
    'keep-alive,upgrade',
    'UPGRADE\t,x',
  ]) {
    assert.equal(statusOf(check({ ...GOOD, connection })), 101, connection);
  }
  for (const connection of ['', 'keep-alive', 'upgraded', 'keep-alive upgrade', '__proto__']) {
    assert.equal(statusOf(check({ ...GOOD, connection })), 400, connection);
  }
});

test('a long list takes a moment, not minutes', () => {
  const list = `${' ,\t'.repeat(300_000)} x`;
  assert.equal(statusOf(check({ ...GOOD, upgrade: list })), 400);
});

test('the key must be 16 bytes in base64', () => {
  const wrong = [
    '',
    'dGhlIHNhbXBsZSBub25jZQ=',
    'dGhlIHNhbXBsZSBub25jZQ',
    'dGhlIHNhbXBsZSBub25jZQ===',
    'dGhlIHNhbXBsZSBub25jZQA=',
    'dGhlIHNhbXBsZSBub25jZQAA',
    'dGhlIHNhbXBsZSBub25j====',
    'dGhlIHNhbXBsZSBub25j-_==',
    'dGhlIHNhbXBsZSBub25 ZQ==',
    'dGhlIHNhbXBsZSBub25\u00e9ZQ==',
    'dGhlIHNhbXBsZSBub25jZQ==, dGhlIHNhbXBsZSBub25jZQ==',
  ];
  for (const key of wrong) {
    assert.equal(statusOf(check({ ...GOOD, 'sec-websocket-key': key })), 400, key);
  }
  for (const key of ['AAAAAAAAAAAAAAAAAAAAAA==', '/+/+/+/+/+/+/+09azAZ/w==']) {
    assert.equal(statusOf(check({ ...GOOD, 'sec-websocket-key': key })), 101, key);
  }
});

test('any version but 13 is told which one is spoken', () => {
  for (const version of ['', '8', '12', '14', '013', '13.0', '13, 8', '13, 13']) {
    const answer = check({ ...GOOD, 'sec-websocket-version': version });
    assert.ok('status' in answer);
    assert.equal(answer.status, 426);
    assert.equal(answer.headers['Sec-WebSocket-Version'], '13');
  }
});

test('an error has all that the response needs, and a sentence that a person can read', () => {
  assert.deepEqual(check({ ...GOOD, 'sec-websocket-version': '8' }), {
    status: 426,
    headers: { Upgrade: 'websocket', 'Sec-WebSocket-Version': '13' },
    message: 'The Sec-WebSocket-Version header must be 13.',
  });
});

let server: EchoServer;
before(async () => {
  server = await startEchoServer();
});
after(() => server.http.close());

/** Sends `pieces` as so many packets and expects the echo of 'Hi' after the handshake. */
async function expectEcho(pieces: readonly Buffer[]): Promise<void> {
  const client = new RawClient(server.port);
  for (const piece of pieces) await client.send(piece);
  await client.until(() => client.frames.length > 0);
  assert.deepEqual(client.frameList, ['1:4869']);
  assert.equal(client.head, acceptHead(ACCEPT));
  client.socket.destroy();
}

const OPENING = Buffer.concat([Buffer.from(HANDSHAKE), text('Hi')]);

test('a frame in the same packet as the handshake is read', async () => {
  await expectEcho([OPENING]);
});

test('the handshake and the first frame may be cut at every byte', async () => {
  await Promise.all(everyCut(OPENING).map(expectEcho));
});

test('the handshake may come byte by byte', async () => {
  await expectEcho(piecesOf(OPENING, 1));
});

test('the tokens may be spread over several lines', async () => {
  const handshake = HANDSHAKE.replace(
    'Connection: Upgrade',
    'Connection: keep-alive\r\nConnection:\tx, upgrade',
  );
  await expectEcho([Buffer.from(handshake), text('Hi')]);
});

for (const [what, from, to, status] of [
  ['the wrong method', 'GET', 'POST', 405],
  ['HTTP/1.0', 'HTTP/1.1', 'HTTP/1.0', 400],
  ['no Upgrade', 'Upgrade: websocket\r\n', '', 400],
  ['another Upgrade', 'Upgrade: websocket', 'Upgrade: h2c', 400],
  ['no Connection', 'Connection: Upgrade\r\n', '', 400],
  ['another Connection', 'Connection: Upgrade', 'Connection: close', 400],
  ['no key', /Sec-WebSocket-Key.*\r\n/, '', 400],
  ['two keys', /(Sec-WebSocket-Key.*\r\n)/, '$1$1', 400],
  ['a short key', 'dGhlIHNhbXBsZSBub25jZQ==', 'dGhl', 400],
  ['no version', 'Sec-WebSocket-Version: 13\r\n', '', 426],
  ['another version', 'Version: 13', 'Version: 8', 426],
  ['no Host', 'Host: server.example.com\r\n', '', 400],
  ['__proto__ for a header', 'Upgrade: websocket', '__proto__: websocket', 400],
] as const) {
  test(`a handshake with ${what} is answered ${status}, and the connection ends`, async () => {
    const client = new RawClient(server.port);
    await client.send(HANDSHAKE.replace(from, to));
    await client.finish();
    assert.match(
      client.head ?? '',
      new RegExp(`^HTTP/1.1 ${status} .*\r\nConnection: close\r\n`, 's'),
    );
    if (status === 426) assert.match(client.head ?? '', /\r\nSec-WebSocket-Version: 13\r\n/);
  });
}

test('a peer that resets while it is refused does no harm', async () => {
  const client = new RawClient(server.port);
  await client.send(HANDSHAKE.replace('Version: 13', 'Version: 8'));
  client.socket.resetAndDestroy();
  await client.until(() => client.closed);
  await expectEcho([OPENING]);
});
