/** Where the server listens: TLS, Unix sockets, inherited sockets, and doors that can't be opened. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdirSync, statSync, writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls';
import { WebSocket } from 'ws';
import { isLoopbackAddress } from '../../../src/net/listen/listener.ts';
import { Server } from '../../../src/server.ts';
import type { ServerOptions } from '../../../src/server-options.ts';
import { makeCertificate, temporaryFolder } from '../../support/certificates.ts';
import { LineClient, lock, write } from '../../support/line-client.ts';
import { NOTHING_LEFT, startServer, until } from '../../support/running-server.ts';
import { leaveStaleSocket } from '../../support/stale-socket.ts';
import { Watch } from '../../support/watch.ts';
import { handshake } from '../../support/websocket-client.ts';
import { text } from '../../support/websocket-frames.ts';

/** A server with TLS, and clients that trust its certificate. */
async function startTls(t: TestContext, options: ServerOptions = {}) {
  const own = makeCertificate(temporaryFolder(t), 'server');
  const server = await startServer(t, { tls: own, defaultAbandonTimeoutMs: 0, ...options });
  const { port } = server.address;
  const secure = async (how: ConnectionOptions = {}): Promise<LineClient> => {
    const socket = connectTls({ port, host: 'localhost', ca: own.cert, ...how });
    await once(socket, 'secureConnect');
    return LineClient.on(t, socket);
  };
  return { server, port, own, secure };
}

