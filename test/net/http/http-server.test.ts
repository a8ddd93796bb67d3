/** HTTP on the shared port: the pages, and requests as strange as they come. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Agent, request } from 'node:http';
import { test } from 'node:test';
import { FakeClock } from '../../support/fake-clock.ts';
import { ask, bodyOf, exchange, statuses } from '../../support/http-client.ts';
import { LineClient, lock, read, write } from '../../support/line-client.ts';
import { startServer, until } from '../../support/running-server.ts';
import { startV1 } from '../../support/v1-client.ts';

const HOST = 'Host: localhost\r\n';
const CLOSE = 'Connection: close\r\n\r\n';

test('GET / tells a person what this is and who uses it', async (t) => {
  const { connect, port } = await startV1(t);
  const [holder, waiter] = [await connect('namespace=shop'), await connect('namespace=shop')];
  await holder.acquire(write('a'), write('b'));
  await waiter.enqueue(write('a'));
  const { status, headers, body } = await ask(port, '/');
  assert.equal(status, 200);
  assert.equal(headers['content-type'], 'text/plain; charset=utf-8');
  assert.equal(headers['cache-control'], 'no-store');
  assert.equal(headers['x-content-type-options'], 'nosniff');
  assert.match(body, /^Locktopus .*: a lock server\.\n/);
  assert.match(body, /\nNamespaces in use: 1\n {2}"shop": 1 held, 1 waiting, 2 sessions\n$/);
});

test('GET / names namespaces as JSON: odd names stay on their line', async (t) => {
  const { connect, port } = await startV1(t);
  const names = ['__proto__', 'a\nNamespaces in use: 9', '<b>"\\', 'é☃🐙', '\0\u001b[2J'];
  for (const name of names) await connect(`namespace=${encodeURIComponent(name)}`);
  const { body } = await ask(port, '/');
  const listed = body.split('\n').filter((line) => line.includes(' held, '));
  assert.deepEqual(
    listed,
    names.map((name) => `  ${JSON.stringify(name)}: 0 held, 0 waiting, 1 session`),
  );
});

test('GET / lists a hundred namespaces and counts the rest', async (t) => {
  const server = await startServer(t);
  const { port } = server.address;
  const linesAfter = async (count: number): Promise<string[]> => {
    while (server.counts.namespaces < count) {
      const client = await LineClient.connect(t, port);
      await client.ask({ action: 'hello', namespace: `n${server.counts.namespaces}` });
    }
    const { body } = await ask(port, '/');
    return body.split(`Namespaces in use: ${count}\n`)[1]?.trimEnd().split('\n') ?? [];
  };
  const hundred = await linesAfter(100);
  assert.equal(hundred.length, 100);
  assert.match(hundred.at(-1) ?? '', /"n99"/);
  const more = await linesAfter(102);
  assert.equal(more.length, 101);
  assert.equal(more.at(-1), '  and 2 more');
});

test('HEAD is answered like GET, without the body', async (t) => {
  const { port } = await startV1(t);
  for (const path of ['/', '/v1', '/nothing', '/stats_v1']) {
    const get = await ask(port, path);
    const head = await ask(port, path, { method: 'HEAD' });
    assert.equal(head.status, get.status);
    assert.equal(head.headers['content-length'], String(Buffer.byteLength(get.body)));
    assert.equal(head.body, '');
  }
});

test('an unknown path gets 404 and hears of the known ones', async (t) => {
  const { port } = await startV1(t);
  const paths = ['/x', '/index.html', '/stats', '/V1', '/stats_v1/', '//', '/%2F', '/__proto__'];
  for (const path of paths) {
    const { status, body } = await ask(port, path);
    assert.equal(status, 404, path);
    assert.match(body, /Known paths: .*\/v1.*\/stats_v1/);
  }
});

test('a known path with another method gets 405 and Allow', async (t) => {
  const { port } = await startV1(t);
  for (const method of ['POST', 'PUT', 'PATCH', 'DELETE', 'LOCK', 'TRACE']) {
    for (const path of ['/', '/v1', '/stats_v1?namespace=a']) {
      const { status, headers, body } = await ask(port, path, { method });
      assert.equal(status, 405, `${method} ${path}`);
      assert.equal(headers.allow, 'GET, HEAD, OPTIONS');
      assert.match(body, new RegExp(`not ${method}\\.\n$`));
    }
  }
});

test('/v1 without an upgrade gets 400 and a sentence', async (t) => {
  const { port } = await startV1(t);
  for (const path of ['/v1?namespace=a', '/v1?namespace=a&abandon-timeout-ms=1']) {
    const { status, body } = await ask(port, path);
    assert.deepEqual(
      [status, body],
      [400, '/v1 is a WebSocket endpoint: use a WebSocket client.\n'],
    );
  }
});

test('/stats_v1 has the numbers of a namespace under the names of the Go server', async (t) => {
  const { connect, port } = await startV1(t);
  const [holder, waiter] = [await connect('namespace=a%20b'), await connect('namespace=a%20b')];
  await holder.acquire(write('a', 'b'), read('c'));
  const last = await waiter.enqueue(write('a'), read('c'), read('d', 'e', 'f'));
  const { status, headers, body } = await ask(port, '/stats_v1?namespace=a+b');
  assert.equal(status, 200);
  assert.equal(headers['content-type'], 'application/json');
  assert.deepEqual(JSON.parse(body), {
    LastGroupID: Number(last),
    GroupsPending: 1,
    GroupsAcquired: 1,
    LocksPending: 3,
    LocksAcquired: 2,
    PathCount: 6,
    Namespace: 'a b',
    Sessions: 2,
  });
});

test('/stats_v1 wants a namespace, and one that is in use', async (t) => {
  const { connect, port, watch } = await startV1(t);
  for (const query of ['', '?', '?namespace=', '?namespaces=a']) {
    const { status, body } = await ask(port, `/stats_v1${query}`);
    assert.equal(status, 400);
    assert.match(body, /parameter namespace/);
  }
  const unknown = await ask(port, '/stats_v1?namespace=__proto__%0a');
  assert.deepEqual(
    [unknown.status, unknown.body],
    [404, 'The namespace "__proto__\\n" is not in use.\n'],
  );
  const client = await connect('namespace=a');
  assert.equal((await ask(port, '/stats_v1?namespace=a')).status, 200);
  client.socket.close();
  await watch.until('disconnected');
  assert.equal((await ask(port, '/stats_v1?namespace=a')).status, 404);
});

test('an offer of a protocol that is not spoken here is passed over', async (t) => {
  const { port } = await startV1(t);
  const offer = 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk';
  for (const [line, status] of [
    ['GET /', 200],
    ['GET /nothing', 404],
    ['POST /', 405],
    ['GET /stats_v1', 400],
  ] as const) {
    const received = await exchange(port, `${line} HTTP/1.1\r\n${HOST}${offer}\r\n\r\n`);
    assert.deepEqual(statuses(received), [status]);
    assert.match(received, /\r\nConnection: close\r\n/);
  }
});

test('HTTP/1.0 is answered, with and without a Host', async (t) => {
  const { port } = await startV1(t);
  for (const head of ['', HOST]) {
    const received = await exchange(port, `GET / HTTP/1.0\r\n${head}\r\n`);
    assert.deepEqual(statuses(received), [200]);
    assert.match(bodyOf(received), /^Locktopus/);
  }
});

test('HTTP/1.1 without a Host gets 400 and a sentence', async (t) => {
  const { port } = await startV1(t);
  const received = await exchange(port, `GET / HTTP/1.1\r\n${CLOSE}`);
  assert.deepEqual(statuses(received), [400]);
  assert.equal(bodyOf(received), 'The Host header is missing.\n');
});

test('two requests share a connection, one after the other', async (t) => {
  const { port, server } = await startV1(t);
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  t.after(() => agent.destroy());
  for (const isReused of [false, true]) {
    const asked = request({ port, host: '127.0.0.1', path: '/', agent });
    asked.end();
    const [response] = await once(asked, 'response');
    assert.equal(response.statusCode, 200);
    assert.equal(asked.reusedSocket, isReused);
    await once(response.resume(), 'end');
  }
  assert.equal(server.counts.connections, 1);
});

test('requests in one packet are answered in order', async (t) => {
  const { port } = await startV1(t);
  const requests = `GET / HTTP/1.1\r\n${HOST}\r\nGET /x HTTP/1.1\r\n${HOST}\r\n`;
  const received = await exchange(port, `${requests}POST / HTTP/1.1\r\n${HOST}${CLOSE}`);
  assert.deepEqual(statuses(received), [200, 404, 405]);
});

test('what is no HTTP after all gets 400 and a sentence', async (t) => {
  const { port } = await startV1(t);
  for (const nonsense of [
    `GET / HTTP/1.1\r\n${HOST}no colon\r\n\r\n`,
    `GET /\0 HTTP/1.1\r\n${HOST}\r\n`,
    `GET / HTTP/1.1\r\n${HOST}\r\n{"action":"lock"}\n`,
    `POST / HTTP/1.1\r\n${HOST}Content-Length: x\r\n\r\n`,
    `POST / HTTP/1.1\r\n${HOST}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n`,
  ]) {
    const received = await exchange(port, nonsense);
    assert.equal(statuses(received).at(-1), 400, nonsense);
    assert.match(received, /\r\n\r\nInvalid HTTP request: .*\.\n$/);
  }
});

/** Until its version 9, in Node 20.15 for instance, the parser of node:http lets more pass. */
const isStrict = Number(process.versions.llhttp?.split('.')[0]) >= 9;

