/**
 * The Go server's own client, `@locktopus/client` as it is published, against this server: what its
 * users do must work unchanged, the semaphore made of four connections included.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { CLIENT_STATE, LOCK_TYPE, LocktopusClient, type Resource } from '@locktopus/client';
import { WebSocket } from 'ws';
import type { Server } from '../../src/server.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { startServer } from '../support/running-server.ts';
import { Watch } from '../support/watch.ts';

function write(...path: string[]): Resource {
  return { type: LOCK_TYPE.WRITE, path };
}

function read(...path: string[]): Resource {
  return { type: LOCK_TYPE.READ, path };
}

async function connect(
  t: TestContext,
  server: Server,
  abandonTimeoutMs?: number,
): Promise<LocktopusClient> {
  const options = {
    host: '127.0.0.1',
    port: server.address.port,
    namespace: 'test',
    secure: false,
  };
  const client = new LocktopusClient(
    WebSocket,
    abandonTimeoutMs === undefined ? options : { ...options, abandonTimeoutMs },
  );
  t.after(() => client.close());
  await client.connect();
  return client;
}

test('it locks what is free and releases it, again and again', async (t) => {
  const server = await startServer(t);
  const client = await connect(t, server);
  assert.equal(client.getState(), CLIENT_STATE.READY);
  for (let i = 0; i < 10; i++) {
    assert.equal(await client.lock(write('a'), read('b')), true);
    assert.equal(client.isAcquired(), true);
    assert.match(client.getLockId(), /^\d+$/);
    assert.equal(await client.acquire(), true, 'nothing to wait for');
    await client.release();
    assert.equal(client.getState(), CLIENT_STATE.READY);
  }
});

test('a string of an address will do', async (t) => {
  const server = await startServer(t);
  const address = `ws://localhost:${server.address.port}/v1?namespace=a&abandon-timeout-ms=0`;
  const client = new LocktopusClient(WebSocket, address);
  t.after(() => client.close());
  await client.connect();
  assert.equal(await client.lock(write('a')), true);
});

test('it waits for a lock and gets it when the other releases', async (t) => {
  const server = await startServer(t);
  const [first, second] = [await connect(t, server), await connect(t, server)];
  await first.lock(write('a'));
  assert.equal(await second.lock(write('a')), false);
  assert.equal(second.getState(), CLIENT_STATE.ENQUEUED);
  const acquired = second.acquire();
  await first.release();
  assert.equal(await acquired, true);
  assert.equal(second.isAcquired(), true);
  await second.release();
});

test('it finds a lock acquired that was granted before it asked', async (t) => {
  const server = await startServer(t);
  const [first, second] = [await connect(t, server), await connect(t, server)];
  await first.lock(write('a'));
  await second.lock(write('a'));
  await first.release();
  assert.equal(await second.acquire(), true);
});

test('it releases too early: acquire says false, and nobody else is held up', async (t) => {
  const server = await startServer(t);
  const [first, second] = [await connect(t, server), await connect(t, server)];
  const third = await connect(t, server);
  await first.lock(read('a'));
  await second.lock(write('a'));
  await third.lock(read('a'));
  const acquired = second.acquire();
  await second.release();
  assert.equal(await acquired, false);
  assert.equal(second.getState(), CLIENT_STATE.READY);
  assert.equal(await third.acquire(), true);
});

test('it releases while the grant is on its way', async (t) => {
  const server = await startServer(t);
  const [first, second] = [await connect(t, server), await connect(t, server)];
  for (let i = 0; i < 20; i++) {
    await first.lock(write('a'));
    await second.lock(write('a'));
    const released = first.release();
    await second.release();
    await released;
    assert.deepEqual([server.counts.acquired, server.counts.enqueued], [0, 0]);
  }
});

test('a mistake of its user closes with the reason in sight', async (t) => {
  const server = await startServer(t);
  const client = await connect(t, server);
  const heard: string[] = [];
  client.onMessage(({ direction, data }) => direction === 'in' && heard.push(data));
  const closed = new Promise<number>((resolve) => {
    client.onConnectionClose(({ code }) => resolve(code));
  });
  const nonsense = JSON.parse('{"type":"delete","path":["a"]}');
  client.lock(nonsense).catch(() => {}); // this client never settles it
  assert.equal(await closed, 3000);
  assert.deepEqual(heard, ['resources[0].type must be "read" or "write"']);
});

test('it is told why a connection is refused', async (t) => {
  const server = await startServer(t);
  const address = `ws://127.0.0.1:${server.address.port}/v1`;
  const client = new LocktopusClient(WebSocket, address);
  await assert.rejects(client.connect(), /Unexpected server response: 400/);
});

test('it connects again after a close; what it held is kept for the abandon timeout', async (t) => {
  const clock = new FakeClock();
  const server = await startServer(t, { clock });
  const client = await connect(t, server, 1000);
  await client.lock(write('a'));
  // Without this handler the client takes the end of its old connection for that of the new one.
  const closed = new Promise<void>((resolve) => client.onConnectionClose(() => resolve()));
  client.close();
  await closed;
  await client.connect();
  assert.equal(await client.lock(write('a')), false);
  const acquired = client.acquire();
  clock.advance(1000);
  assert.equal(await acquired, true);
});

test('with an abandon timeout of 0 a close releases at once', async (t) => {
  const server = await startServer(t);
  const [first, second] = [await connect(t, server, 0), await connect(t, server)];
  await first.lock(write('a'));
  await second.lock(write('a'));
  first.close();
  assert.equal(await second.acquire(), true);
});

test('without a setting what it leaves is kept for 60 seconds', async (t) => {
  const clock = new FakeClock();
  const watch = new Watch();
  const server = await startServer(t, { clock, clientObserver: watch });
  const client = await connect(t, server);
  await client.lock(write('a'));
  client.close();
  await watch.until('disconnected');
  clock.advance(59_999);
  assert.equal(server.counts.acquired, 1);
  clock.advance(1);
  assert.equal(server.counts.namespaces, 0);
});

const SLOTS = ['1', '2', '3', '4'];

/** The workaround for a semaphore of four: a connection for each of its paths. */
class Semaphore {
  readonly #connections: readonly LocktopusClient[];

