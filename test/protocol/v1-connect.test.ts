/** PROTOCOL.md, section 6: how a v1 session begins: the handshake and its parameters. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ask, bodyOf, exchange, statuses } from '../support/http-client.ts';
import { write } from '../support/line-client.ts';
import { startServer } from '../support/running-server.ts';
import { startV1 } from '../support/v1-client.ts';
import { handshake, WebSocketClient } from '../support/websocket-client.ts';

test('a handshake with a namespace is answered 101 and opens a session that is ready', async (t) => {
  const { server, connect } = await startV1(t);
  const client = await connect('namespace=shop');
  assert.equal(server.counts.namespaces, 1);
  assert.equal(server.counts.sessions, 1);
  await client.acquire(write('a'));
});

test('a namespace that is missing or empty is refused with 400, before anything else', async (t) => {
  const { server, port } = await startV1(t);
  for (const query of ['', '?', '?namespace=', '?Namespace=a', '?abandon-timeout-ms=x']) {
    const answer = await exchange(port, handshake(`/v1${query}`));
    assert.deepEqual(statuses(answer), [400], query);
    assert.match(answer, /\r\n\r\n.*\bnamespace\b.*\.\n$/, 'a sentence that names the parameter');
  }
  assert.equal(server.counts.sessions, 0);
});

test('of a repeated parameter v1 reads the first, as the Go server does; a token must be clear', async (t) => {
  const { port, connect } = await startV1(t);
  await connect('namespace=a&namespace=b&abandon-timeout-ms=1&abandon-timeout-ms=x');
  const stats = await ask(port, '/stats_v1?namespace=a&namespace=b');
  assert.equal(JSON.parse(stats.body).Namespace, 'a');
  const answer = await exchange(port, handshake('/v1?namespace=a&token=1&token=2'));
  assert.equal(bodyOf(answer), 'The parameter token is repeated: send it once.\n');
});

test('an abandon timeout that is no integer of 0 or more is refused with 400', async (t) => {
  const { server, port } = await startV1(t);
  const bad = ['-1', 'x', '1.5', '', '1e3', ' 1', '1 ', '+1', '0x10', '99999999999999999999', '١'];
  for (const value of bad) {
    const query = `namespace=a&abandon-timeout-ms=${encodeURIComponent(value)}`;
    const answer = await exchange(port, handshake(`/v1?${query}`));
    assert.deepEqual(statuses(answer), [400], value);
    assert.match(answer, /\r\n\r\nabandon-timeout-ms .*\.\n$/);
  }
  assert.equal(server.counts.sessions, 0);
});

test('an abandon timeout may be any safe integer', async (t) => {
  const { connect } = await startV1(t);
  for (const value of ['0', '1', '60000', '9007199254740991']) {
    await connect(`namespace=a&abandon-timeout-ms=${value}`);
  }
});

test('an abandon timeout over the limit is refused with 400, by v1 and at /v2', async (t) => {
  const { port } = await startServer(t, {
    limits: { maxAbandonTimeoutMs: 5000 },
    defaultAbandonTimeoutMs: 6000,
  }).then(({ address }) => address);
  for (const path of ['/v1?namespace=a', '/v2?']) {
    const ask = (ms: number) => `${path}&abandon-timeout-ms=${ms}`;
    await WebSocketClient.connect(t, port, ask(5000));
    await WebSocketClient.connect(t, port, path); // what the server chooses is its own
    const answer = await exchange(port, handshake(ask(5001)));
    assert.deepEqual(statuses(answer), [400], path);
    assert.equal(bodyOf(answer), 'abandon-timeout-ms may be at most 5000 on this server.\n');
  }
});

test('unknown parameters are ignored', async (t) => {
  const { connect } = await startV1(t);
  const client = await connect('x=1&namespace=a&NAMESPACE=b&abandon_timeout_ms=x&&=');
  await client.acquire(write('a'));
});

test('subprotocols and compression are offered in vain', async (t) => {
  const { port } = await startV1(t);
  const offers = [
    'Sec-WebSocket-Protocol: chat, superchat',
    'Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits',
  ];
  const client = await WebSocketClient.connect(t, port, '/v1?namespace=a', ...offers);
  assert.equal(
    client.head,
    'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
      'Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n',
  );
});

test('a request without upgrade headers gets 400, another method 405, another path 404', async (t) => {
  const { port } = await startV1(t);
  const plain = 'Host: localhost\r\nConnection: close\r\n\r\n';
  const get = await exchange(port, `GET /v1?namespace=a HTTP/1.1\r\n${plain}`);
  assert.deepEqual(statuses(get), [400]);
  for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS']) {
    const answer = await exchange(port, `${method} /v1?namespace=a HTTP/1.1\r\n${plain}`);
    const status = method === 'OPTIONS' ? 204 : 405;
    assert.deepEqual(statuses(answer), [status], method);
    const upgrade = handshake('/v1?namespace=a').replace('GET', method);
    assert.deepEqual(statuses(await exchange(port, upgrade)), [status], `${method}, upgrade`);
  }
  for (const path of ['/v3', '/V1', '/v1/', '/v1x', '//v1']) {
    const answer = await exchange(port, handshake(`${path}?namespace=a`));
    assert.deepEqual(statuses(answer), [404], path);
  }
});

test('namespaces are separate, whatever they are called', async (t) => {
  const { server, connect } = await startV1(t);
  const names = [
    'a',
    'A',
    'a b',
    '__proto__',
    'constructor',
    '\0',
    'é',
    'e\u0301',
    '☃',
    '../a',
    '"',
  ];
  for (const name of names) {
    const client = await connect(`namespace=${encodeURIComponent(name)}`);
    await client.acquire(write());
  }
  assert.equal(server.counts.namespaces, names.length);
});

test('a namespace is the same however it is encoded in the query', async (t) => {
  const { server, port, connect } = await startV1(t);
  const first = await connect('namespace=caf%C3%A9%20x');
  await first.acquire(write('a'));
  for (const query of ['namespace=caf%c3%a9+x', 'namespace=%63af%C3%A9%20x&namespace=b']) {
    await (await connect(query)).enqueue(write('a'));
  }
  assert.equal(server.counts.namespaces, 1);
  const utf8 = Buffer.from('/v1?namespace=café').toString('latin1');
  const answer = await exchange(port, handshake(utf8));
  assert.deepEqual(statuses(answer), [400], 'not encoded at all: refused, not misread');
});

test('the name of a namespace has a limit', async (t) => {
  const { port, connect } = await startV1(t, { limits: { maxSegmentBytes: 4 } });
  await connect('namespace=abcd');
  await connect('namespace=%C3%A9%C3%A9');
  for (const name of ['abcde', '%C3%A9%C3%A9a']) {
    const answer = await exchange(port, handshake(`/v1?namespace=${name}`));
    assert.deepEqual(statuses(answer), [400]);
    assert.match(answer, /namespace is too long: at most 4 bytes/);
  }
});

test('a query that is no UTF-8 is refused: two names must not become one', async (t) => {
  const { port, server } = await startV1(t);
  for (const name of ['%ff', '%fe', 'caf%e9', '%ed%a0%80', '%c0%af', '100%', '%zz', '%']) {
    for (const path of ['/v1', '/v2']) {
      const answer = await exchange(port, handshake(`${path}?namespace=${name}`));
      assert.deepEqual(statuses(answer), [400], name);
      assert.equal(bodyOf(answer), 'The query must be UTF-8, percent-encoded.\n');
    }
    assert.equal((await ask(port, `/stats_v1?namespace=${name}`)).status, 400, name);
  }
  assert.equal(server.counts.namespaces, 0);
  await WebSocketClient.connect(t, port, '/v1?namespace=%ef%bf%bd%25');
  assert.equal((await ask(port, '/stats_v1?namespace=%ef%bf%bd%25')).status, 200);
});