test('a blank in the name of a header, and a lone line feed, get 400 where the parser is strict', async (t) => {
  const { port } = await startV1(t);
  for (const nonsense of [
    `GET / HTTP/1.1\r\n${HOST}a b: c\r\n${CLOSE}`,
    `GET / HTTP/1.1\n${HOST}${CLOSE}`,
  ]) {
    const received = await exchange(port, nonsense);
    assert.deepEqual(statuses(received), [isStrict ? 400 : 200], nonsense);
    if (isStrict) assert.match(bodyOf(received), /^Invalid HTTP request: .*\.\n$/);
  }
});

test('a head that is too long gets 431 and a sentence', async (t) => {
  const { port } = await startV1(t);
  const long = 'x'.repeat(20_000);
  for (const head of [`GET /${long} HTTP/1.1\r\n`, `GET / HTTP/1.1\r\nX: ${long}\r\n`]) {
    const received = await exchange(port, `${head}${HOST}\r\n`);
    assert.deepEqual(statuses(received), [431]);
    assert.equal(bodyOf(received), 'The request head is too long.\n');
  }
});

test('a target may be absolute; one that is no path gets 400', async (t) => {
  const { port } = await startV1(t);
  for (const [target, status] of [
    ['http://localhost/', 200],
    ['http://localhost/stats_v1?namespace=a', 404],
    ['http://localhost', 200],
    ['http://localhost:99999/', 400],
    ['*', 400],
  ] as const) {
    const received = await exchange(port, `GET ${target} HTTP/1.1\r\n${HOST}${CLOSE}`);
    assert.deepEqual(statuses(received), [status], target);
  }
  const star = await exchange(port, `GET * HTTP/1.1\r\n${HOST}${CLOSE}`);
  assert.equal(bodyOf(star), 'The request target must be a path.\n');
});