  private constructor(connections: readonly LocktopusClient[]) {
    this.#connections = connections;
  }

  static async connect(t: TestContext, server: Server): Promise<Semaphore> {
    return new Semaphore(await Promise.all(SLOTS.map(() => connect(t, server))));
  }

  /** Asks for all four, keeps the first that is held and releases the others. */
  async enter(): Promise<LocktopusClient> {
    const atOnce = await Promise.all(
      this.#connections.map((connection, i) =>
        connection.lock(write('semaphore', 'abc', SLOTS[i] ?? '')),
      ),
    );
    const first =
      this.#connections[atOnce.indexOf(true)] ??
      (await Promise.race(
        this.#connections.map(async (connection) => {
          await connection.acquire();
          return connection;
        }),
      ));
    const others = this.#connections.filter((connection) => connection !== first);
    await Promise.all(others.map((connection) => connection.release()));
    return first;
  }
}

test('a semaphore of four connections lets four in, and a fifth when one leaves', async (t) => {
  const server = await startServer(t);
  const inside: LocktopusClient[] = [];
  for (let i = 0; i < 4; i++) inside.push(await (await Semaphore.connect(t, server)).enter());
  assert.equal(server.counts.acquired, 4);
  const fifth = (await Semaphore.connect(t, server)).enter();
  const [leaving] = inside;
  assert.ok(leaving);
  await leaving.release();
  assert.equal((await fifth).isAcquired(), true);
  assert.deepEqual([server.counts.acquired, server.counts.enqueued], [4, 0]);
});

test('twenty clients share such a semaphore: never more than four inside, all get in', async (t) => {
  const clients = 20;
  const rounds = 10;
  const server = await startServer(t);
  let inside = 0;
  const entered: number[] = Array(clients).fill(0);
  const visit = async (n: number): Promise<void> => {
    const semaphore = await Semaphore.connect(t, server);
    for (let round = 0; round < rounds; round++) {
      const held = await semaphore.enter();
      inside++;
      assert.ok(inside <= 4, `${inside} inside`);
      entered[n] = (entered[n] ?? 0) + 1;
      await new Promise((resolve) => setImmediate(resolve));
      inside--;
      await held.release();
    }
  };
  await Promise.all(entered.map((_, n) => visit(n)));
  assert.deepEqual(entered, Array(clients).fill(rounds));
  assert.deepEqual([server.counts.acquired, server.counts.enqueued], [0, 0]);
});
