/** Odd requests over HTTP: bodies that break, targets, versions, proxies, crowds, full servers. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { hostMistake, targetMistake } from '../../../src/net/http/request.ts';
import { WRONG_TOKEN_DELAY_MS } from '../../../src/protocol/auth.ts';
import type { ServerOptions } from '../../../src/server-options.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { ask, bodyOf, exchange, statuses } from '../../support/http-client.ts';
import { LineClient, lock, write } from '../../support/line-client.ts';
import { RawClient } from '../../support/raw-client.ts';
import { startServer, until } from '../../support/running-server.ts';
import { handshake, WebSocketClient } from '../../support/websocket-client.ts';
import { text } from '../../support/websocket-frames.ts';

const HOST = 'Host: localhost\r\n';
const CLOSE = 'Connection: close\r\n';
const TOKEN = 'client-token-00001';
const WRONG = 'wrong-token-00001';

async function start(t: TestContext, options: ServerOptions = {}): Promise<number> {
  const { address } = await startServer(t, options);
  return address.port;
}

for (const [what, head, body] of [
  ['breaks', 'Transfer-Encoding: chunked\r\n', '1\r\nx\r\nnonsense\r\n\r\n'],
  ['stays incomplete', 'Content-Length: 100\r\n', 'x'],
  ['is not sent', 'Content-Length: 100\r\n', ''],
  ['is awaited', 'Content-Length: 100\r\nExpect: 100-continue\r\n', ''],
  ['is a request itself', 'Content-Length: 6\r\n', `GET / HTTP/1.1\r\n${HOST}\r\n`],
  ['is long', 'Content-Length: 1000000\r\n', 'x'.repeat(999_999)],
] as const) {
  for (const [method, path, status] of [
    ['POST', '/', 405],
    ['GET', '/livez', 200],
    ['GET', '/nothing', 404],
  ] as const) {
    test(`${method} ${path} whose body ${what} has one answer, which ends the connection`, async (t) => {
      const port = await start(t, { clock: new FakeClock() });
      const received = await exchange(
        port,
        `${method} ${path} HTTP/1.1\r\n${HOST}${head}\r\n`,
        body,
      );
      assert.deepEqual(statuses(received), [status]);
      assert.match(received, /^Connection: close\r$/m);
      assert.doesNotMatch(received, /keep-alive|100 Continue/);
    });
  }
}

test('a body that is cut has no second answer either', async (t) => {
  const client = new RawClient(await start(t));
  client.socket.end(`POST / HTTP/1.1\r\n${HOST}Content-Length: 5\r\n\r\nx`);
  await client.until(() => client.closed);
  assert.deepEqual(statuses(client.received.toString('latin1')), [405]);
});

test('a head that is cut off is told so', async (t) => {
  const port = await start(t);
  for (const request of ['GET / HT', `GET / HTTP/1.1\r\n${HOST}`, `GET / HTTP/1.1\r\n${HOST}\r`]) {
    const client = new RawClient(port);
    client.socket.end(request);
    await client.until(() => client.closed);
    const received = client.received.toString('latin1');
    assert.deepEqual(statuses(received), [400], request);
    assert.equal(
      bodyOf(received),
      'Incomplete request: the connection was closed before its end.\n',
    );
  }
});

test('what came before a request with a body is answered before it, and nothing behind it', async (t) => {
  const port = await start(t);
  const get = `GET /livez HTTP/1.1\r\n${HOST}\r\n`;
  const post = `POST / HTTP/1.1\r\n${HOST}Content-Length: 2\r\n\r\nxx`;
  assert.deepEqual(statuses(await exchange(port, get + get + post + get)), [200, 200, 405]);
});

test('two Host headers are refused on every way', async (t) => {
  const port = await start(t);
  for (const request of [
    `GET / HTTP/1.1\r\n${HOST}Host: localhost\r\n${CLOSE}\r\n`,
    `GET / HTTP/1.0\r\n${HOST}Host: evil.example\r\n\r\n`,
    `GET http://localhost/ HTTP/1.1\r\n${HOST}host: a\r\n${CLOSE}\r\n`,
    handshake('/v2', 'Host: localhost', 'Host: localhost'),
  ]) {
    const received = await exchange(port, request);
    assert.deepEqual(statuses(received), [400], request);
    assert.match(bodyOf(received), /^More than one Host header/);
  }
});

test('the authority of an absolute target counts, and Host does not', async (t) => {
  const port = await start(t);
  for (const [target, host, status] of [
    ['HTTP://localhost/', 'localhost', 200],
    ['Https://127.0.0.1:9009/', 'evil.example', 200],
    ['http://evil.example/', 'localhost', 403],
    ['ftp://localhost/', 'localhost', 400],
  ] as const) {
    const head = `${target} HTTP/1.1\r\nHost: ${host}\r\n`;
    const received = await exchange(port, `GET ${head}${CLOSE}\r\n`);
    assert.deepEqual(statuses(received), [status], target);
  }
  const upgrade = await exchange(port, handshake('http://evil.example/v2'));
  assert.deepEqual(statuses(upgrade), [403]);
});

test('probes are answered whatever Host and Origin they have, and nothing else is', async (t) => {
  const port = await start(t);
  for (const [path, status] of [
    ['/livez', 200],
    ['/readyz', 200],
    ['http://evil.example/livez', 200],
    ['/livez/', 403],
    ['/metrics', 403],
    ['/', 403],
  ] as const) {
    for (const origin of ['', 'Origin: http://evil.example\r\n']) {
      const head = `GET ${path} HTTP/1.1\r\nHost: 10.1.2.3:9009\r\n${origin}${CLOSE}\r\n`;
      const received = await exchange(port, head);
      assert.deepEqual(statuses(received), [status], head);
      assert.doesNotMatch(received, /Access-Control/);
    }
  }
});

for (const [what, request] of [
  ['HTTP/2.0', `GET / HTTP/2.0\r\n${HOST}\r\n`],
  ['HTTP/0.9', `GET / HTTP/0.9\r\n${HOST}\r\n`],
  ['HTTP/0.9 as it was', 'GET /\r\n\r\n'],
  ['HTTP/9.1', 'GET / HTTP/9.1\r\n\r\n'],
  ['the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
] as const) {
  test(`${what} is answered with 505 and a sentence, and ended`, async (t) => {
    const received = await exchange(await start(t), request);
    assert.deepEqual(statuses(received), [505]);
    assert.equal(bodyOf(received), 'This server speaks HTTP/1.1.\n');
  });
}

test('OPTIONS is answered with 204 and Allow, for every path there is and for the server', async (t) => {
  const port = await start(t, { tokens: [TOKEN] });
  for (const target of ['/', '/metrics', '/v1', '*']) {
    const received = await exchange(port, `OPTIONS ${target} HTTP/1.1\r\n${HOST}${CLOSE}\r\n`);
    assert.deepEqual(statuses(received), [204], target);
    assert.match(received, /^Allow: GET, HEAD, OPTIONS\r$/m);
    assert.doesNotMatch(received, /^(Content|Access-Control)-/m);
    assert.equal(bodyOf(received), '');
  }
  assert.equal((await ask(port, '/nothing', { method: 'OPTIONS' })).status, 404);
});

test('a page that is allowed may read what it asks for, with its token too; others may not', async (t) => {
  const origin = 'https://shop.example';
  const port = await start(t, { allowedOrigins: [origin], tokens: [TOKEN] });
  const from = (method: string, headers: Record<string, string>) =>
    ask(port, '/metrics', { method, headers });
  const preflight = await from('OPTIONS', { origin });
  assert.equal(preflight.headers['access-control-allow-headers'], 'Authorization');
  const read = await from('GET', { origin, authorization: `Bearer ${TOKEN}` });
  const refused = await from('GET', { origin });
  assert.deepEqual([preflight.status, read.status, refused.status], [204, 200, 401]);
  for (const { headers } of [preflight, read, refused]) {
    assert.equal(headers['access-control-allow-origin'], origin);
    assert.equal(headers.vary, 'Origin');
  }
  const foreign = await from('GET', { origin: 'http://evil.example' });
  assert.equal(foreign.status, 403);
  assert.equal(foreign.headers['access-control-allow-origin'], undefined);
});

const PROXY_HEADERS = [
  'Forwarded: for=203.0.113.9',
  'X-Forwarded-For: 203.0.113.9',
  'x-forwarded-proto: https',
  'X-Forwarded-Host:',
  'X-Real-IP: 203.0.113.9',
  'Via: 1.1 proxy',
];
for (const header of PROXY_HEADERS) {
  test(`whoever came through a proxy that says ${header} is no administrator`, async (t) => {
    const port = await start(t);
    const holder = await LineClient.connect(t, port);
    const { id } = await holder.ask(lock(write('a')));
    const proxied = await WebSocketClient.connect(t, port, '/v2', header);
    proxied.send({ action: 'evict', id });
    const { error } = JSON.parse(await proxied.nextText());
    assert.equal(error.code, 'forbidden');
    assert.match(error.message, /not through a proxy/);
    // Nor by a hello with a token, which nobody wants here.
    proxied.send({ action: 'hello', token: TOKEN }, { action: 'evict', id });
    await proxied.nextText();
    assert.match(await proxied.nextText(), /forbidden/);
    const near = await WebSocketClient.connect(t, port, '/v2');
    near.send({ action: 'evict', id });
    assert.equal(JSON.parse(await near.nextText()).locks, 1);
  });
}

/** Headers that say nothing, and leave room for some that do. */
const PADDING = 'a:\r\n'.repeat(3000);