test('CONNECT is answered too: this is no proxy', async (t) => {
  const { port } = await startV1(t);
  const received = await exchange(port, `CONNECT localhost:80 HTTP/1.1\r\n${HOST}\r\n`);
  assert.deepEqual(statuses(received), [400]);
  assert.equal(bodyOf(received), 'The request target must be a path.\n');
});

test('a request may be cut at every byte', async (t) => {
  const { port, server } = await startV1(t);
  const whole = `GET /stats_v1?namespace=a HTTP/1.1\r\n${HOST}${CLOSE}`;
  for (let at = 1; at < whole.length; at++) {
    const received = await exchange(port, whole.slice(0, at), whole.slice(at));
    assert.deepEqual(statuses(received), [404], JSON.stringify(whole.slice(0, at)));
  }
  const received = await exchange(port, ...whole);
  assert.deepEqual(statuses(received), [404], 'byte by byte');
  await until(() => server.counts.connections === 0);
});

test('a request that ends with the sending side is answered all the same', async (t) => {
  const { port } = await startV1(t);
  const client = await LineClient.connect(t, port);
  client.socket.end(`GET / HTTP/1.1\r\n${HOST}\r\n`);
  assert.equal(await client.nextLine(), 'HTTP/1.1 200 OK\r');
});

test('a method in small letters is a bad line, not HTTP', async (t) => {
  const { port } = await startV1(t);
  const received = await exchange(port, `get / http/1.1\r\n${HOST}\r\n`);
  assert.equal(JSON.parse(received).error.code, 'bad_json');
});

