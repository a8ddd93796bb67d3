/** Tokens over HTTP and WebSocket: the three places, browsers, late answers, and what is never said. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { WebSocket } from 'ws';
import { WRONG_TOKEN_DELAY_MS } from '../../../src/protocol/auth.ts';
import type { ServerOptions } from '../../../src/server-options.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { ask, bodyOf, exchange, statuses } from '../../support/http-client.ts';
import { LineClient, lock, write } from '../../support/line-client.ts';
import { startServer, until } from '../../support/running-server.ts';
import { handshake, WebSocketClient } from '../../support/websocket-client.ts';

const TOKEN = 'client+token/0001==';
const ADMIN_TOKEN = 'admin-token-00001';
const WRONG = 'wrong-token-00001';

async function setUp(t: TestContext, options: ServerOptions = {}) {
  const clock = new FakeClock();
  const tokens = { tokens: [TOKEN], adminTokens: [ADMIN_TOKEN] };
  const server = await startServer(t, { clock, ...tokens, ...options });
  return { clock, server, port: server.address.port };
}

function offerOf(token: string): string {
  return `locktopus.bearer.${Buffer.from(token).toString('base64url')}`;
}

/** The status that a WebSocket of the `ws` package is refused with. */
async function refusalOf(socket: WebSocket): Promise<number | undefined> {
  socket.on('error', () => {});
  const [, response] = await once(socket, 'unexpected-response');
  response.resume();
  return response.statusCode;
}

const PATHS = ['/', '/metrics', '/stats_v1?namespace=a', '/v1?namespace=a', '/v2', '/nothing'];

for (const path of PATHS) {
  test(`${path} is answered 401 without a token, and a sentence that says how`, async (t) => {
    const { port } = await setUp(t);
    const answer = await ask(port, path);
    assert.equal(answer.status, 401);
    assert.equal(answer.headers['www-authenticate'], 'Bearer');
    assert.match(
      answer.body,
      /^Authentication required: send a token as "Authorization: Bearer TOKEN"/,
    );
    const post = await ask(port, path, { method: 'POST' });
    assert.equal(post.status, 401);
    assert.deepEqual(statuses(await exchange(port, handshake(path))), [401], 'a handshake');
  });
}

test('a request without a token is answered 401, and the next one on its connection as it deserves', async (t) => {
  const { port } = await setUp(t);
  const head = (more: string): string => `GET / HTTP/1.1\r\nHost: localhost\r\n${more}\r\n`;
  const right = `Authorization: Bearer ${TOKEN}\r\nConnection: close\r\n`;
  assert.deepEqual(
    statuses(await exchange(port, head(''), head(''), head(right))),
    [401, 401, 200],
  );
  assert.deepEqual(statuses(await exchange(port, handshake('/v2'), head(right))), [401]);
});

test('OPTIONS that would upgrade is answered as any other, without a token too', async (t) => {
  const { port } = await setUp(t);
  for (const [path, status] of [
    ['/', 204],
    ['/v1', 204],
    ['/v2', 204],
    ['/nothing', 404],
  ] as const) {
    const answer = await exchange(port, handshake(path).replace('GET', 'OPTIONS'));
    assert.deepEqual(statuses(answer), [status], path);
    if (status === 204) assert.match(answer, /^Allow: GET, HEAD, OPTIONS\r$/m);
  }
});

test('probes are answered without a token, and whatever token they show', async (t) => {
  const { port } = await setUp(t);
  for (const path of ['/livez', '/readyz', `/livez?token=${WRONG}`]) {
    assert.equal((await ask(port, path)).status, 200, path);
  }
});

test('CONNECT and other upgrades are answered 401, too', async (t) => {
  const { port } = await setUp(t);
  const upgrade = handshake('/').replace('websocket', 'h2c');
  assert.deepEqual(statuses(await exchange(port, upgrade)), [401]);
  const connect = 'CONNECT /v2 HTTP/1.1\r\nHost: localhost\r\n\r\n';
  assert.deepEqual(statuses(await exchange(port, connect)), [401]);
});

const QUERY = encodeURIComponent(TOKEN);

