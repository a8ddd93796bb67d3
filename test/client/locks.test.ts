/** What a program does with locks, against the real server over real sockets. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { WebSocket } from 'ws';
import {
  connect,
  DeadlockError,
  type HeldLock,
  LockLostError,
  LockTimeoutError,
  limited,
  RefusedError,
  read,
  write,
} from '../../src/client/index.ts';
import type { Server } from '../../src/server.ts';
import type { ServerOptions } from '../../src/server-options.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { startServer, until } from '../support/running-server.ts';
import { Watch } from '../support/watch.ts';
import { aborted, connected } from './support.ts';

async function setUp(t: TestContext, options: ServerOptions = {}) {
  const clock = new FakeClock();
  const watch = new Watch();
  const server = await startServer(t, { clock, lockObserver: watch, ...options });
  const url = urlOf(server);
  return { clock, watch, server, url, join: () => connected(t, url) };
}

function urlOf(server: Server): string {
  return `locktopus://127.0.0.1:${server.address.port}/shop`;
}

test('a lock is acquired, excludes others, and is released', async (t) => {
  const { server, join } = await setUp(t);
  const [first, second] = [await join(), await join()];
  assert.equal(first.namespace, 'shop');
  const lock = await first.lock([write('orders', 17), read('prices')]);
  assert.match(lock.id, /^\d+$/);
  assert.deepEqual(lock.resources, [
    { type: 'write', path: ['orders', '17'] },
    { type: 'read', path: ['prices'] },
  ]);
  assert.equal(lock.isHeld, true);
  assert.equal(lock.signal.aborted, false);
  assert.equal(await second.tryLock(write('orders')), null);
  const shared = await second.tryLock(read('prices'));
  assert.ok(shared !== null);
  await lock.release();
  assert.equal(lock.isHeld, false);
  assert.equal(lock.signal.aborted, false, 'it was given up, not lost');
  const after = await second.lock(write('orders'));
  assert.ok(Number(after.id) > Number(lock.id));
  await Promise.all([shared.release(), after.release()]);
  assert.deepEqual([server.counts.acquired, server.counts.enqueued], [0, 0]);
});

test('a release is idempotent, also after the lock was lost', async (t) => {
  const { join, server } = await setUp(t);
  const client = await join();
  const lock = await client.lock(write('a'));
  const once = lock.release();
  assert.equal(lock.release(), once);
  await once;
  await lock.release();
  const next = await client.lock(write('a'));
  const admin = await join();
  assert.equal(await admin.evict({ id: next.id }), 1);
  await aborted(next.signal);
  await next.release();
  assert.equal(server.counts.acquired, 0);
});

test('it waits for its turn, in order of arrival', async (t) => {
  const { watch, join } = await setUp(t);
  const [first, second] = [await join(), await join()];
  const order: number[] = [];
  const lock = await first.lock(write('a'));
  const waits = [1, 2, 3].map(async (n) => {
    const mine = await second.lock(write('a'));
    order.push(n);
    await mine.release();
  });
  await watch.until('enqueued', 3);
  await lock.release();
  await Promise.all(waits);
  assert.deepEqual(order, [1, 2, 3]);
});

test('withLock holds while it works and releases however it ends', async (t) => {
  const { server, join } = await setUp(t);
  const client = await join();
  const result = await client.withLock(write('a'), async (lock) => {
    assert.equal(server.counts.acquired, 1);
    return Number(lock.id);
  });
  assert.ok(result > 0);
  assert.equal(server.counts.acquired, 0);
  const failure = new Error('the work failed');
  await assert.rejects(
    client.withLock(write('a'), { waitMs: 1000 }, () => {
      throw failure;
    }),
    failure,
  );
  assert.equal(server.counts.acquired, 0);
});

test('withLock rejects when its lock was lost meanwhile', async (t) => {
  const { join } = await setUp(t);
  const [client, admin] = [await join(), await join()];
  const work = client.withLock(write('a'), async (lock) => {
    await admin.evict({ id: lock.id });
    await aborted(lock.signal);
    return 'done all the same';
  });
  await assert.rejects(work, (error) => {
    assert.ok(error instanceof LockLostError);
    assert.equal(error.code, 'evicted');
    assert.match(error.message, /write a was lost/);
    return true;
  });
});

test('await using releases', async (t) => {
  const { server, join } = await setUp(t);
  const client = await join();
  {
    await using lock = await client.lock(write('a'));
    assert.equal(lock.isHeld, true);
    assert.equal(server.counts.acquired, 1);
  }
  assert.equal(server.counts.acquired, 0);
});

test('limited reads are a semaphore', async (t) => {
  const { join } = await setUp(t);
  const client = await join();
  const slots = [await client.lock(limited(2, 'r')), await client.lock(limited(2, 'r'))];
  assert.equal(await client.tryLock(limited(2, 'r')), null);
  await slots[0]?.release();
  assert.ok((await client.tryLock(limited(2, 'r'))) !== null);
});

test('a wait ends when its waitMs has passed', async (t) => {
  const { clock, watch, join, server } = await setUp(t);
  const [first, second] = [await join(), await join()];
  await first.lock(write('a'));
  const wait = second.lock(write('a'), { waitMs: 10_000 });
  await watch.until('enqueued');
  clock.advance(10_000);
  await assert.rejects(wait, (error) => {
    assert.ok(error instanceof LockTimeoutError);
    assert.equal(error.message, 'write a was not acquired within 10000 ms');
    return true;
  });
  assert.equal(server.counts.enqueued, 0);
});

test('a hold ends when its holdMs has passed', async (t) => {
  const { clock, join } = await setUp(t);
  const client = await join();
  const lock = await client.lock(write('a'), { holdMs: 10_000 });
  const reason = aborted(lock.signal);
  clock.advance(10_000);
  const error = await reason;
  assert.ok(error instanceof LockLostError);
  assert.equal(error.code, 'expired');
  assert.equal(lock.isHeld, false);
  assert.throws(() => lock.signal.throwIfAborted(), error);
});

test('a signal ends a wait, and the queue is left', async (t) => {
  const { watch, server, join } = await setUp(t);
  const [first, second] = [await join(), await join()];
  const held = await first.lock(write('a'));
  const controller = new AbortController();
  const wait = second.lock(write('a'), { signal: controller.signal });
  await watch.until('enqueued');
  const reason = new Error('enough');
  controller.abort(reason);
  await assert.rejects(wait, reason);
  await watch.until('released');
  assert.equal(server.counts.enqueued, 0);
  await assert.rejects(second.lock(write('b'), { signal: controller.signal }), reason);
  assert.equal(server.counts.acquired, 1, 'that one was not even asked for');
  await held.release();
});

test('a wait cancelled while it is granted leaves nothing behind', async (t) => {
  const { server, join } = await setUp(t);
  const [first, second] = [await join(), await join()];
  for (let i = 0; i < 50; i++) {
    const held = await first.lock(write('a'));
    const controller = new AbortController();
    const outcome = second.lock(write('a'), { signal: controller.signal }).then(
      (lock) => lock,
      () => undefined,
    );
    if (i % 3 === 0) await second.ping();
    const released = held.release();
    if (i % 2 === 0) await released;
    for (let turn = 0; turn < i % 5; turn++) await new Promise(setImmediate);
    controller.abort();
    const lock = await outcome;
    if (lock !== undefined) assert.equal(lock.isHeld, true, 'either it is held or there is none');
    await lock?.release();
    await second.ping();
    await until(() => server.counts.acquired + server.counts.enqueued === 0);
  }
});

test('no listener is left on a signal that outlives its calls', async (t) => {
  const { join } = await setUp(t);
  const client = await join();
  const { signal } = new AbortController();
  let listeners = 0;
  const add = signal.addEventListener.bind(signal);
  const remove = signal.removeEventListener.bind(signal);
  signal.addEventListener = (...args: Parameters<typeof add>) => {
    listeners++;
    add(...args);
  };
  signal.removeEventListener = (...args: Parameters<typeof remove>) => {
    listeners--;
    remove(...args);
  };
  await client.withLock(write('a'), { signal }, async () => {
    assert.equal(await client.tryLock(write('a'), { signal }).catch(() => null), null);
  });
  await client.ping({ signal });
  const watch = client.watch({ signal });
  await watch.return?.();
  assert.equal(listeners, 0);
});

test('a hold is extended, shortened, given an end, and rid of it', async (t) => {
  const { clock, server, join } = await setUp(t);
  const [client, waiter] = [await join(), await join()];
  const lock = await client.lock(write('a'), { holdMs: 9000 });
  const wait = waiter.lock(write('a'));
  await until(() => server.counts.enqueued === 1);
  const passes = async (ms: number): Promise<void> => {
    clock.advance(ms);
    await Promise.all([client.ping(), waiter.ping()]);
  };
  await passes(8999);
  await lock.extend(9000);
  await passes(8999);
  await lock.extend(null);
  for (let i = 0; i < 10; i++) await passes(9000);
  assert.equal(lock.isHeld, true);
  await Promise.all([lock.extend(7000), lock.extend(9000), lock.extend(8000)]);
  const lost = aborted(lock.signal);
  await passes(7999);
  assert.equal(lock.isHeld, true);
  clock.advance(1);
  const reason = await lost;
  assert.ok(reason instanceof LockLostError);
  assert.equal(reason.code, 'expired');
  await assert.rejects(lock.extend(1), (error) => error === reason);
  await (await wait).release();
});

test('only a held lock can be extended, and only by a valid time', async (t) => {
  const { join } = await setUp(t);
  const client = await join();
  const lock = await client.lock(write('a'));
  for (const holdMs of [0, -1, 1.5, 2 ** 53, '5', undefined]) {
    await assert.rejects(lock.extend(holdMs as number), /^TypeError: holdMs must be null or an/);
  }
  const extended = lock.extend(5000);
  const released = lock.release();
  await extended;
  await assert.rejects(lock.extend(5000), (error) => {
    assert.ok(error instanceof RefusedError);
    assert.match(error.message, /^the lock was released/);
    return true;
  });
  await released;
});

test('nested calls share an owner, so that a deadlock of two code paths is detected', async (t) => {
  const { watch, join } = await setUp(t);
  const client = await join();
  const outcomes = await Promise.allSettled([
    client.withLock(write('a'), async () => {
      await watch.until('acquired', 2);
      return client.withLock(write('b'), () => 'a, b');
    }),
    client.withLock(write('b'), async () => {
      await watch.until('enqueued');
      return client.withLock(write('a'), () => 'b, a');
    }),
  ]);
  const [first, second] = outcomes;
  assert.deepEqual(first, { status: 'fulfilled', value: 'a, b' });
  assert.ok(second?.status === 'rejected' && second.reason instanceof DeadlockError);
  assert.equal(second.reason.cycle.length, 2);
  assert.match(second.reason.message, /waits for/);
});

test('a lock that its own work would wait for is a deadlock', async (t) => {
  const { join } = await setUp(t);
  const client = await join();
  const work = client.withLock(write('a'), () => client.withLock(write('a'), () => {}));
  await assert.rejects(work, DeadlockError);
});

test('concurrent calls have different owners, even inside the same call', async (t) => {
  const { join } = await setUp(t);
  const client = await join();
  const order: string[] = [];
  await client.withLock(write('a'), async () => {
    await Promise.all([
      client.withLock(write('b'), () => order.push('first')),
      client.withLock(write('b'), () => order.push('second')),
    ]);
    await client.withLock(write('b'), () => order.push('third'));
  });
  assert.deepEqual(order, ['first', 'second', 'third']);
});

test('a refusal of the server has its code and its message', async (t) => {
  const { join } = await setUp(t, { limits: { maxLocksPerSession: 1, maxSegmentBytes: 8 } });
  const client = await join();
  const lock = await client.lock(write('a'));
  await assert.rejects(client.lock(write('b')), (error) => {
    assert.ok(error instanceof RefusedError);
    assert.equal(error.code, 'too_many_locks');
    assert.match(error.message, /lock limit of this session reached/);
    return true;
  });
  await lock.release();
  await assert.rejects(client.lock(write('much too long')), { code: 'segment_too_long' });
  await assert.rejects(client.evict({ id: '1' }), { code: 'no_such_lock' });
});

test('what the server would not read is refused, and not sent over and over again', async (t) => {
  const limits = { maxMessageBytes: 8000 };
  const { server, url, watch } = await setUp(t, { limits });
  const wsUrl = url.replace('locktopus:', 'ws:');
  const clients = [await connected(t, url), await connected(t, wsUrl, { WebSocket })];
  const long = 'x'.repeat(900);
  // With as many resources the server does not even read the ref.
  const many = Array.from({ length: 3000 }, (_, i) => write(i));
  for (const client of clients) {
    client.on('disconnected', () => void client.close());
    const held = await client.lock(write('a'));
    await assert.rejects(client.lock(many), { code: 'too_many_resources' });
    const deep = Array(9).fill(long);
    const tooLong = { name: 'RefusedError', code: 'message_too_long' };
    await assert.rejects(client.lock(write(...deep), { waitMs: 1000 }), tooLong);
    await assert.rejects(client.inspect({ path: deep }).next(), tooLong);
    await assert.rejects(client.watch({ path: deep }).next(), tooLong);
    // Two thirds of its bytes are not characters.
    await assert.rejects(client.lock(write(...Array(8).fill('注'.repeat(334)))), tooLong);
    assert.ok(held.isHeld);
    await held.release();
  }
  assert.equal(watch.count('acquired'), 2);
  assert.equal(server.counts.connections, 2);
});

test('invalid arguments are rejected before anything is sent', async (t) => {
  const { join } = await setUp(t);
  const client = await join();
  await assert.rejects(client.lock([]), /nothing to lock/);
  await assert.rejects(client.lock(write('a'), { waitMs: -1 }), /waitMs must be an integer/);
  await assert.rejects(client.lock(write('a'), { holdMs: 0 }), /holdMs must be an integer/);
  const forgotten = undefined as unknown as string;
  assert.throws(() => write('orders', forgotten), /segment 1 of a path/);
  assert.throws(() => write(0.5), TypeError);
  assert.throws(() => limited(0, 'a'), TypeError);
});

test('what has no JSON is rejected by name, and the conversation goes on', async (t) => {
  const { join, url } = await setUp(t);
  const client = await join();
  const big = 17n as unknown as string;
  const lock = { type: 'write', path: ['orders', big] } as const;
  const limit = { type: 'read', path: ['a'], limit: 4n as unknown as number } as const;
  await assert.rejects(client.lock(lock), /segment 1 of a path must be a string/);
  await assert.rejects(client.lock([write('a'), limit]), /limit must be an integer/);
  await assert.rejects(client.lock(write('a'), { label: big }), /label must be a string/);
  await assert.rejects(
    client.withLock(write('a'), { owner: big }, () => {}),
    /owner must be a s/,
  );
  assert.throws(() => client.inspect({ id: big }), /id must be a string/);
  assert.throws(() => client.inspect({ path: [big] }), /segment 0 of a path/);
  assert.throws(() => client.watch({ path: [big] }), /segment 0 of a path/);
  await assert.rejects(client.evict({ id: big }), /id must be a string/);
  await assert.rejects(client.evict({ sessionId: big }), /sessionId must be a string/);
  for (const name of ['namespace', 'label', 'token'] as const) {
    const message = new RegExp(`${name} must be a string`);
    await assert.rejects(connect(url, { [name]: big }), message);
  }
  let isAlive = true;
  client.on('disconnected', () => {
    isAlive = false;
  });
  assert.equal(await client.withLock(write('a'), ({ isHeld }) => isHeld), true);
  assert.equal(isAlive, true);
});

test('an administrator ends the session: the locks are lost, and a new session begins', async (t) => {
  const { join } = await setUp(t);
  const [client, admin] = [await join(), await join()];
  const held: HeldLock[] = [await client.lock(write('a')), await client.lock(write('b'))];
  const other = await admin.lock(write('c'));
  const refused = assert.rejects(client.lock(write('c')), { code: 'evicted' });
  await client.ping();
  const before = client.sessionId;
  const order: string[] = [];
  client.on('lost', ({ lock, error }) => order.push(`lost ${error.code} ${lock.isHeld}`));
  const again = new Promise<void>((resolve) => {
    client.on('connected', () => resolve(void order.push('connected')));
  });
  await admin.evict({ sessionId: before });
  await refused;
  await again;
  assert.deepEqual(order, ['lost evicted false', 'lost evicted false', 'connected']);
  assert.ok(held.every(({ signal }) => signal.aborted));
  assert.notEqual(client.sessionId, before);
  await other.release();
  assert.equal((await client.lock(write('a'))).isHeld, true);
});
