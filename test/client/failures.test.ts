/**
 * The client where things stop, die, fall silent or jump: real processes, real sockets, short abandon
 * timeouts. What is judged is the order of events, never how long they took.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { systemClock } from '../../src/client/environment.ts';
import { type HeldLock, LockLostError, write } from '../../src/client/index.ts';
import { CuttingProxy } from '../support/cutting-proxy.ts';
import { ownPort } from '../support/ports.ts';
import { Program } from '../support/program.ts';
import { Random } from '../support/random.ts';
import { startServer } from '../support/running-server.ts';
import { Watch } from '../support/watch.ts';
import { aborted, connected, connectedBy, next, runProgram } from './support.ts';

const ABANDON_MS = 1000;

/** The code with which a lock is lost. */
async function lossOf({ signal }: HeldLock): Promise<string> {
  const reason = await aborted(signal);
  assert.ok(reason instanceof LockLostError);
  return reason.code;
}

test('a server that stops, goes on, and is killed', async (t) => {
  const port = await ownPort();
  const program = new Program(t, ['--port', `${port}`]);
  await program.port();
  const url = `locktopus://127.0.0.1:${port}/shop`;
  const first = await connected(t, url, { abandonTimeoutMs: ABANDON_MS });
  const second = await connected(t, url);

  await t.test('a short stop costs nothing', async () => {
    const lock = await second.lock(write('a'));
    program.child.kill('SIGSTOP');
    const pinged = second.ping();
    program.child.kill('SIGCONT');
    await pinged;
    assert.equal(lock.isHeld, true);
    await lock.release();
  });

  await t.test(
    'in a long one the lock is lost before the server grants it to the next',
    async () => {
      const order: string[] = [];
      const lock = await first.lock(write('a'));
      const wait = second.lock(write('a')).then((granted) => {
        order.push('granted');
        return granted;
      });
      await second.ping();
      program.child.kill('SIGSTOP');
      assert.equal(await lossOf(lock), 'unconfirmed');
      order.push('lost');
      const again = first.lock(write('a'));
      program.child.kill('SIGCONT');
      const theirs = await wait;
      assert.deepEqual(order, ['lost', 'granted']);
      assert.equal(lock.isHeld, false);
      await theirs.release();
      assert.equal((await again).isHeld, true, 'a lock that was requested meanwhile');
    },
  );

  await t.test(
    'killed and started again: each lock is lost, then a new session begins',
    async () => {
      const events: string[] = [];
      const locks = [await second.lock(write('b')), await second.lock(write('c'))];
      second.on('disconnected', () => events.push('disconnected'));
      second.on('lost', ({ error }) => events.push(`lost: ${error.code}`));
      second.on('resumed', () => events.push('resumed'));
      second.on('connected', () => events.push('connected'));
      const connectedAgain = next(second, 'connected');
      program.child.kill('SIGKILL');
      await program.ended();
      const wait = second.lock(write('b'));
      await new Program(t, ['--port', `${port}`]).port();
      await connectedAgain;
      const lost = 'lost: no_such_session';
      assert.deepEqual(events, ['disconnected', lost, lost, 'connected']);
      assert.deepEqual(await Promise.all(locks.map(lossOf)), [
        'no_such_session',
        'no_such_session',
      ]);
      const lock = await wait;
      assert.equal(lock.isHeld, true);
      assert.ok(
        BigInt(lock.id) > BigInt(locks[1]?.id ?? 0),
        'the fencing token grows all the same',
      );
    },
  );
});

/** A program that stops itself while it holds, so that the next statement is what it first does. */
const STOPPING = `
  const client = await connect(url, { abandonTimeoutMs: 400 });
  const lock = await client.lock(write('a'));
  console.log('held');
  for (const event of ['lost', 'connected']) client.on(event, () => console.log(event));
  process.kill(process.pid, 'SIGSTOP');
  try {
    lock.signal.throwIfAborted();
    console.log('works on');
  } catch ({ code }) {
    console.log(code, lock.isHeld);
  }
  await lock.release();
  await client.withLock(write('a'), (again) => console.log('again', BigInt(again.id) > BigInt(lock.id)));
  await client.close();
`;