test('a page that posts messages to this port does nothing to any lock', async (t) => {
  const { port, watch, server } = await startV1(t);
  const line = `${JSON.stringify(lock(write('a')))}\n`;
  for (const headers of [
    { 'content-type': 'text/plain', origin: 'http://evil.example' },
    { 'content-type': 'text/plain' },
    { expect: '100-continue' },
  ]) {
    const { status } = await ask(port, '/', { method: 'POST', headers, body: line.repeat(3) });
    assert.ok(status === 405 || status === 403);
  }
  const head = `POST / HTTP/1.1\r\n${HOST}Content-Length: 0\r\n\r\n`;
  assert.deepEqual(statuses(await exchange(port, head + line)), [405, 400]);
  assert.deepEqual([watch.count('acquired'), server.counts.namespaces], [0, 0]);
});

test('requests before an upgrade in the same packet are answered first, and nothing after it is lost', async (t) => {
  const server = await startServer(t);
  const { port } = server.address;
  const page = `GET / HTTP/1.1\r\n${HOST}\r\n`;
  const h2c = `GET / HTTP/1.1\r\n${HOST}Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n`;
  assert.deepEqual(statuses(await exchange(port, page + h2c)), [200, 200]);
  assert.deepEqual(statuses(await exchange(port, page + page + h2c)), [200, 200, 200]);
  assert.deepEqual(
    statuses(await exchange(port, `${page}${page}garbage\r\n\r\n`)),
    [200, 200, 400],
  );
  const connectLine = `CONNECT x:1 HTTP/1.1\r\n${HOST}\r\n`;
  assert.deepEqual(statuses(await exchange(port, page + page + connectLine)), [200, 200, 400]);
});

test('requests before a WebSocket handshake in the same packet leave no byte in it', async (t) => {
  const server = await startServer(t);
  const page = `GET / HTTP/1.1\r\n${HOST}\r\n`;
  const handshake =
    `GET /v1?namespace=shop HTTP/1.1\r\n${HOST}Connection: Upgrade\r\nUpgrade: websocket\r\n` +
    'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n';
  const close = '\x88\x80\0\0\0\0';
  const received = await exchange(server.address.port, page + page + handshake + close);
  assert.deepEqual(statuses(received), [200, 200, 101]);
  assert.equal(received.split('\r\n\r\n').at(-1), '\x88\x00', 'only the close frame follows');
});

test('a HEAD with an upgrade that is not spoken is answered without a body', async (t) => {
  const { port } = await startV1(t);
  const head = `HEAD / HTTP/1.1\r\n${HOST}Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n`;
  assert.equal(bodyOf(await exchange(port, head)), '');
});

test('an expectation is refused with a sentence', async (t) => {
  const { port } = await startV1(t);
  const { status, body } = await ask(port, '/', { headers: { Expect: 'miracles' } });
  assert.deepEqual([status, body], [417, 'The Expect header is not supported: leave it out.\n']);
});

test('/v1 without a namespace names the parameter first, upgrade or not', async (t) => {
  const { port } = await startV1(t);
  assert.match((await ask(port, '/v1')).body, /^Add the parameter namespace/);
  assert.match((await ask(port, '/v1?namespace=a')).body, /is a WebSocket/);
  assert.match((await ask(port, '/v2')).body, /^\/v2 is a WebSocket/);
});

test('a refused upgrade whose peer does not close its side is cut after a while', async (t) => {
  const clock = new FakeClock();
  const server = await startServer(t, { clock });
  const client = await LineClient.connect(t, server.address.port);
  client.socket.allowHalfOpen = true;
  client.sendRaw(`GET / HTTP/1.1\r\n${HOST}Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n`);
  await once(client.socket, 'end');
  assert.equal(server.counts.connections, 1);
  clock.advance(5000);
  await until(() => server.counts.connections === 0);
  assert.equal(clock.pendingTimers, 0);
});