test('a page is shown for a token in the header or in the query', async (t) => {
  const { port } = await setUp(t);
  for (const scheme of ['Bearer', 'bearer', 'BEARER ']) {
    const headers = { Authorization: `${scheme} ${TOKEN}` };
    assert.equal((await ask(port, '/', { headers })).status, 200, scheme);
  }
  assert.equal((await ask(port, `/?token=${QUERY}`)).status, 200);
  assert.equal((await ask(port, `/?token=${ADMIN_TOKEN}`)).status, 200);
  const basic = { Authorization: `Basic ${TOKEN}` };
  assert.equal((await ask(port, '/', { headers: basic })).status, 401);
  assert.equal((await ask(port, `/?token=${QUERY}`, { headers: basic })).status, 200);
});

const WAYS: readonly (readonly [string, (port: number, path: string) => WebSocket])[] = [
  [
    'the header',
    (port, path) =>
      new WebSocket(`ws://127.0.0.1:${port}${path}`, {
        headers: { Authorization: `Bearer ${TOKEN}` },
      }),
  ],
  [
    'a subprotocol, as browsers can',
    // Like a browser, `ws` hangs up when none of its offers is agreed to, or one that it never made.
    (port, path) => new WebSocket(`ws://127.0.0.1:${port}${path}`, ['locktopus', offerOf(TOKEN)]),
  ],
  ['the query', (port, path) => new WebSocket(`ws://127.0.0.1:${port}${path}&token=${QUERY}`)],
];

for (const [way, open] of WAYS) {
  test(`a WebSocket is opened by a token in ${way}`, async (t) => {
    const { port } = await setUp(t);
    for (const path of ['/v1?namespace=a', '/v2?namespace=b']) {
      const socket = open(port, path);
      t.after(() => socket.terminate());
      await once(socket, 'open');
      socket.send(JSON.stringify(lock(write('a'))));
      const [data] = await once(socket, 'message');
      assert.equal(JSON.parse(String(data)).state, 'acquired', path);
    }
  });
}

test('an administrator is known by the token of its handshake, or of its hello', async (t) => {
  const { port } = await setUp(t);
  const asked: unknown[] = [];
  for (const [token, hello] of [
    [ADMIN_TOKEN, { action: 'hello' }],
    [TOKEN, { action: 'hello', token: ADMIN_TOKEN }],
    [TOKEN, { action: 'hello' }],
  ] as const) {
    const socket = await WebSocketClient.connect(t, port, '/v2', `Authorization: Bearer ${token}`);
    socket.send(hello);
    assert.equal((await socket.next()).error, undefined);
    socket.send({ action: 'evict', id: '1' });
    asked.push(((await socket.next()).error as { code: unknown }).code);
  }
  assert.deepEqual(asked, ['no_such_lock', 'no_such_lock', 'forbidden']);
});

test('the subprotocol locktopus is agreed to whenever it is offered, and no other ever is', async (t) => {
  const open = await startServer(t);
  const closed = await setUp(t);
  const agreed = async (port: number, ...headers: string[]) => {
    const { head } = await WebSocketClient.connect(t, port, '/v2', ...headers);
    return /^Sec-WebSocket-Protocol: (.*)\r$/m.exec(head)?.[1];
  };
  const offer = (...names: string[]) => `Sec-WebSocket-Protocol: ${names.join(', ')}`;
  const { port } = open.address;
  assert.equal(await agreed(port, offer('locktopus')), 'locktopus');
  assert.equal(await agreed(port, offer('chat'), offer('locktopus')), 'locktopus');
  assert.equal(await agreed(port, offer('chat', 'Locktopus', 'locktopus.v2')), undefined);
  assert.equal(await agreed(closed.port, offer(offerOf(TOKEN))), undefined);
  assert.equal(await agreed(closed.port, offer(offerOf(TOKEN), 'locktopus')), 'locktopus');
});

test('the header counts before the subprotocol, and that before the query', async (t) => {
  const { port, clock } = await setUp(t);
  const wrong = async (target: string, ...headers: string[]) => {
    const answer = exchange(port, handshake(target, ...headers));
    await until(() => clock.isDueIn(WRONG_TOKEN_DELAY_MS));
    clock.advance(1000);
    return statuses(await answer);
  };
  const good = `Sec-WebSocket-Protocol: ${offerOf(TOKEN)}`;
  const bad = `Sec-WebSocket-Protocol: ${offerOf(WRONG)}`;
  assert.deepEqual(await wrong('/v2', `Authorization: Bearer ${WRONG}`, good), [401]);
  assert.deepEqual(await wrong(`/v2?token=${QUERY}`, bad), [401]);
  assert.deepEqual(await wrong('/v2', 'Sec-WebSocket-Protocol: locktopus.bearer.%%%'), [401]);
  assert.deepEqual(await wrong('/v2?token='), [401]);
});