test('a client process that was stopped for too long does nothing more with its lock', async (t) => {
  const server = await startServer(t);
  const url = `locktopus://127.0.0.1:${server.address.port}/shop`;
  const child = runProgram(t, `const url = '${url}'; ${STOPPING}`);
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  const closed = once(child, 'close');
  await once(child.stdout, 'data');
  const other = await connected(t, url);
  const lock = await other.lock(write('a'));
  assert.equal(output, 'held\n');
  child.kill('SIGCONT');
  await lock.release();
  const [code] = await closed;
  assert.equal(code, 0, 'it ends by itself');
  assert.equal(output, 'held\nlost\nunconfirmed false\nconnected\nagain true\n');
});

async function throughProxy(t: TestContext) {
  const watch = new Watch();
  const server = await startServer(t, { lockObserver: watch, clientObserver: watch });
  const proxy = new CuttingProxy(new Random(1), server.address.port);
  proxy.isCutting = false;
  const client = await connected(t, `locktopus://127.0.0.1:${await proxy.listen(t)}/shop`, {
    abandonTimeoutMs: ABANDON_MS,
    connectTimeoutMs: ABANDON_MS,
  });
  const direct = await connected(t, `locktopus://127.0.0.1:${server.address.port}/shop`);
  return { watch, proxy, client, direct };
}

test('requests that do not arrive: the lock is lost before the next client has it', async (t) => {
  const { proxy, client, direct } = await throughProxy(t);
  const lock = await client.lock(write('a'));
  const order: string[] = [];
  client.on('lost', ({ error }) => order.push(error.code));
  proxy.silenced = 'clients';
  const theirs = await direct.lock(write('a'));
  order.push('granted');
  assert.deepEqual(order, ['unconfirmed', 'granted']);
  assert.equal(lock.isHeld, false);
  const again = next(client, 'connected');
  proxy.silenced = 'none';
  await Promise.all([again, theirs.release()]);
  assert.equal((await client.lock(write('a'))).isHeld, true, 'in a new session');
  // The server still waits for the end of connections that the client has given up.
  proxy.cut();
});

test('answers that do not arrive: the lock is lost, and released once they do', async (t) => {
  const { proxy, client, direct, watch } = await throughProxy(t);
  const lock = await client.lock(write('a'));
  const { sessionId } = client;
  proxy.silenced = 'server';
  const order: string[] = [];
  const wait = direct.lock(write('a')).then(() => order.push('granted'));
  assert.equal(await lossOf(lock), 'unconfirmed');
  order.push('lost');
  assert.equal(watch.count('abandoned'), 0, 'each attempt to resume reaches the server');
  const again = next(client, 'resumed');
  proxy.silenced = 'none';
  await Promise.all([again, wait]);
  assert.deepEqual(order, ['lost', 'granted']);
  assert.equal(client.sessionId, sessionId);
  proxy.cut();
});

const HOUR_MS = 3_600_000;

for (const clockName of ['monotonic', 'wall'] as const) {
  test(`a ${clockName} clock that jumps: back costs nothing, forward every lock`, async (t) => {
    const server = await startServer(t);
    const url = `locktopus://127.0.0.1:${server.address.port}/shop`;
    const clock = systemClock();
    const skewMs = { monotonic: 0, wall: 0 };
    const client = await connectedBy(
      t,
      {
        now: () => clock.now() + skewMs.monotonic,
        wallNow: () => clock.wallNow() + skewMs.wall,
        setTimer: clock.setTimer,
      },
      url,
    );
    const lock = await client.lock(write('a'));
    skewMs[clockName] -= HOUR_MS;
    await client.ping();
    assert.equal(lock.isHeld, true);
    assert.equal((await client.lock(write('b'))).isHeld, true);
    const resumed = next(client, 'resumed');
    skewMs[clockName] += HOUR_MS;
    assert.equal(lock.isHeld, false);
    assert.equal(await lossOf(lock), 'unconfirmed');
    await resumed;
    assert.equal((await client.lock([write('a'), write('b')])).isHeld, true);
  });
}
