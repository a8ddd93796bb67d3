/** The file of a Unix socket that is removed or replaced while the server serves. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmdirSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Server } from '../../../src/server.ts';
import { temporaryFolder } from '../../support/certificates.ts';
import { Changes } from '../../support/changes.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { LineClient, lock, write } from '../../support/line-client.ts';
import { leaveStaleSocket } from '../../support/stale-socket.ts';

/** Milliseconds after which it looks. */
const CHECK_MS = 10_000;

/** A server on a Unix socket alone, and what it says of its path: each look is awaited. */
async function start(t: TestContext) {
  const folder = join(temporaryFolder(t), 'run');
  mkdirSync(folder);
  const path = join(folder, 'l.sock');
  const clock = new FakeClock();
  const told: (string | undefined)[] = [];
  const changes = new Changes();
  const server = new Server({
    clock,
    tcp: false,
    socket: { path, mode: 0o600 },
    pathObserver: (_path, error) => {
      told.push(error?.message);
      changes.notify();
    },
  });
  await server.listen();
  t.after(() => server.close());
  /** Looks once, and waits for what it says. */
  const look = async (): Promise<string | undefined> => {
    const heard = changes.next();
    clock.advance(CHECK_MS);
    await heard;
    // The next look is not planned before this one is over.
    while (!clock.isDueIn(CHECK_MS)) await new Promise((resolve) => setImmediate(resolve));
    return told.at(-1);
  };
  return { folder, path, clock, server, told, look };
}

test('a removed file is made again with its mode; who is connected stays', async (t) => {
  const { folder, path, server, look } = await start(t);
  const before = LineClient.on(t, connect(path));
  await before.ask(lock(write('a')));
  unlinkSync(path);
  assert.equal(await look(), undefined);
  assert.equal(statSync(path).mode & 0o777, 0o600);
  const after = LineClient.on(t, connect(path));
  assert.equal((await after.ask(lock(write('a')))).state, 'enqueued');
  await before.ask({ action: 'release' });
  assert.equal((await after.next()).state, 'acquired');
  assert.deepEqual(readdirSync(folder), ['l.sock']);
  unlinkSync(path);
  assert.equal(await look(), undefined, 'a second time, too');
  for (const client of [before, after]) client.socket.destroy();
  await server.close();
  assert.deepEqual(readdirSync(folder), []);
});

test('the path is not taken from another server that lives; once that is gone it is taken', async (t) => {
  const { path, look } = await start(t);
  unlinkSync(path);
  const other = createServer((socket) => socket.destroy()).listen(path);
  await once(other, 'listening');
  const { ino } = statSync(path);
  assert.equal(await look(), `another program listens on ${path}`);
  assert.equal(statSync(path).ino, ino);
  await new Promise((resolve) => other.close(resolve));
  assert.equal(existsSync(path), false);
  assert.equal(await look(), undefined);
  const client = LineClient.on(t, connect(path));
  assert.equal((await client.ask({ action: 'ping' })).action, 'ping');
});

test('a dead socket in its place is replaced, another file is not', async (t) => {
  const { path, look } = await start(t);
  unlinkSync(path);
  await leaveStaleSocket(path);
  assert.equal(await look(), undefined);
  unlinkSync(path);
  writeFileSync(path, 'mine');
  assert.equal(await look(), `${path} is not a socket`);
});

test('a folder that is gone is waited for, and what stands in the way is told once', async (t) => {
  const { folder, path, clock, told, look } = await start(t);
  unlinkSync(path);
  rmdirSync(folder);
  assert.match((await look()) ?? '', /^ENOENT/);
  const { timersSet } = clock;
  clock.advance(CHECK_MS);
  while (clock.timersSet === timersSet) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(told.length, 1);
  mkdirSync(folder);
  assert.equal(await look(), undefined);
  assert.deepEqual(readdirSync(folder), ['l.sock']);
});

test('a server that is closed while it looks leaves nothing behind', async (t) => {
  const { folder, path, clock, server } = await start(t);
  renameSync(path, `${path}.moved`);
  clock.advance(CHECK_MS);
  await server.close();
  assert.deepEqual(readdirSync(folder), ['l.sock.moved']);
  assert.equal(clock.pendingTimers, 0);
});
