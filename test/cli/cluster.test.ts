/** In a worker of node:cluster, where several would share one address, no server starts. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { temporaryFolder } from '../support/certificates.ts';
import { moduleFile, nodeArgs } from '../support/compiled.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** Runs `module` with `args` in two workers of one cluster: everything that they and it print. */
async function inCluster(t: TestContext, module: string, args: readonly string[] = []) {
  const child = spawn(
    process.execPath,
    [...nodeArgs('test/support/cluster-primary.ts'), moduleFile(module), '2', ...args],
    { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] },
  );
  t.after(() => child.kill('SIGKILL'));
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  return { stdout, stderr };
}

test('the program refuses to start in a worker, says what to do, and ends with 2', async (t) => {
  const { stdout, stderr } = await inCluster(t, 'bin/locktopus.ts', ['--port', '0']);
  assert.equal(stdout, 'worker ended: 2\nworker ended: 2\n');
  assert.match(
    stderr,
    /^locktopus: a lock server cannot run in a worker of node:cluster: .* PM2, use fork mode .*\.\n/,
  );
});

test('an embedded server refuses to listen in a worker, on TCP and on a Unix socket', async (t) => {
  const error = /Error: a lock server cannot run in a worker of node:cluster/g;
  const tcp = await inCluster(t, 'test/support/embedded-listen.ts');
  assert.equal(tcp.stdout.match(error)?.length, 2, tcp.stdout + tcp.stderr);
  const path = join(temporaryFolder(t), 'l.sock');
  const unix = await inCluster(t, 'test/support/embedded-listen.ts', [path]);
  assert.equal(unix.stdout.match(error)?.length, 2, unix.stdout + unix.stderr);
  assert.equal(existsSync(path), false);
});
