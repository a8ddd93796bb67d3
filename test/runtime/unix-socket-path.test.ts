/** Who listens on the path of a Unix socket when several want to, one after another or at once. */
import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { takePath } from '../../src/runtime/unix-socket-path.ts';
import { Server } from '../../src/server.ts';
import { temporaryFolder } from '../support/certificates.ts';
import { nodeArgs } from '../support/compiled.ts';
import { LineClient } from '../support/line-client.ts';
import type { Order } from '../support/path-taker.ts';
import { startServer } from '../support/running-server.ts';
import { leaveStaleSocket } from '../support/stale-socket.ts';

const [TAKER = '', ...EXEC_ARGV] = nodeArgs('test/support/path-taker.ts').toReversed();

/** Races: enough that a gap of a moment between two steps is hit. */
const ROUNDS = 60;

/** A server that does not listen yet. */
function onPath(t: TestContext, path: string): Server {
  const server = new Server({ tcp: false, socket: { path } });
  t.after(() => server.close());
  return server;
}

/** Whoever connects to `path` is served by `server`. */
async function assertReaches(t: TestContext, path: string, server: Server): Promise<void> {
  const client = LineClient.on(t, connect(path));
  assert.equal((await client.ask({ action: 'ping' })).action, 'ping');
  assert.equal(server.counts.sessions, 1);
  client.socket.destroy();
  await once(client.socket, 'close');
}

test('a server that is closed again does not remove who has its path by now', async (t) => {
  const path = join(temporaryFolder(t), 'l.sock');
  const [first, second] = [onPath(t, path), onPath(t, path)];
  await first.listen();
  const { ino } = statSync(path);
  await first.close();
  await second.listen();
  // Many file systems give the number of a file away at once.
  t.diagnostic(statSync(path).ino === ino ? 'the same number' : 'another number');
  await first.close();
  await assertReaches(t, path, second);
});

for (const found of ['a stale socket', 'nothing'] as const) {
  test(`of servers that find ${found} at the same moment, one listens`, async (t) => {
    const folder = temporaryFolder(t);
    const path = join(folder, 'l.sock');
    for (let round = 0; round < ROUNDS; round++) {
      if (found === 'a stale socket') await leaveStaleSocket(path);
      const servers = Array.from({ length: 5 }, () => onPath(t, path));
      const outcomes = await Promise.allSettled(servers.map((server) => server.listen()));
      const winners = servers.filter((_, i) => outcomes[i]?.status === 'fulfilled');
      for (const outcome of outcomes) {
        if (outcome.status === 'fulfilled') continue;
        assert.equal(outcome.reason.code, 'EADDRINUSE');
        assert.match(outcome.reason.message, /another (program|server) /);
      }
      const [winner] = winners;
      assert.equal(winners.length, 1);
      if (winner === undefined) assert.fail();
      await assertReaches(t, path, winner);
      assert.deepEqual(readdirSync(folder), ['l.sock'], 'nothing is left of those that lost');
      await winner.close();
      assert.deepEqual(readdirSync(folder), []);
    }
  });
}

test('of processes that find a stale socket at the same moment, one listens', async (t) => {
  const folder = temporaryFolder(t);
  const path = join(folder, 'l.sock');
  const takers = Array.from({ length: 4 }, () =>
    fork(TAKER, [path], { execArgv: EXEC_ARGV.toReversed() }),
  );
  t.after(() => takers.forEach((taker) => void taker.kill('SIGKILL')));
  await Promise.all(takers.map(answer));
  for (let round = 0; round < ROUNDS; round++) {
    await leaveStaleSocket(path);
    const answers = await Promise.all(takers.map((taker) => tell(taker, 'listen')));
    assert.deepEqual(answers.toSorted(), [...Array(3).fill('EADDRINUSE'), 'listening']);
    assert.deepEqual(readdirSync(folder), ['l.sock']);
    const winner = takers[answers.indexOf('listening')];
    if (winner === undefined) assert.fail();
    await tell(winner, 'stop');
    assert.deepEqual(readdirSync(folder), [], 'it was reachable by that path');
  }
});

async function answer(taker: ChildProcess): Promise<unknown> {
  const [message] = await once(taker, 'message');
  return message;
}

function tell(taker: ChildProcess, order: Order): Promise<unknown> {
  const told = answer(taker);
  taker.send(order);
  return told;
}

test('a server that stops leaves alone what is another one by now', async (t) => {
  const folder = temporaryFolder(t);
  const path = join(folder, 'l.sock');
  const first = await startServer(t, { tcp: false, socket: { path } });
  rmSync(path);
  const second = await startServer(t, { tcp: false, socket: { path } });
  await first.close();
  await assertReaches(t, path, second);

  rmSync(path);
  writeFileSync(path, 'precious');
  await second.close();
  assert.equal(statSync(path).size, 8);
});