for (const [header, status, body] of [
  [HOST, 400],
  ['Origin: http://evil.example\r\n', 403],
  ['Expect: nonsense\r\n', 417],
  // Bodies that would have an answer of their own if they were not known for bodies.
  ['Content-Length: 100\r\n', 200, 'x'],
  ['Transfer-Encoding: chunked\r\n', 200, 'nonsense\r\n'],
] as const) {
  test(`${header.trim()} counts behind 3,000 other headers`, async (t) => {
    const port = await start(t);
    const head = `GET / HTTP/1.1\r\n${HOST}${PADDING}${header}`;
    const received = await exchange(
      port,
      `${head}${body === undefined ? CLOSE : ''}\r\n`,
      body ?? '',
    );
    assert.deepEqual(statuses(received), [status]);
    assert.match(received, /^Connection: close\r$/m);
  });
}

test('Host and a token count behind 3,000 other headers', async (t) => {
  const port = await start(t, { tokens: [TOKEN] });
  const headers = `${PADDING}${HOST}Authorization: Bearer ${TOKEN}\r\n${CLOSE}`;
  const received = await exchange(port, `GET / HTTP/1.1\r\n${headers}\r\n`);
  assert.deepEqual(statuses(received), [200]);
});

for (const header of PROXY_HEADERS) {
  test(`${header} is seen behind 3,000 other headers, with those of the handshake`, async (t) => {
    const port = await start(t);
    const holder = await LineClient.connect(t, port);
    const { id } = await holder.ask(lock(write('a')));
    const head = handshake('/v2', header).replace('\r\n', `\r\n${PADDING}`);
    const client = new RawClient(port);
    client.socket.write(head);
    await client.until(() => client.head !== undefined);
    assert.match(client.head ?? '', /^HTTP\/1\.1 101 /);
    client.socket.write(text(JSON.stringify({ action: 'evict', id })));
    await client.until(() => client.frames.length > 0);
    assert.match(client.frames[0]?.payload.toString() ?? '', /forbidden/);
    client.socket.destroy();
  });
}