test('lines, HTTP and WebSocket are served inside TLS', async (t) => {
  const { server, port, own, secure } = await startTls(t);
  const client = await secure();
  assert.equal((await client.ask(lock(write('a')))).state, 'acquired');

  const socket = new WebSocket(`wss://localhost:${port}/v1?namespace=default`, { ca: own.cert });
  await once(socket, 'open');
  socket.send(JSON.stringify(lock(write('a'))));
  assert.match(String((await once(socket, 'message'))[0]), /"state":"enqueued"/);
  const granted = once(socket, 'message');
  client.socket.end(); // half-closed: the session is lost, and what it held is released
  assert.match(String((await granted)[0]), /"state":"acquired"/);
  socket.close();
  await once(socket, 'close');

  const page = connectTls({ port, host: 'localhost', ca: own.cert });
  page.write('GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
  let answer = '';
  for await (const chunk of page.setEncoding('utf8')) answer += chunk;
  assert.match(answer, /^HTTP\/1\.1 200 /);
  await until(() => server.counts.connections === 0);
  assert.deepEqual(server.counts, NOTHING_LEFT);
  assert.match(server.addresses[0] ?? '', /^127\.0\.0\.1:\d+ \(TLS\)$/);
});

const TLS_1_1 = {
  host: 'localhost',
  maxVersion: 'TLSv1.1',
  minVersion: 'TLSv1',
  ciphers: 'DEFAULT@SECLEVEL=0',
} as const;

test('handshakes that fail are counted, and told of with why, unless the client just left', async (t) => {
  const folder = temporaryFolder(t);
  const [own, friend] = [makeCertificate(folder, 'server'), makeCertificate(folder, 'friend')];
  const told: string[] = [];
  const { port, secure } = await startTls(t, {
    tls: { cert: own.cert, key: own.key, ca: friend.cert },
    authObserver: {
      wrongToken: () => assert.fail('no token is wanted here'),
      handshakeFailed: (why, client) => told.push(`${why}, ${client}`),
    },
  });
  const leaving = connect(port, '127.0.0.1');
  await once(leaving, 'connect');
  leaving.resetAndDestroy();
  const plain = connect(port, '127.0.0.1');
  plain.resume().write('GET / HTTP/1.1\r\n\r\n');
  await once(plain, 'connect');
  const { localPort } = plain;
  await once(plain, 'close');
  const ca = own.cert;
  for (const how of [{ ca }, { ca, cert: own.cert, key: own.key }, { ca, ...TLS_1_1 }]) {
    const socket = connectTls({ host: 'localhost', port, ...how });
    socket.resume();
    // Some hear why, others are just cut.
    await once(socket, 'close').catch(() => {});
  }
  const guest = await secure({ ca, cert: friend.cert, key: friend.key });
  guest.sendRaw('GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n');
  let line = '';
  while (!line.startsWith('locktopus_auth_failures_total{reason="tls_handshake"}')) {
    line = await guest.nextLine();
  }
  assert.match(line, / 5$/);
  const [http, none, unknown, version, ...rest] = told;
  assert.equal(http, `http request, 127.0.0.1:${localPort}`);
  assert.match(none ?? '', /^peer did not return a certificate, 127\.0\.0\.1:\d+$/);
  assert.equal(unknown, 'DEPTH_ZERO_SELF_SIGNED_CERT, undefined');
  assert.match(version ?? '', /version|protocol/);
  assert.deepEqual(rest, []);
});

test('plain text and old versions of TLS are not served, and cost nothing', async (t) => {
  const { server, port, own, secure } = await startTls(t);
  for (const bytes of ['{"action":"ping"}\n', 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n']) {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => {});
    let received = '';
    socket.on('data', (chunk) => {
      received += chunk.toString('latin1');
    });
    socket.end(bytes, 'latin1');
    await once(socket, 'close');
    assert.doesNotMatch(received, /ping|HTTP/);
  }
  const old = connectTls({ ...TLS_1_1, port, ca: own.cert });
  await assert.rejects(once(old, 'secureConnect'));
  assert.equal((await (await secure()).ask({ action: 'ping' })).action, 'ping');
  await until(() => server.counts.connections === 1);
});

test('a handshake of TLS that does not end in time is cut', async (t) => {
  const { port } = await startTls(t, { limits: { firstMessageMs: 50 } });
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {});
  socket.resume();
  await once(socket, 'close');
});

test('a WebSocket behind other requests in its packet is read inside TLS', async (t) => {
  const { port, own } = await startTls(t);
  const get = 'GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n';
  const socket = connectTls({ port, host: 'localhost', ca: own.cert });
  let received = '';
  const heard = async (what: string): Promise<void> => {
    while (!received.includes(what)) await once(socket, 'data');
  };
  socket.on('data', (chunk) => {
    received += chunk;
  });
  // The first packet of a connection has a way of its own.
  socket.write(get);
  await heard('200 OK');
  socket.write(get + get + get + handshake('/v2'));
  await heard('101 Switching');
  socket.write(text('{"action":"ping"}'));
  await heard('"action":"ping"');
  socket.destroy();
});

test('with --tls-ca only clients with a certificate of it are let in', async (t) => {
  const folder = temporaryFolder(t);
  const [own, friend, untrusted] = ['server', 'friend', 'untrusted'].map((name) =>
    makeCertificate(folder, name),
  );
  if (own === undefined || friend === undefined || untrusted === undefined) assert.fail();
  const tls = { cert: own.cert, key: own.key, ca: friend.cert };
  const { secure, server } = await startTls(t, { tls });
  const ca = own.cert;
  const client = await secure({ ca, cert: friend.cert, key: friend.key });
  assert.equal((await client.ask({ action: 'ping' })).action, 'ping');
  for (const how of [{ ca }, { ca, cert: untrusted.cert, key: untrusted.key }]) {
    // In TLS 1.3 the client is done before the server has looked at its certificate.
    const refused = await secure(how);
    refused.send({ action: 'ping' });
    assert.deepEqual(await refused.ended(), []);
  }
  await until(() => server.counts.connections === 1);
});

for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
  test(`whom the new --tls-ca does not know can't resume what it had in ${version}`, async (t) => {
    const folder = temporaryFolder(t);
    const [friend, other] = [makeCertificate(folder, 'friend'), makeCertificate(folder, 'other')];
    const tls = { cert: friend.cert, key: friend.key, ca: friend.cert };
    const { secure, server } = await startTls(t, { tls });
    const how = { ca: friend.cert, cert: friend.cert, key: friend.key, maxVersion: version };
    const before = await secure(how);
    assert.equal((await before.ask({ action: 'ping' })).action, 'ping');
    const session = (before.socket as TLSSocket).getSession();
    if (session === undefined) assert.fail('there is something to resume');
    const again = await secure({ ...how, session });
    assert.equal((again.socket as TLSSocket).isSessionReused(), true);
    server.setTls({ ...tls, ca: other.cert });
    if (version === 'TLSv1.2') {
      await assert.rejects(secure({ ...how, session }));
    } else {
      const after = await secure({ ...how, session });
      assert.equal((after.socket as TLSSocket).isSessionReused(), false);
      after.send({ action: 'ping' });
      assert.deepEqual(await after.ended(), []);
    }
    assert.equal((await before.ask({ action: 'ping' })).action, 'ping', 'who is in stays');
  });
}

test('other certificates count from then on, and nobody is cut off; bad ones are refused', async (t) => {
  const { secure, server, port } = await startTls(t);
  const plain = await startServer(t);
  const before = await secure();
  await before.ask(lock(write('a')));
  const next = makeCertificate(temporaryFolder(t), 'next');
  server.setTls(next);
  const after = await secure({ ca: next.cert });
  assert.equal((await after.ask(lock(write('a')))).state, 'enqueued');
  assert.equal((await before.ask({ action: 'release' })).state, 'released');
  assert.equal((await after.next()).state, 'acquired');
  assert.throws(() => server.setTls({ cert: 'x', key: 'y' }));
  assert.throws(() => server.setTls({ ...next, ca: next.cert }), /on or off while listening/);
  assert.throws(() => plain.setTls(next), /on or off while listening/);
  assert.equal((await (await secure({ ca: next.cert })).ask({ action: 'ping' })).action, 'ping');
  const bad = new Server({ port: 0, tls: { cert: 'x', key: 'y' } });
  await assert.rejects(bad.listen());
  assert.notEqual(port, 0);
});