test('a server whose folder is gone stops all the same', async (t) => {
  const folder = join(temporaryFolder(t), 'sub');
  mkdirSync(folder);
  const server = onPath(t, join(folder, 'l.sock'));
  await server.listen();
  rmSync(folder, { recursive: true });
  await server.close();
});

test('what is in use, or is no socket, is refused without a trace', async (t) => {
  const folder = temporaryFolder(t);
  const [used, file] = [join(folder, 'used'), join(folder, 'file')];
  const server = await startServer(t, { tcp: false, socket: { path: used } });
  writeFileSync(file, 'precious');
  await assert.rejects(onPath(t, used).listen(), {
    code: 'EADDRINUSE',
    message: `another program listens on ${used}`,
  });
  await assert.rejects(onPath(t, file).listen(), {
    code: 'EADDRINUSE',
    message: `${file} is not a socket`,
  });
  assert.equal(statSync(file).size, 8);
  assert.deepEqual(readdirSync(folder), ['file', 'used']);
  await assertReaches(t, used, server);
});

test('one that was killed while it took the path is in nobody’s way', async (t) => {
  const folder = temporaryFolder(t);
  const path = join(folder, 'l.sock');
  for (const dead of [[], ['abcd'], ['abcd', 'efgh']]) {
    await leaveStaleSocket(path);
    mkdirSync(`${path}.lock`);
    for (const name of dead) await leaveStaleSocket(join(`${path}.lock`, name));
    const server = onPath(t, path);
    await server.listen();
    await assertReaches(t, path, server);
    assert.deepEqual(readdirSync(folder), ['l.sock']);
    await server.close();
  }
});

test('one that is just taking the path has it before all others', async (t) => {
  const folder = temporaryFolder(t);
  const path = join(folder, 'l.sock');
  mkdirSync(`${path}.lock`);
  const other = createServer().listen(join(`${path}.lock`, 'abcd'));
  t.after(() => other.close());
  await once(other, 'listening');
  await assert.rejects(onPath(t, path).listen(), {
    code: 'EADDRINUSE',
    message: `another server is about to listen on ${path}`,
  });
  assert.deepEqual(readdirSync(folder), ['l.sock.lock']);
  assert.deepEqual(readdirSync(`${path}.lock`), ['abcd']);
});

test('what somebody else keeps where the lock would be stays, and is named', async (t) => {
  const folder = temporaryFolder(t);
  const path = join(folder, 'l.sock');
  const refused = { code: 'EEXIST', address: path, message: /l\.sock\.lock is in the way/ };
  mkdirSync(`${path}.lock`);
  writeFileSync(join(`${path}.lock`, 'file'), 'precious');
  await assert.rejects(onPath(t, path).listen(), refused);
  assert.equal(statSync(join(`${path}.lock`, 'file')).size, 8);

  rmSync(`${path}.lock`, { recursive: true });
  writeFileSync(`${path}.lock`, 'precious');
  await assert.rejects(onPath(t, path).listen(), refused);
  assert.equal(statSync(`${path}.lock`).size, 8);
  assert.deepEqual(readdirSync(folder), ['l.sock.lock']);
});

test('until it has its permissions nobody else can reach the socket', async (t) => {
  const folder = temporaryFolder(t);
  const path = join(folder, 'l.sock');
  const server = createServer();
  t.after(() => server.close());
  const umask = process.umask(0);
  t.after(() => process.umask(umask));
  await takePath(path, 0o640, async (privatePath) => {
    assert.equal(statSync(dirname(privatePath)).mode & 0o777, 0o700);
    server.listen(privatePath);
    await once(server, 'listening');
  });
  assert.equal(statSync(path).mode & 0o777, 0o640);
  assert.deepEqual(readdirSync(folder), ['l.sock']);
});

test('when listening fails nothing is left', async (t) => {
  const folder = temporaryFolder(t);
  const path = join(folder, 'l.sock');
  const failure = Object.assign(new Error('no descriptors'), { code: 'EMFILE' });
  await assert.rejects(
    takePath(path, 0o600, () => Promise.reject(failure)),
    { code: 'EMFILE', address: path },
  );
  assert.deepEqual(readdirSync(folder), []);
});

test('a folder that is not there, or may not be written to, is told with the path', async (t) => {
  const folder = temporaryFolder(t);
  const missing = join(folder, 'sub', 'l.sock');
  await assert.rejects(onPath(t, missing).listen(), { code: 'ENOENT', address: missing });
  const path = join(folder, 'l.sock');
  chmodSync(folder, 0o555);
  const isRoot = process.getuid?.() === 0;
  // Root may write everywhere.
  if (isRoot) process.seteuid?.(65_534);
  try {
    await assert.rejects(onPath(t, path).listen(), { code: 'EACCES', address: path });
  } finally {
    if (isRoot) process.seteuid?.(0);
    chmodSync(folder, 0o700);
  }
});