test('several tokens in one place are a mistake, be they right or wrong', async (t) => {
  const { port } = await setUp(t);
  const bearer = (token: string) => `Authorization: Bearer ${token}`;
  const offer = (...tokens: string[]) =>
    `Sec-WebSocket-Protocol: ${tokens.map(offerOf).join(', ')}`;
  for (const [query, headers, said] of [
    ['', [bearer(TOKEN), bearer(WRONG)], /^More than one Authorization header/],
    ['', [bearer(TOKEN), 'authorization: Basic eA=='], /^More than one Authorization header/],
    ['', [offer(TOKEN, TOKEN)], /^More than one token among the subprotocols: offer one/],
    ['', [offer(WRONG), offer(TOKEN)], /^More than one token among the subprotocols/],
    [`?token=${QUERY}&token=${WRONG}`, [], /^The parameter token is repeated/],
    [`?token=${WRONG}&token=${QUERY}`, [bearer(TOKEN)], /^The parameter token is repeated/],
  ] as const) {
    for (const path of ['/', '/v2']) {
      const answer = await exchange(port, handshake(`${path}${query}`, ...headers));
      assert.deepEqual(statuses(answer), [400], `${path}${query} ${headers}`);
      assert.match(bodyOf(answer), said);
      assert.equal(answer.includes(WRONG), false);
    }
  }
});

test('a page is refused a second late when the token is wrong, and what follows is not looked at', async (t) => {
  const { port, clock, server } = await setUp(t);
  const socket = connectTcp(port, '127.0.0.1');
  t.after(() => socket.destroy());
  let received = '';
  socket.setEncoding('latin1').on('data', (text: string) => {
    received += text;
  });
  const guess = (token: string) =>
    `GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${token}\r\n\r\n`;
  socket.write(guess(WRONG) + guess(TOKEN) + guess(WRONG));
  await until(() => clock.isDueIn(WRONG_TOKEN_DELAY_MS));
  socket.write(guess(TOKEN));
  clock.advance(999);
  await ask(port, `/?token=${QUERY}`);
  assert.equal(received, '');
  clock.advance(1);
  await once(socket, 'close');
  assert.deepEqual(statuses(received), [401]);
  assert.match(received, /\r\nConnection: close\r\n/);
  assert.match(bodyOf(received), /^Invalid token: send a valid one as /);
  assert.equal(received.includes(WRONG), false);
  await until(() => server.counts.connections === 0);
});

test('a handshake is refused a second late when the token is wrong', async (t) => {
  const { port, clock, server } = await setUp(t);
  for (const [i, path] of ['/v1?namespace=a', '/v2?', '/nothing?'].entries()) {
    const socket = new WebSocket(`ws://127.0.0.1:${port}${path}&token=${WRONG}`);
    const error = refusalOf(socket);
    await until(() => clock.isDueIn(WRONG_TOKEN_DELAY_MS));
    clock.advance(999);
    await ask(port, `/?token=${QUERY}`);
    assert.equal(server.counts.connections > 0, true, `${i}`);
    clock.advance(1);
    assert.equal(await error, 401, path);
    socket.terminate();
    await until(() => server.counts.connections === 0);
  }
});

test('guessers that leave, and a server that stops, leave no timer behind', async (t) => {
  const { port, clock, server } = await setUp(t);
  const request = `GET /?token=${WRONG} HTTP/1.1\r\nHost: localhost\r\n\r\n`;
  for (const head of [request, handshake(`/v2?token=${WRONG}`)]) {
    connectTcp(port, '127.0.0.1')
      .on('error', () => {})
      .write(head);
  }
  await until(() => clock.pendingTimers === 2 && clock.isDueIn(WRONG_TOKEN_DELAY_MS));
  await server.close();
  assert.equal(clock.pendingTimers, 0);
});

/** The close frame with 4003. */
const CLOSE_4003 = '\x88\x02\x0f\xa3';