test('of those in their handshake the oldest give way when there are too many', async (t) => {
  let timesFull = 0;
  const { port, secure, own } = await startTls(t, {
    limits: { maxConnections: 1 },
    fullObserver: () => timesFull++,
  });
  const client = await secure();
  await client.ask({ action: 'ping' });
  const silent = Array.from({ length: 150 }, () => connect(port, '127.0.0.1').resume());
  t.after(() => silent.forEach((socket) => void socket.destroy()));
  for (const socket of silent) socket.on('error', () => {});
  await Promise.all(silent.map((socket) => once(socket, 'connect')));
  const page = connectTls({ port, host: 'localhost', ca: own.cert });
  page.write('GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n');
  let answer = '';
  for await (const chunk of page.setEncoding('utf8')) answer += chunk;
  assert.match(answer, /^HTTP\/1\.1 200 /);
  await until(() => silent.filter(({ closed }) => closed).length > 50);
  assert.ok(timesFull > 50);
  assert.equal((await client.ask({ action: 'ping' })).action, 'ping');
});

test('a Unix socket is served beside TCP, in the same namespaces', async (t) => {
  const path = join(temporaryFolder(t), 'l.sock');
  const watch = new Watch();
  const server = await startServer(t, { socket: { path, mode: 0o600 }, clientObserver: watch });
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.deepEqual(server.addresses, [`127.0.0.1:${server.address.port}`, `unix:${path}`]);
  const local = LineClient.on(t, connect(path));
  const remote = await LineClient.connect(t, server.address.port);
  assert.equal((await local.ask(lock(write('a')))).state, 'acquired');
  assert.equal((await remote.ask(lock(write('a')))).state, 'enqueued');
  remote.send({ action: 'inspect' });
  assert.equal((await remote.next()).client, 'unix#1');
  // Who comes by it is on this machine, and may do what an administrator may.
  const evicted = await local.ask({ action: 'evict', id: String(server.counts.enqueued) });
  assert.match(JSON.stringify(evicted.error), /no_such_lock/);
  assert.deepEqual(server.exposedAddresses, []);
  // No name is wrong where no web page can come from.
  const status = await new Promise((resolve) => {
    get({ socketPath: path, path: '/', headers: { host: 'anything' } }, (response) => {
      response.resume();
      resolve(response.statusCode);
    });
  });
  assert.equal(status, 200);
});

test('a Unix socket can be all there is, and its file is gone afterwards', async (t) => {
  const path = join(temporaryFolder(t), 'l.sock');
  const server = await startServer(t, { tcp: false, socket: { path } });
  assert.equal(statSync(path).mode & 0o777, 0o660);
  assert.throws(() => server.address, /not listening by TCP/);
  const client = LineClient.on(t, connect(path));
  assert.equal((await client.ask({ action: 'ping' })).action, 'ping');
  await server.close();
  assert.throws(() => statSync(path), { code: 'ENOENT' });
});

test('a socket left behind is replaced; one in use, and a file, are not', async (t) => {
  const folder = temporaryFolder(t);
  const [stale, used, file] = ['stale', 'used', 'file'].map((name) => join(folder, name));
  if (stale === undefined || used === undefined || file === undefined) assert.fail();
  await leaveStaleSocket(stale);
  assert.ok(statSync(stale).isSocket());
  const server = await startServer(t, { tcp: false, socket: { path: stale } });
  assert.equal(server.addresses[0], `unix:${stale}`);

  await startServer(t, { tcp: false, socket: { path: used } });
  writeFileSync(file, 'precious');
  mkdirSync(join(folder, 'sub'));
  for (const path of [used, file, join(folder, 'sub')]) {
    const second = new Server({ port: 0, socket: { path } });
    await assert.rejects(second.listen(), { code: 'EADDRINUSE' });
    assert.throws(() => second.address, 'nothing of it is left open');
  }
  assert.equal(statSync(file).size, 8);
  const client = LineClient.on(t, connect(used));
  assert.equal((await client.ask({ action: 'ping' })).action, 'ping');
});

test('the path of a Unix socket is never cut off', async (t) => {
  // The system takes 107 bytes, and the path has ten more while it is being taken.
  const folder = `${temporaryFolder(t)}/`;
  const longest = folder.padEnd(97, 'x');
  const server = await startServer(t, { tcp: false, socket: { path: longest } });
  assert.ok(statSync(longest).isSocket());
  assert.equal(server.addresses[0], `unix:${longest}`);
  const longer = new Server({ port: 0, socket: { path: `${longest}x` } });
  await assert.rejects(longer.listen(), { code: 'ENAMETOOLONG', address: `${longest}x` });
});

test('nowhere to listen on is a mistake', async () => {
  await assert.rejects(new Server({ tcp: false }).listen(), /nowhere to listen/);
});

test('an address is loopback when only its own machine has it', () => {
  for (const address of ['127.0.0.1', '127.9.9.9', '::1', '::ffff:127.0.0.1']) {
    assert.equal(isLoopbackAddress(address), true, address);
  }
  for (const address of ['192.0.2.1', '12.7.0.1', '::', '::2', '::ffff:192.0.2.1', '', undefined]) {
    assert.equal(isLoopbackAddress(address), false, address);
  }
});