test('hundreds of requests in one packet are answered one in a turn, and others in between', async (t) => {
  const port = await start(t);
  const other = await LineClient.connect(t, port);
  await other.ask({ action: 'ping' });
  const count = 400;
  const client = new RawClient(port);
  let answered = 0;
  client.socket.on('data', (chunk: Buffer) => {
    answered += chunk.toString('latin1').split('HTTP/1.1 200').length - 1;
  });
  client.socket.write(`GET /metrics HTTP/1.1\r\n${HOST}\r\n`.repeat(count));
  let inBetween = 0;
  // A head may be cut between two chunks, and is not counted then.
  while (answered < count - 50) {
    await other.ask({ action: 'ping' });
    inBetween++;
  }
  assert.ok(inBetween > count / 10, `${inBetween} others in between`);
});

const GET = `GET /livez HTTP/1.1\r\n${HOST}\r\n`;
for (const [what, last, lastStatus] of [
  ['garbage', '{"action":"lock"}\n', 400],
  ['a handshake with nothing at its path', handshake('/nothing'), 404],
  ['a handshake in garbage', `{"action":"lock"}\n${handshake('/v2')}`, 400],
  ['a request with a body', `POST / HTTP/1.1\r\n${HOST}Content-Length: 2\r\n\r\nxx`, 405],
  ['CONNECT', `CONNECT / HTTP/1.1\r\n${HOST}\r\n`, 405],
  ['a wrong token', `GET /?token=${WRONG} HTTP/1.1\r\n${HOST}\r\n`, 401],
] as const) {
  for (const before of [0, 1, 2]) {
    test(`behind ${before} in its packet, ${what} ends a connection that goes when its peer does`, {
      timeout: 20_000,
    }, async (t) => {
      const clock = new FakeClock();
      const server = await startServer(t, { clock, adminTokens: [TOKEN] });
      const client = new RawClient(server.address.port);
      // The first packet of a connection has a way of its own.
      await client.send(GET);
      await client.until(() => client.head !== undefined);
      client.socket.write(GET.repeat(before) + last);
      if (lastStatus === 401) {
        await until(() => clock.isDueIn(WRONG_TOKEN_DELAY_MS));
        clock.advance(WRONG_TOKEN_DELAY_MS);
      }
      await client.finish();
      const answers = statuses(client.received.toString('latin1'));
      assert.deepEqual(answers, [...Array(1 + before).fill(200), lastStatus]);
      await until(() => server.counts.connections === 0);
    });
  }
}