test('a handshake at /v2 that offers locktopus is refused in the session protocol, for browsers', async (t) => {
  const { port, clock, server } = await setUp(t);
  const offered = 'Sec-WebSocket-Protocol: locktopus';
  const none = await exchange(port, handshake('/v2', offered));
  assert.deepEqual(statuses(none), [101]);
  assert.match(none, /^Sec-WebSocket-Protocol: locktopus\r$/m);
  assert.match(none, /\r\n\r\n\x81.+"code":"unauthorized","message":"authentication required: /s);
  assert.equal(none.endsWith(CLOSE_4003), true);

  const late = exchange(port, handshake('/v2', `${offered}, ${offerOf(WRONG)}`), handshake('/v2'));
  await until(() => clock.isDueIn(WRONG_TOKEN_DELAY_MS));
  clock.advance(WRONG_TOKEN_DELAY_MS - 1);
  await ask(port, `/?token=${QUERY}`);
  assert.equal(clock.isDueIn(1), true);
  clock.advance(1);
  const wrong = await late;
  assert.deepEqual(statuses(wrong), [101]);
  assert.match(wrong, /"code":"unauthorized","message":"invalid token: /);
  assert.equal(wrong.endsWith(CLOSE_4003), true);

  assert.deepEqual(statuses(await exchange(port, handshake('/v1?namespace=a', offered))), [401]);
  const invalid = handshake('/v2', offered).replace('Version: 13', 'Version: 12');
  assert.deepEqual(statuses(await exchange(port, invalid)), [401]);
  const page = handshake('/v2', offered, 'Origin: http://evil.example');
  assert.deepEqual(statuses(await exchange(port, page)), [403]);
  assert.equal(server.counts.sessions, 0);
});

test('a wrong token in the hello of a WebSocket is refused late, and closes it with 4003', async (t) => {
  const { port, clock } = await setUp(t);
  const socket = new WebSocket(`ws://127.0.0.1:${port}/v2?token=${QUERY}`);
  t.after(() => socket.terminate());
  const heard: string[] = [];
  socket.on('message', (data) => heard.push(String(data)));
  const closed = once(socket, 'close');
  await once(socket, 'open');
  socket.send(JSON.stringify({ action: 'hello', token: WRONG }));
  socket.send(JSON.stringify({ action: 'hello', token: TOKEN }));
  await until(() => clock.isDueIn(WRONG_TOKEN_DELAY_MS));
  clock.advance(999);
  await ask(port, `/?token=${QUERY}`);
  assert.deepEqual(heard, []);
  clock.advance(1);
  assert.equal((await closed)[0], 4003);
  assert.equal(heard.length, 1);
  assert.match(heard[0] ?? '', /"code":"unauthorized"/);
});

test('a good token does not stand in for a page that may not connect', async (t) => {
  const { port } = await setUp(t);
  const page = { Authorization: `Bearer ${TOKEN}`, Origin: 'http://evil.example' };
  assert.equal((await ask(port, '/', { headers: page })).status, 403);
});

test('who is not let in is counted by why, and guessers are told of, whether they wait or not', async (t) => {
  const guessers: string[] = [];
  const { port } = await setUp(t, {
    authObserver: {
      wrongToken: (client) => guessers.push(client),
      handshakeFailed: () => assert.fail('there is no TLS here'),
    },
  });
  const leave = async (guesser: Socket, guess: string): Promise<string> => {
    const name = `127.0.0.1:${guesser.localPort}`;
    guesser.write(guess);
    await until(() => guessers.includes(name));
    guesser.destroy();
    return name;
  };
  const line = await LineClient.connect(t, port);
  const page = await LineClient.connect(t, port);
  const handshaking = await LineClient.connect(t, port);
  const names = [
    await leave(line.socket, `${JSON.stringify({ action: 'hello', token: WRONG })}\n`),
    await leave(page.socket, `GET /?token=${WRONG} HTTP/1.1\r\nHost: localhost\r\n\r\n`),
    await leave(handshaking.socket, handshake(`/v2?token=${WRONG}`)),
  ];
  const unauthenticated = await LineClient.connect(t, port);
  unauthenticated.send(lock(write('a')), lock(write('b')));
  await unauthenticated.ended();
  unauthenticated.socket.destroy();
  await ask(port, '/');
  await ask(port, '/livez');
  const { body } = await ask(port, `/metrics?token=${QUERY}`);
  assert.match(body, /^locktopus_auth_failures_total\{reason="no_token"\} 2$/m);
  assert.match(body, /^locktopus_auth_failures_total\{reason="wrong_token"\} 3$/m);
  assert.deepEqual(guessers, names);
});
