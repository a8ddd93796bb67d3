/** The client as browsers have it: what they load, and that it works over their kind of WebSocket. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { WebSocket } from 'ws';
import { connect, write } from '../../src/client/browser.ts';
import { startServer } from '../support/running-server.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

test('nothing that is reachable from the entry for browsers is imported from Node', () => {
  const files = new Set(['src/client/browser.ts']);
  for (const file of files) {
    const text = readFileSync(join(ROOT, file), 'utf8');
    for (const [, target = ''] of text.matchAll(
      /^(?:im|ex)port (?!type )[^;]*?from '([^']+)';/gm,
    )) {
      assert.ok(target.startsWith('.'), `${file} imports ${target}`);
      files.add(relative(ROOT, resolve(ROOT, dirname(file), target)));
    }
    assert.doesNotMatch(text, /\b(import|require)\(/, `${file} imports something at run time`);
  }
  assert.ok(files.has('src/client/session.ts'));
  assert.ok(!files.has('src/client/transport-socket.ts'));
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
