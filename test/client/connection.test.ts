/** How a client finds its server, comes back to it, and leaves it, over every transport. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { WebSocket } from 'ws';
import {
  ClientClosedError,
  type ConnectOptions,
  connect,
  type HeldLock,
  LockLostError,
  UnreachableError,
  write,
} from '../../src/client/index.ts';
import { WRONG_TOKEN_DELAY_MS } from '../../src/protocol/auth.ts';
import { Server } from '../../src/server.ts';
import { makeCertificate, temporaryFolder } from '../support/certificates.ts';
import { CuttingProxy } from '../support/cutting-proxy.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { CLOSED_PORTS } from '../support/ports.ts';
import { Random } from '../support/random.ts';
import { NOTHING_LEFT, startServer, until } from '../support/running-server.ts';
import { Watch } from '../support/watch.ts';
import { aborted, connected, next, runProgram } from './support.ts';

const TOKEN = 'a-token-of-a-test-that-is-long-enough';

async function useIt(t: TestContext, url: string, options: ConnectOptions): Promise<void> {
  const client = await connected(t, url, options);
  const value = await client.withLock(write('a'), (lock) => lock.isHeld);
  assert.equal(value, true);
  await client.close();
}

test('TCP, and a token in hello', async (t) => {
  const server = await startServer(t, { tokens: [TOKEN] });
  const url = `locktopus://localhost:${server.address.port}/shop`;
  await useIt(t, url, { token: TOKEN });
  await assert.rejects(connect(url), { code: 'unauthorized', name: 'RefusedError' });
});

test('TLS: the certificate is checked, and a name may be given', async (t) => {
  const folder = temporaryFolder(t);
  const { cert, key } = makeCertificate(folder, 'server');
  const server = await startServer(t, { tls: { cert, key } });
  const url = `locktopuss://127.0.0.1:${server.address.port}`;
  await useIt(t, url, { tls: { ca: cert } });
  await useIt(t, url, { tls: { rejectUnauthorized: false } });
  await assert.rejects(connect(url), (error) => {
    assert.ok(error instanceof UnreachableError);
    assert.match(error.message, /self-signed certificate/);
    return true;
  });
});

test('a port that speaks TLS, or does not, against the URL: the error says so', async (t) => {
  const { cert, key } = makeCertificate(temporaryFolder(t), 'server');
  const secure = await startServer(t, { tls: { cert, key } });
  const plain = await startServer(t);
  const securePlace = `127.0.0.1:${secure.address.port}`;
  const plainPlace = `127.0.0.1:${plain.address.port}`;
  const hint = `does not speak TLS: start the server with --tls-cert, or use`;
  for (const [url, message] of [
    [
      `locktopus://${securePlace}`,
      `was closed before the server answered; if that port speaks TLS, use locktopuss://${securePlace}`,
    ],
    [`locktopuss://${plainPlace}`, `failed: that port ${hint} locktopus://${plainPlace}`],
    [`wss://${plainPlace}`, `failed: that port ${hint} ws://${plainPlace}`],
  ] as const) {
    await assert.rejects(connect(url, { WebSocket, tls: { ca: cert } }), (error) => {
      assert.ok(error instanceof UnreachableError);
      assert.equal(
        error.message,
        `no lock server is reachable: the connection to ${url} ${message}`,
      );
      return true;
    });
  }
});

test('a Unix socket', async (t) => {
  const path = join(temporaryFolder(t), 'lock.sock');
  await startServer(t, { tcp: false, socket: { path } });
  await useIt(t, `unix:${path}?namespace=shop`, {});
});

test('WebSocket, and a token in its handshake', async (t) => {
  const server = await startServer(t, { tokens: [TOKEN] });
  const url = `ws://localhost:${server.address.port}/shop`;
  await useIt(t, url, { WebSocket, token: TOKEN });
});

test('over WebSocket, too, a token that is missing, wrong or withdrawn is not taken for an outage', async (t) => {
  const clock = new FakeClock();
  const server = await startServer(t, { clock, tokens: [TOKEN] });
  const proxy = new CuttingProxy(new Random(1), server.address.port);
  proxy.isCutting = false;
  const url = `ws://localhost:${await proxy.listen(t)}/shop`;
  const refused = async (call: Promise<unknown>, isLate: boolean): Promise<void> => {
    const rejected = assert.rejects(call, { name: 'RefusedError', code: 'unauthorized' });
    if (isLate) await until(() => clock.isDueIn(WRONG_TOKEN_DELAY_MS));
    clock.advance(WRONG_TOKEN_DELAY_MS);
    await rejected;
  };
  await refused(connect(url, { WebSocket }), false);
  await refused(connect(url, { WebSocket, token: `${TOKEN}-wrong` }), true);
  const client = await connected(t, url, { WebSocket, token: TOKEN });
  server.setTokens({ client: [`${TOKEN}-new`], admin: [] });
  const away = next(client, 'disconnected');
  proxy.cut();
  await away;
  await refused(client.lock(write('a')), true);
});

test('without a global WebSocket the error says so', {
  skip: 'WebSocket' in globalThis,
}, async () => {
  await assert.rejects(connect('ws://localhost/shop'), /pass one as the option WebSocket/);
});

test('the environment says where the server is, and has the token', async (t) => {
  const server = await startServer(t, { tokens: [TOKEN] });
  process.env.LOCKTOPUS_URL = `locktopus://localhost:${server.address.port}/shop`;
  process.env.LOCKTOPUS_TOKEN = TOKEN;
  t.after(() => {
    delete process.env.LOCKTOPUS_URL;
    delete process.env.LOCKTOPUS_TOKEN;
  });
  const client = await connect();
  assert.equal(client.namespace, 'shop');
  await client.close();
});

test('an unreachable server is an error that lists what was tried', async () => {
  const [a, b] = CLOSED_PORTS;
  await assert.rejects(connect(`locktopus://127.0.0.1:${a},127.0.0.1:${b}`), (error) => {
    assert.ok(error instanceof UnreachableError);
    assert.match(error.message, new RegExp(`:${a} .*ECONNREFUSED.*; .*:${b} .*ECONNREFUSED`));
    return true;
  });
});

test('the next host is tried when one is not there', async (t) => {
  const server = await startServer(t);
  const client = await connected(
    t,
    `locktopus://127.0.0.1:${CLOSED_PORTS[0]},127.0.0.1:${server.address.port}`,
  );
  assert.equal((await client.lock(write('a'))).isHeld, true);
});

test('a server that is not a lock server is an error of its own', async (t) => {
  const listener = createServer((socket) => {
    socket.on('error', () => {});
    socket.end('HTTP/1.1 400 Bad Request\r\n\r\n');
  }).listen(0, '127.0.0.1');
  await once(listener, 'listening');
  t.after(() => listener.close());
  const { port } = listener.address() as { port: number };
  await assert.rejects(connect(`locktopus://127.0.0.1:${port}`), {
    code: 'protocol',
    message: 'this is not a Locktopus server: it sent "HTTP/1.1 400 Bad Request\\r"',
  });
});

test('an attempt to connect ends with its signal, or with its time', async (t) => {
  const listener = createServer((socket) => void socket.on('error', () => {})).listen(0);
  await once(listener, 'listening');
  t.after(() => listener.close());
  const { port } = listener.address() as { port: number };
  const url = `locktopus://127.0.0.1:${port}`;
  const reason = new Error('enough');
  const controller = new AbortController();
  const attempt = connect(url, { signal: controller.signal });
  await once(listener, 'connection');
  controller.abort(reason);
  await assert.rejects(attempt, reason);
  await assert.rejects(connect(url, { signal: AbortSignal.abort(reason) }), reason);
  await assert.rejects(connect(url, { connectTimeoutMs: 1 }), /did not answer within 1 ms/);
});

async function throughProxy(t: TestContext, options: ConnectOptions = {}) {
  const watch = new Watch();
  const server = await startServer(t, { clientObserver: watch, lockObserver: watch });
  const proxy = new CuttingProxy(new Random(1), server.address.port);
  proxy.isCutting = false;
  const port = await proxy.listen(t);
  const client = await connected(t, `locktopus://127.0.0.1:${port}/shop`, options);
  const direct = await connected(t, `locktopus://127.0.0.1:${server.address.port}/shop`);
  return { watch, server, proxy, client, direct };
}

test('a connection that breaks costs no lock, no wait and no request', async (t) => {
  const { proxy, server, client, direct, watch } = await throughProxy(t);
  const held = await client.lock(write('a'));
  const other = await direct.lock(write('b'));
  const wait = client.lock(write('b'));
  await watch.until('enqueued');
  const sessionId = client.sessionId;
  for (let i = 0; i < 3; i++) {
    const resumed = next(client, 'resumed');
    proxy.cut();
    const fresh = client.lock(write('c', i));
    const stats = client.stats();
    const ping = client.ping();
    await resumed;
    await (await fresh).release();
    assert.equal((await stats).namespace, 'shop');
    assert.ok((await ping) >= 0);
  }
  assert.equal(client.sessionId, sessionId);
  assert.equal(held.isHeld, true);
  const resumed = next(client, 'resumed');
  proxy.cut();
  await other.release();
  await resumed;
  const granted = await wait;
  assert.equal(granted.isHeld, true, 'granted while the connection was away');
  proxy.cut();
  await Promise.all([granted.release(), held.release()]);
  assert.equal(server.counts.acquired, 0);
});

test('a lock that was evicted while disconnected is lost', async (t) => {
  const { proxy, client, direct } = await throughProxy(t);
  const [kept, taken] = [await client.lock(write('a')), await client.lock(write('b'))];
  const away = next(client, 'disconnected');
  proxy.isRefusing = true;
  proxy.cut();
  await away;
  await direct.evict({ id: taken.id });
  proxy.isRefusing = false;
  const error = await aborted(taken.signal);
  assert.ok(error instanceof LockLostError);
  assert.equal(error.code, 'missing');
  assert.equal(kept.isHeld, true);
});

test('without a server, waits go on and try-locks fail', async (t) => {
  const { proxy, client } = await throughProxy(t);
  proxy.isRefusing = true;
  const away = next(client, 'disconnected');
  proxy.cut();
  await away;
  await assert.rejects(client.tryLock(write('a')), UnreachableError);
  await assert.rejects(client.lock(write('a'), { waitMs: 1 }), UnreachableError);
  const controller = new AbortController();
  const wait = client.lock(write('a'), { signal: controller.signal });
  const patient = client.lock(write('a'));
  controller.abort();
  await assert.rejects(wait, { name: 'AbortError' });
  proxy.isRefusing = false;
  assert.equal((await patient).isHeld, true);
});

test('a server that stops takes the locks with it, and the next one is used', async (t) => {
  const [first, second] = [new Server({ port: 0 }), await startServer(t)];
  await first.listen();
  const ports = [first.address.port, second.address.port];
  const client = await connected(t, `locktopus://127.0.0.1:${ports[0]},127.0.0.1:${ports[1]}`);
  const other = await connected(t, `locktopus://127.0.0.1:${ports[0]}`);
  const lock = await client.lock(write('a'));
  const theirs = await other.lock(write('b'));
  const wait = client.lock(write('b'));
  await client.ping();
  const again = next(client, 'connected');
  await first.close();
  const reason = lock.signal.reason;
  assert.ok(reason instanceof LockLostError);
  assert.equal(reason.code, 'shutting_down');
  assert.equal(theirs.signal.aborted, true);
  await again;
  assert.equal((await wait).isHeld, true, 'what was awaited is awaited there');
  assert.equal(second.counts.acquired, 1);
});

test('a server that drains lets go of a client that holds nothing, and its waits move on', async (t) => {
  const [first, second] = [new Server({ port: 0 }), await startServer(t)];
  await first.listen();
  const ports = [first.address.port, second.address.port];
  const client = await connected(t, `locktopus://127.0.0.1:${ports[0]},127.0.0.1:${ports[1]}`);
  const held = await client.lock(write('a'));
  const drains = next(client, 'draining');
  const drained = first.drain(60_000);
  await drains;
  const wait = client.lock(write('b'));
  await assert.rejects(client.tryLock(write('b')), { code: 'draining' });
  assert.equal(held.isHeld, true);
  await held.release();
  assert.deepEqual(await drained, { cutOff: 0 });
  assert.equal((await wait).isHeld, true);
  assert.equal(second.counts.acquired, 1);
});

test('a nested lock does not wait for the end of a drain that it holds up', async (t) => {
  const server = new Server({ port: 0 });
  await server.listen();
  const client = await connected(t, `locktopus://127.0.0.1:${server.address.port}`);
  const work = client.withLock(write('a'), async () => {
    const drains = next(client, 'draining');
    void server.drain(60_000);
    await drains;
    await client.withLock(write('b'), () => {});
  });
  await assert.rejects(work, { code: 'draining', name: 'RefusedError' });
  await server.close();
});

test('close releases all locks and rejects all waits, and can be called again', async (t) => {
  const { server, client, direct, watch } = await throughProxy(t);
  const lock = await client.lock(write('a'));
  const theirs = await direct.lock(write('b'));
  const wait = client.lock(write('b'));
  const refused = assert.rejects(wait, ClientClosedError);
  const events = client.watch();
  const ended = assert.rejects(events.next(), ClientClosedError);
  await watch.until('enqueued');
  const closed = client.close();
  assert.equal(client.close(), closed);
  assert.equal((lock.signal.reason as LockLostError).code, 'closed');
  await lock.release();
  await Promise.all([closed, refused, ended]);
  await assert.rejects(client.lock(write('c')), ClientClosedError);
  await assert.rejects(client.ping(), ClientClosedError);
  await theirs.release();
  await direct.close();
  await until(() => server.counts.connections === 0);
  assert.deepEqual(server.counts, NOTHING_LEFT);
});

test('a client without a server is closed at once', async (t) => {
  const { proxy, client } = await throughProxy(t);
  proxy.isRefusing = true;
  const away = next(client, 'disconnected');
  proxy.cut();
  await away;
  await client.close();
});

test('an error thrown by a handler is reported and affects nothing else', async (t) => {
  const server = await startServer(t);
  const errors: unknown[] = [];
  const url = `locktopus://127.0.0.1:${server.address.port}`;
  const client = await connected(t, url, { onHandlerError: (error) => errors.push(error) });
  const mistake = new Error('a mistake in a handler');
  client.on('lost', () => {
    throw mistake;
  });
  const lock: HeldLock = await client.lock(write('a'));
  const lost = next(client, 'lost');
  await client.evict({ id: lock.id });
  await lost;
  assert.deepEqual(errors, [mistake]);
  assert.equal((await client.lock(write('a'))).isHeld, true);
});

test('clients that come and go leave no timer behind', async (t) => {
  const server = await startServer(t);
  const { mock } = t.mock.method(globalThis, 'setInterval');
  for (let i = 0; i < 3; i++) {
    const client = await connect(`locktopus://127.0.0.1:${server.address.port}`);
    await client.withLock(write('a'), () => {});
    await client.close();
  }
  assert.ok(mock.callCount() <= 1, 'one keeps the process alive, for all of them');
});

test('a process ends once its client is closed, or could not connect', async (t) => {
  const server = await startServer(t);
  const child = runProgram(
    t,
    `import { WebSocket } from 'ws';
    await connect('locktopus://127.0.0.1:${CLOSED_PORTS[0]}').catch(({ code }) => console.log(code));
    for (const scheme of ['locktopus', 'ws']) {
      const client = await connect(scheme + '://127.0.0.1:${server.address.port}', { WebSocket });
      await client.withLock(write('a'), () => console.log('held'));
      await client.close();
    }
    console.log('closed');`,
  );
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text) => {
    output += text;
  });
  const [code] = await once(child, 'close');
  assert.equal(output, 'unreachable\nheld\nheld\nclosed\n');
  assert.equal(code, 0);
});

test('a process ends once it holds and awaits nothing', async (t) => {
  const server = await startServer(t);
  const program = `
    const client = await connect('locktopus://127.0.0.1:${server.address.port}');
    const lock = await client.lock(write('a'));
    process.once('SIGUSR2', async () => {
      await lock.release();
      console.log('released');
    });
    process.once('exit', () => console.log('exit'));
    console.log('held');
  `;
  const child = runProgram(t, program);
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text) => {
    output += text;
    if (output === 'held\n') child.kill('SIGUSR2');
  });
  const [code] = await once(child, 'close');
  assert.equal(code, 0);
  assert.equal(output, 'held\nreleased\nexit\n');
});
