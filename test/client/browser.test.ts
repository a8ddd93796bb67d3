/** The client as browsers have it: what they load, and that it works over their kind of WebSocket. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { WebSocket } from 'ws';
import { connect, write } from '../../src/client/browser.ts';
import { startServer } from '../support/running-server.ts';
import { browserEntry, bundle } from './bundle.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

test('a bundler for browsers finds all that the client is made of, and nothing of Node', async () => {
  const { files } = await bundle(browserEntry(), 'client');
  assert.ok(files.includes('src/client/session.ts'));
  const others = files.filter((file) => !file.startsWith('src/client/'));
  assert.deepEqual([...others, ...files.filter((file) => file.endsWith('-socket.ts'))], []);
});

test('it compiles where only the types of a browser are known: no Buffer, no process', () => {
  const compiler = join(ROOT, 'node_modules/.bin/tsc');
  const config = join(ROOT, 'test/client/browser/tsconfig.json');
  const { status, stdout } = spawnSync(compiler, ['-p', config], { encoding: 'utf8' });
  assert.equal(status, 0, stdout);
});

test('it holds a lock over WebSocket, and rejects other URLs', async (t) => {
  const server = await startServer(t);
  const url = `ws://localhost:${server.address.port}/shop`;
  const client = await connect(url, { WebSocket });
  t.after(() => client.close());
  assert.equal(await client.withLock(write('a'), (lock) => lock.isHeld), true);
  await assert.rejects(connect('locktopus://localhost', { WebSocket }), /over WebSocket only/);
});
