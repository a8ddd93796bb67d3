/** SIGHUP without files to read again: in a terminal that is closed, and where there is none. */
import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { createReadStream, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { temporaryFolder } from '../support/certificates.ts';
import { nodeArgs } from '../support/compiled.ts';
import { LineClient } from '../support/line-client.ts';
import { Program } from '../support/program.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const SERVE = [process.execPath, ...nodeArgs('bin/locktopus.ts'), '--port', '0']
  .map((word) => `"${word}"`)
  .join(' ');

/** A terminal of its own is made by script(1) of util-linux. */
const hasScript = /util-linux/.test(spawnSync('script', ['--version']).stdout?.toString() ?? '');

test('without a terminal it is ignored, with a line that says so', async (t) => {
  const program = new Program(t, ['--port', '0']);
  await served(t, await program.port());
  for (let i = 0; i < 2; i++) {
    const from = program.stdout.length;
    program.child.kill('SIGHUP');
    await program.logged(/Z SIGHUP ignored: there are no token or certificate files /, from);
  }
  program.child.kill('SIGTERM');
  assert.equal(await program.ended(), 0);
});

/** Waits until a client is served: by then the program listens for signals, too. */
async function served(t: TestContext, port: number): Promise<void> {
  const client = await LineClient.connect(t, port);
  assert.equal((await client.ask({ action: 'bye' })).action, 'bye');
  client.socket.destroy();
}

/**
 * Starts the program in a new terminal and closes that as soon as a client is served.
 *
 * @param by what starts it: a command of the shell
 * @param options of the program; with some that are read again by SIGHUP it is stopped by SIGTERM
 * @returns its number, and its log until it ends, with its status, or says that it ignores that
 */
async function logOfClosing(
  t: TestContext,
  by: string,
  options = '',
): Promise<{ log: string; pid: number }> {
  const fifo = join(temporaryFolder(t), 'log');
  execFileSync('mkfifo', [fifo]);
  const program = `echo "pid $$"; exec ${by} ${SERVE} ${options}`;
  // As a shell does, it hands on that the terminal is closed; then it says how the program ended.
  const command = `exec > "$LOG"; trap 'kill -HUP $!' HUP
    sh -c '${program}' &
    wait $!; wait $!; echo "status $?"`;
  const terminal = spawn('script', ['-qec', command, '/dev/null'], {
    cwd: ROOT,
    env: { ...process.env, LOG: fifo, SHELL: '/bin/sh' },
    stdio: 'ignore',
  });
  let log = '';
  const pidIn = (text: string): number => Number(text.match(/^pid (\d+)\n/)?.[1]);
  for await (const chunk of createReadStream(fifo, 'utf8')) {
    log += chunk;
    const [, port] = log.match(/listens on \S+:(\d+) .*\n/) ?? [];
    if (port !== undefined && !terminal.killed) {
      await served(t, Number(port));
      terminal.kill('SIGKILL');
    }
    if (log.includes('SIGHUP ignored')) break;
    if (/Z reloaded \d+ token.*\n$/.test(log)) process.kill(pidIn(log), 'SIGTERM');
  }
  return { log, pid: pidIn(log) };
}

test('in a terminal that is closed it stops the server', { skip: !hasScript }, async (t) => {
  const { log } = await logOfClosing(t, '');
  assert.match(log, /Z SIGHUP: stopping .*Z stopped\nstatus 0\n$/s);
});

test('what has files to read again outlives its terminal, and ends as usual', {
  skip: !hasScript,
}, async (t) => {
  const tokens = join(temporaryFolder(t), 'tokens');
  writeFileSync(tokens, 'client-token-0001\n');
  const options = `--token-file "${tokens}"`;
  const { log } = await logOfClosing(t, '', options);
  assert.match(log, /Z reloaded 1 token and .*Z SIGTERM: stopping .*Z stopped\nstatus 0\n$/s);
});

test('what nohup started outlives its terminal', { skip: !hasScript }, async (t) => {
  const { log, pid } = await logOfClosing(t, 'nohup');
  process.kill(pid, 'SIGTERM');
  assert.match(log, /Z SIGHUP ignored: .*\n/);
});