test('a WebSocket behind other requests in its packet is read', { timeout: 20_000 }, async (t) => {
  const port = await start(t);
  for (const before of [0, 1, 2, 3]) {
    const client = new RawClient(port);
    await client.send(GET);
    await client.until(() => client.head !== undefined);
    await client.send(GET.repeat(before) + handshake('/v2'));
    const isOpen = (): boolean => client.received.includes('HTTP/1.1 101 ');
    await client.until(isOpen);
    client.socket.write(text(JSON.stringify({ action: 'ping' })));
    await client.until(() => client.received.includes('"action":"ping"'));
    client.socket.destroy();
  }
});

test('behind a wrong token no guess by upgrade or CONNECT is looked at or counted', async (t) => {
  for (const second of [
    handshake('/v2', `Authorization: Bearer ${TOKEN}`),
    handshake('/v2', `Authorization: Bearer ${WRONG}`),
    `CONNECT /v2?token=${WRONG} HTTP/1.1\r\n${HOST}\r\n`,
    `GET /?token=${WRONG} HTTP/1.1\r\n${HOST}\r\n`,
  ]) {
    const clock = new FakeClock();
    const guesses: string[] = [];
    const authObserver = {
      wrongToken: (client: string) => void guesses.push(client),
      handshakeFailed: () => assert.fail(),
    };
    const port = await start(t, { clock, tokens: [TOKEN], authObserver });
    const client = new RawClient(port);
    await client.send(`GET /?token=${WRONG} HTTP/1.1\r\n${HOST}\r\n${second}`);
    await until(() => clock.isDueIn(WRONG_TOKEN_DELAY_MS));
    // Whatever is going to be looked at would be by the time that another client is answered.
    for (let i = 0; i < 5; i++) await ask(port, '/livez');
    clock.advance(WRONG_TOKEN_DELAY_MS);
    await client.finish();
    assert.deepEqual(statuses(client.received.toString('latin1')), [401], second);
    assert.equal(guesses.length, 1, second);
  }
});

test('a header may be called anything, and Host is counted beside it', async (t) => {
  const named = (...names: string[]) => {
    const rawHeaders = names.flatMap((name) => [name, 'x']);
    return hostMistake({ httpVersion: '1.1', rawHeaders })?.status;
  };
  assert.equal(named('HOST', '__proto__', 'constructor'), undefined);
  assert.equal(named('__proto__'), 400);
  assert.equal(named('Host', '__proto__', 'hOsT'), 400);
  const port = await start(t);
  for (const name of ['__proto__', 'constructor', 'toString']) {
    const head = `GET /livez HTTP/1.1\r\n${HOST}${name}: x\r\n${name}: y\r\n${CLOSE}\r\n`;
    assert.deepEqual(statuses(await exchange(port, head)), [200], name);
  }
});

test('a target is ASCII, also for parsers that let more pass', async (t) => {
  assert.equal(targetMistake({ url: '/v1?namespace=%C3%A9!~' }), undefined);
  for (const url of ['/v1?namespace=\xc3\xa9', '/a b', '/\x7f', '/\n']) {
    assert.equal(targetMistake({ url })?.status, 400, url);
  }
  const port = await start(t);
  const target = Buffer.from('/stats_v1?namespace=café').toString('latin1');
  const close = 'Connection: close\r\n';
  const answer = await exchange(port, `GET ${target} HTTP/1.1\r\n${HOST}${close}\r\n`);
  assert.deepEqual(statuses(answer), [400]);
});

test('a full server answers those who watch over it, and nobody else', async (t) => {
  const server = await startServer(t, { limits: { maxConnections: 1 } });
  const { port } = server.address;
  const only = await LineClient.connect(t, port);
  await only.ask({ action: 'ping' });
  for (const [path, status] of [
    ['/livez', 200],
    ['/readyz', 200],
    ['/metrics', 200],
    ['/', 503],
    ['/nothing', 503],
  ] as const) {
    const request = `GET ${path} HTTP/1.1\r\n${HOST}\r\n`;
    const received = await exchange(port, request + request);
    assert.deepEqual(statuses(received), [status], path);
    assert.match(received, /^Connection: close\r$/m);
  }
  assert.deepEqual(statuses(await exchange(port, handshake('/v2'))), [503]);
  await until(() => server.counts.connections === 1);
  const { body } = await ask(port, '/metrics');
  assert.match(body, /^locktopus_errors_total\{code="too_many_connections"\} 3$/m);
});

test('a full server wants its token for the metrics all the same', async (t) => {
  const port = await start(t, { limits: { maxConnections: 1 }, tokens: [TOKEN] });
  const only = await LineClient.connect(t, port);
  await only.ask({ action: 'hello', token: TOKEN });
  const headers = { authorization: `Bearer ${TOKEN}` };
  assert.equal((await ask(port, '/metrics')).status, 401);
  assert.equal((await ask(port, '/metrics', { headers })).status, 200);
  assert.equal((await ask(port, '/livez')).status, 200);
});
