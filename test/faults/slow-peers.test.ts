/**
 * Peers that don't read, peers that write a byte at a time, and peers that are there no more without
 * a word: what it costs them, and that nobody else pays.
 */
import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import type { Server } from '../../src/server.ts';
import type { ServerOptions } from '../../src/server-options.ts';
import { CuttingProxy } from '../support/cutting-proxy.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { LineClient, lock, type Reply, write } from '../support/line-client.ts';
import { Random } from '../support/random.ts';
import { startServer, until } from '../support/running-server.ts';
import { Watch } from '../support/watch.ts';
import { WebSocketClient } from '../support/websocket-client.ts';
import { text } from '../support/websocket-frames.ts';

const ABANDON_MS = 1000;

interface Guest {
  readonly socket: Socket;
  send(...messages: object[]): void;
  next(): Promise<Reply>;
}

interface Kind {
  readonly name: string;
  connect(t: TestContext, port: number): Promise<Guest>;
  /** One message as it goes on the wire. */
  encode(message: object): Buffer;
}

const KINDS: readonly Kind[] = [
  {
    name: 'line protocol',
    connect: (t, port) => LineClient.connect(t, port),
    encode: (message) => Buffer.from(`${JSON.stringify(message)}\n`),
  },
  {
    name: 'WebSocket',
    connect: (t, port) => WebSocketClient.connect(t, port, '/v2'),
    encode: (message) => text(JSON.stringify(message)),
  },
];

async function startHeld(t: TestContext, options: ServerOptions = {}) {
  const clock = new FakeClock();
  const watch = new Watch();
  const proxies: CuttingProxy[] = [];
  // Before the server, which waits for its connections to be closed.
  t.after(() => proxies.forEach((proxy) => void proxy.close()));
  const server = await startServer(t, { clock, clientObserver: watch, ...options });
  const { port } = server.address;
  /** A way to the server that can fall silent; its port is the second. */
  const throughProxy = async (): Promise<[CuttingProxy, number]> => {
    const proxy = new CuttingProxy(new Random(1), port);
    proxies.push(proxy);
    proxy.isCutting = false;
    return [proxy, await proxy.listen(t)];
  };
  return { server, clock, watch, port, throughProxy };
}

/** Has `guest` hold a lock, and another client wait for it. */
async function holdBefore(t: TestContext, guest: Guest, port: number, hello: object = {}) {
  guest.send({ action: 'hello', abandonTimeoutMs: ABANDON_MS, ...hello }, lock(write('a')));
  await guest.next();
  assert.equal((await guest.next()).state, 'acquired');
  const waiter = await LineClient.connect(t, port);
  assert.equal((await waiter.ask(lock(write('a')))).state, 'enqueued');
  return waiter;
}

/** The lock is kept for the abandon timeout from now on, and then goes to who waits. */
async function expectAbandoned(waiter: LineClient, server: Server, clock: FakeClock) {
  clock.advance(ABANDON_MS - 1);
  assert.equal(server.counts.enqueued, 1);
  clock.advance(1);
  assert.equal((await waiter.next()).state, 'acquired');
}

for (const { name, connect, encode } of KINDS) {
  test(`${name}: a peer that does not read is cut at the limit, which is a lost connection`, async (t) => {
    const { server, clock, watch, port } = await startHeld(t, {
      limits: { maxUnreadBytes: 100_000 },
    });
    const guest = await connect(t, port);
    const waiter = await holdBefore(t, guest, port);
    guest.socket.pause();
    const help = Buffer.concat(Array(1000).fill(encode({ action: 'help' })));
    let isGone = false;
    watch.until('disconnected').then(() => {
      isGone = true;
    });
    // The system keeps some megabytes for it as well.
    while (!isGone) {
      await new Promise<unknown>((resolve) => guest.socket.write(help, resolve));
    }
    await expectAbandoned(waiter, server, clock);
  });

  test(`${name}: a peer that writes a byte at a time is served, and others meanwhile`, async (t) => {
    const { port } = await startHeld(t);
    const slow = await connect(t, port);
    const quick = await LineClient.connect(t, port);
    for (const byte of encode(lock(write('slow')))) {
      await new Promise<unknown>((resolve) => slow.socket.write(Buffer.of(byte), resolve));
      assert.equal((await quick.ask(lock(write('quick')))).state, 'acquired');
      assert.equal((await quick.ask({ action: 'release' })).state, 'released');
    }
    assert.equal((await slow.next()).state, 'acquired');
  });

  test(`${name}: a peer that falls silent past its heartbeat is lost`, async (t) => {
    const { server, clock, port, throughProxy } = await startHeld(t);
    const [proxy, proxyPort] = await throughProxy();
    const guest = await connect(t, proxyPort);
    const waiter = await holdBefore(t, guest, port, { heartbeatMs: 300 });
    proxy.silenced = 'both';
    clock.advance(300);
    await expectAbandoned(waiter, server, clock);
  });
}

test('WebSocket: a peer that falls silent is pinged in vain, and lost', async (t) => {
  const { server, clock, watch, port, throughProxy } = await startHeld(t);
  const [proxy, proxyPort] = await throughProxy();
  const guest = await WebSocketClient.connect(t, proxyPort, '/v2');
  const waiter = await holdBefore(t, guest, port);
  proxy.silenced = 'both';
  // Two pings are not answered; where the third would be due it is cut.
  for (let ping = 0; ping < 3; ping++) {
    assert.equal(watch.count('disconnected'), 0);
    clock.advance(15_000);
  }
  await watch.until('disconnected');
  await expectAbandoned(waiter, server, clock);
});

test('a peer that comes back on another way, while its old one is silent, has its locks', async (t) => {
  const { server, clock, port, throughProxy } = await startHeld(t);
  const [proxy, proxyPort] = await throughProxy();
  const guest = await LineClient.connect(t, proxyPort);
  const { session } = await guest.ask({ action: 'hello', abandonTimeoutMs: ABANDON_MS });
  assert.equal((await guest.ask(lock(write('a')))).state, 'acquired');
  proxy.silenced = 'both';
  const again = await LineClient.connect(t, port);
  assert.equal((await again.ask({ action: 'hello', session })).resumed, true);
  assert.equal((await again.next()).state, 'acquired');
  // The old connection is ended, and as nothing of that arrives, cut.
  clock.advance(5000);
  await until(() => server.counts.connections === 1);
  assert.equal((await again.ask({ action: 'release' })).state, 'released');
});
