/** The opening handshake at /v1 and /v2 of the real server: each rule broken alone, cut anywhere. */
import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { test } from 'node:test';
import { everyCut, piecesOf } from '../../support/cut-anywhere.ts';
import { bodyOf, exchange, statuses } from '../../support/http-client.ts';
import { RawClient } from '../../support/raw-client.ts';
import { NOTHING_LEFT, startServer, until } from '../../support/running-server.ts';
import { handshake } from '../../support/websocket-client.ts';
import { close, text } from '../../support/websocket-frames.ts';

const MESSAGE = '{"action":"lock","resources":[{"type":"write","path":["a"]}]}';

const BROKEN: readonly (readonly [
  what: string,
  from: string | RegExp,
  to: string,
  status: number,
])[] = [
  ['POST', 'GET', 'POST', 405],
  ['HEAD', 'GET', 'HEAD', 405],
  ['HTTP/1.0', 'HTTP/1.1', 'HTTP/1.0', 400],
  ['HTTP/0.9', 'HTTP/1.1', 'HTTP/0.9', 505],
  ['no version of HTTP', ' HTTP/1.1', '', 505],
  ['no Upgrade', 'Upgrade: websocket\r\n', '', 400],
  ['another Upgrade', 'Upgrade: websocket', 'Upgrade: h2c', 400],
  ['a longer Upgrade', 'Upgrade: websocket', 'Upgrade: websockets', 400],
  ['no Connection', 'Connection: Upgrade\r\n', '', 400],
  ['another Connection', 'Connection: Upgrade', 'Connection: keep-alive', 400],
  ['no key', /Sec-WebSocket-Key.*\r\n/, '', 400],
  ['an empty key', /Sec-WebSocket-Key.*\r\n/, 'Sec-WebSocket-Key:\r\n', 400],
  ['a key of 15 bytes', 'dGhlIHNhbXBsZSBub25jZQ==', 'dGhlIHNhbXBsZSBub25j', 400],
  ['a key of 17 bytes', 'dGhlIHNhbXBsZSBub25jZQ==', 'dGhlIHNhbXBsZSBub25jZSE=', 400],
  ['a key that is no base64', 'dGhlIHNhbXBsZSBub25jZQ==', 'dGhlIHNhbXBsZSBub25j!Q==', 400],
  ['two keys', /(Sec-WebSocket-Key.*\r\n)/, '$1$1', 400],
  ['no version', 'Sec-WebSocket-Version: 13\r\n', '', 426],
  ['version 8', 'Version: 13', 'Version: 8', 426],
  ['two versions', 'Version: 13', 'Version: 13, 8', 426],
  ['no Host', 'Host: localhost\r\n', '', 400],
  ['a foreign Host', 'Host: localhost', 'Host: evil.example', 403],
  ['a foreign Origin', 'Host: localhost', 'Host: localhost\r\nOrigin: http://evil.example', 403],
  ['__proto__ for Upgrade', 'Upgrade: websocket', '__proto__: websocket', 400],
  ['a header without a colon', 'Upgrade: websocket', 'Upgrade websocket', 400],
  ['another path', /\/v\d/, '/v3', 404],
];

for (const path of ['/v1?namespace=shop', '/v2']) {
  for (const [what, from, to, status] of BROKEN) {
    test(`a handshake for ${path} with ${what} gets ${status}, a sentence and the end`, async (t) => {
      const server = await startServer(t);
      const bytes = handshake(path).replace(from, to);
      assert.notEqual(bytes, handshake(path));
      // Asked to close, for without an upgrade it is an ordinary request. The frame is not looked at.
      const received = await exchange(
        server.address.port,
        bytes.replace('\r\n', '\r\nConnection: close\r\n') + text(MESSAGE).toString('latin1'),
      );
      assert.equal(statuses(received)[0], status);
      const head = received.slice(0, received.indexOf('\r\n\r\n'));
      assert.match(head, /\r\nConnection: close$/im);
      const length = Number(/\r\nContent-Length: (\d+)/i.exec(head)?.[1]);
      assert.ok(length > 0, 'it says how long its body is');
      const body = bodyOf(received).slice(0, length);
      if (what !== 'HEAD') assert.match(body, /^[A-Z/].*\.\n$/);
      if (status === 426) assert.match(head, /\r\nSec-WebSocket-Version: 13(\r\n|$)/);
      await until(() => server.counts.connections === 0);
      assert.deepEqual(server.counts, NOTHING_LEFT);
    });
  }

  test(`a handshake for ${path} and a frame in its packet may be cut at every byte`, async (t) => {
    const server = await startServer(t);
    const bytes = Buffer.concat([Buffer.from(handshake(path)), text(MESSAGE), close(1000)]);
    for (const pieces of [...everyCut(bytes), piecesOf(bytes, 1), [bytes]]) {
      const client = new RawClient(server.address.port);
      for (const piece of pieces) await client.send(piece);
      await client.finish();
      const [reply, end] = client.frames;
      assert.match(String(reply?.payload), /"state":"(acquired|enqueued)"/);
      assert.equal(end?.payload.readUInt16BE(0), 1000);
    }
  });

  test(`a peer that resets at any byte of a handshake for ${path} does no harm`, async (t) => {
    const server = await startServer(t);
    const bytes = Buffer.concat([Buffer.from(handshake(path)), text(MESSAGE)]);
    for (const [part] of everyCut(bytes)) {
      const client = new RawClient(server.address.port);
      await client.send(part);
      client.socket.resetAndDestroy();
      await client.until(() => client.closed);
    }
    await until(() => server.counts.connections === 0);
    assert.equal(server.counts.acquired, 0, 'none of them sent a whole message');
  });
}
