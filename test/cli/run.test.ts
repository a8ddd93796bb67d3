/**
 * `locktopus run`, with real commands and a real server. Where signals need no process of their own, it
 * runs in this one.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { createReadStream, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import { watchForLoss } from '../../src/cli/loss.ts';
import { runVerb, type Signals, type VerbContext } from '../../src/cli/verb.ts';
import { RUN } from '../../src/cli/verbs/run.ts';
import {
  type Client,
  connect,
  type HeldLock,
  type InspectedLock,
  LockLostError,
} from '../../src/client/index.ts';
import type { ServerOptions } from '../../src/server-options.ts';
import { makeCertificate, temporaryFolder } from '../support/certificates.ts';
import { Changes } from '../support/changes.ts';
import { LOADER, moduleFile, nodeArgs } from '../support/compiled.ts';
import { CuttingProxy } from '../support/cutting-proxy.ts';
import { Program } from '../support/program.ts';
import { Random } from '../support/random.ts';
import { startServer } from '../support/running-server.ts';
import { Watch } from '../support/watch.ts';

/** What Node runs as the program. */
const LOCKTOPUS = nodeArgs('bin/locktopus.ts');

async function setUp(t: TestContext, options: ServerOptions = {}) {
  const watch = new Watch();
  const server = await startServer(t, { lockObserver: watch, clientObserver: watch, ...options });
  const url = `locktopus://127.0.0.1:${server.address.port}/jobs`;
  return { watch, server, url, folder: temporaryFolder(t) };
}

/** The signals of a process that only the test has. */
class FakeSignals extends EventEmitter implements Signals {
  readonly raised: string[] = [];
  /** Called when the process sends itself a signal; it goes on when this returns. */
  onRaise = (): void => {};

  send(name: NodeJS.Signals): void {
    this.emit(name, name);
  }

  raise(name: NodeJS.Signals): void {
    this.removeAllListeners(name);
    this.raised.push(name);
    this.onRaise();
  }
}

/** Runs the verb in this process. */
function start(url: string, args: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const signals = new FakeSignals();
  const said = { out: '', err: '' };
  const changes = new Changes();
  const context: VerbContext = {
    env: { ...process.env, LOCKTOPUS_URL: url, ...env },
    out: (text) => {
      said.out += text;
    },
    err: (text) => {
      said.err += text;
      changes.notify();
    },
    isTerminal: false,
    signals,
  };
  return { signals, said, changes, code: runVerb('run', RUN, args, context) };
}

/** The words of a command that a shell interprets. `READY` signals this process. */
function shell(script: string, ...args: string[]): string[] {
  return ['--', 'sh', '-c', script.replaceAll('READY', 'kill -USR2 $PPID'), 'sh', ...args];
}

/** Resolves when a command has said READY. */
async function ready(): Promise<void> {
  await once(process, 'SIGUSR2');
}

async function locksOf(client: Client): Promise<InspectedLock[]> {
  const locks: InspectedLock[] = [];
  for await (const lock of client.inspect()) locks.push(lock);
  return locks;
}

/** The state of a process as Linux has it, such as T for stopped; undefined if it is gone. */
function stateOf(pid: string | number): string | undefined {
  try {
    const text = readFileSync(`/proc/${String(pid).trim()}/stat`, 'latin1');
    return text.slice(text.lastIndexOf(')') + 2)[0];
  } catch {
    return undefined;
  }
}

test('the lock is held while the command runs, and its exit code is passed on', async (t) => {
  const { watch, server, url, folder } = await setUp(t);
  const file = join(folder, 'id');
  const isReady = ready();
  const script = 'echo $LOCKTOPUS_ID > "$1"; READY; while [ -e "$1" ]; do sleep 0.01; done; exit 7';
  const { code, said } = start(url, ['-w', 'a/b', '-r', 'c', ...shell(script, file)]);
  await isReady;
  const client = await connect(url);
  t.after(() => client.close());
  const [lock, ...others] = await locksOf(client);
  assert.equal(others.length, 0);
  assert.equal(`${lock?.id}\n`, readFileSync(file, 'utf8'));
  assert.equal(lock?.session, 'sh', 'its session is named after the command');
  assert.deepEqual(lock?.resources, [
    { type: 'write', path: ['a', 'b'] },
    { type: 'read', path: ['c'] },
  ]);
  assert.equal(watch.count('ended'), 0);
  rmSync(file);
  assert.equal(await code, 7);
  assert.equal(watch.count('ended'), 1);
  assert.equal(server.counts.acquired, 0);
  assert.deepEqual(said, { out: '', err: '' });
});

test('an end by a signal is 128 and its number', async (t) => {
  const { url } = await setUp(t);
  assert.equal(await start(url, ['-w', 'a', ...shell('kill -TERM $$')]).code, 143);
  assert.equal(await start(url, ['-w', 'a', ...shell('kill -KILL $$')]).code, 137);
  const { code, signals } = start(url, ['-w', 'a', ...shell('kill -INT $$')]);
  assert.equal(await code, 130);
  assert.deepEqual(signals.raised, ['SIGINT'], "so that a shell's loop ends too");
});

test('a mistake in the command line is said, and ends with 64', async (t) => {
  const { url, folder } = await setUp(t);
  const empty = join(folder, 'empty');
  writeFileSync(empty, '# no token\n');
  const cases: [args: string[], sentence: string][] = [
    [['true'], 'name what to lock: -w PATH, -r PATH or --limit N PATH'],
    [['-w', 'a'], 'name the command to run, after --'],
    [
      ['-w', 'a//b', 'true'],
      'the path of --write has an empty segment: a//b. Remove the slash there, or write \\e for one',
    ],
    [
      ['--limit', '0', 'a', 'true'],
      '--limit must begin with a whole number of at least 1, not "0"',
    ],
    [['-r', 'a', '--try', '--wait', '1s', 'true'], '--try and --wait contradict each other'],
    [
      ['-r', 'a', '--wait', '10', 'true'],
      '--wait must be a duration, such as 500ms, 10s, 2m or 1h, not "10"',
    ],
    [
      ['-r', 'a', '--grace', '11s', '--abandon-timeout', '20s', 'true'],
      '--abandon-timeout must be at least twice --grace: 22s, not 20s',
    ],
    [
      ['-r', 'a', '--abandon-timeout', '1ms', 'true'],
      '--abandon-timeout must be at least 1s, not 1ms',
    ],
    [
      ['-r', 'a', '--url', 'http://x', 'true'],
      '"http://x" is not the URL of a lock server: start it with locktopus://, locktopuss://, unix:, ws:// or wss://',
    ],
    [['-r', 'a', '--token-file', empty, 'true'], `--token-file: ${empty} contains no token`],
    [
      ['-r', 'a', '--tls-ca', empty, 'true'],
      '--tls-ca, --tls-cert and --tls-key have no effect: the URL must begin with locktopuss://',
    ],
    [['-r', 'a', '--tls-key', empty, 'true'], '--tls-cert and --tls-key go together: set both'],
    [
      ['-r', 'a', '--tls-ca', join(empty, 'x'), 'true'],
      `--tls-ca: cannot read ${join(empty, 'x')}: ENOTDIR: not a directory, open '${join(empty, 'x')}'`,
    ],
  ];
  for (const [args, sentence] of cases) {
    const { code, said } = start(url, args);
    assert.equal(await code, 64, sentence);
    assert.equal(said.err, `locktopus run: ${sentence}. See locktopus run --help.\n`);
  }
  const { code, said } = start(url, ['-w', 'x'.repeat(2000), 'true']);
  assert.equal(await code, 64, 'a mistake that the server sees');
  assert.match(said.err, /^locktopus: .*bytes/);
});

test('what keeps the command from running has an exit code of its own', async (t) => {
  const { url } = await setUp(t, { tokens: ['0123456789abcdef'] });
  const notOurs = createServer((socket) => socket.end('220 mail.example\r\n'));
  notOurs.listen(0, '127.0.0.1');
  await once(notOurs, 'listening');
  t.after(() => notOurs.close());
  const address = notOurs.address();
  if (address === null || typeof address === 'string') assert.fail();
  const token = { LOCKTOPUS_TOKEN: '0123456789abcdef' };
  const holder = await connect(url, { token: token.LOCKTOPUS_TOKEN });
  t.after(() => holder.close());
  await holder.lock({ type: 'write', path: ['taken'] });
  const cases: [code: number, args: string[], env: NodeJS.ProcessEnv, message: RegExp][] = [
    [
      69,
      ['-w', 'a', 'true'],
      { LOCKTOPUS_URL: 'locktopus://127.0.0.1:1' },
      /^locktopus: no lock server is reachable: /,
    ],
    [
      75,
      ['--try', '-w', 'taken', 'true'],
      token,
      /^locktopus: the lock is taken; the command was not run\.\n$/,
    ],
    [
      75,
      ['--wait', '1ms', '-w', 'taken/x', 'true'],
      token,
      /write taken\/x was not acquired within 1 ms; the command/,
    ],
    [
      76,
      ['-w', 'a', 'true'],
      { LOCKTOPUS_URL: `locktopus://127.0.0.1:${address.port}` },
      /^locktopus: /,
    ],
    [77, ['-w', 'a', 'true'], {}, /: give a valid one by --token-file or LOCKTOPUS_TOKEN\.\n$/],
    [126, ['-w', 'a', '/dev/null'], token, /^locktopus: cannot run \/dev\/null: .*EACCES/],
    [126, ['-w', 'a', '/'], token, /^locktopus: cannot run \/: EACCES/],
    [126, ['-w', 'a', '/dev/null/x'], token, /^locktopus: cannot run \/dev\/null\/x: .*ENOTDIR/],
    [
      127,
      ['-w', 'a', 'no-such-command'],
      token,
      /^locktopus: cannot run no-such-command: command not found\.\n$/,
    ],
    [
      0,
      ['-w', 'a', 'true'],
      { ...token, LOCKTOPUS_TOKNE: 'x' },
      /^locktopus: warning: LOCKTOPUS_TOKNE is ignored\. Did you mean LOCKTOPUS_TOKEN\?\n$/,
    ],
  ];
  for (const [expected, args, env, message] of cases) {
    const { code, said } = start(url, args, env);
    assert.equal(await code, expected, said.err);
    assert.match(said.err, message);
  }
});

test('TLS with a CA of its own, a token in a file, a namespace', async (t) => {
  const folder = temporaryFolder(t);
  const { cert, key, certFile } = makeCertificate(folder, 'server');
  const { server, watch } = await setUp(t, { tls: { cert, key }, tokens: ['0123456789abcdef'] });
  const tokenFile = join(folder, 'token');
  writeFileSync(tokenFile, '# the token of the jobs\n0123456789abcdef\n');
  const url = `locktopuss://localhost:${server.address.port}`;
  const options = ['--url', url, '--tls-ca', certFile, '--token-file', tokenFile];
  const { code, said } = start('', [...options, '--namespace', 'x', '--limit', '2', 'a', 'true']);
  assert.equal(await code, 0, said.err);
  assert.equal(watch.count('acquired'), 1);
});

test('a signal while it waits makes it leave the queue', async (t) => {
  const { watch, server, url } = await setUp(t);
  const holder = await connect(url);
  t.after(() => holder.close());
  await holder.lock({ type: 'write', path: ['a'] });
  const { code, signals } = start(url, ['-w', 'a', 'true']);
  await watch.until('enqueued');
  signals.send('SIGTERM');
  assert.equal(await code, 143);
  assert.deepEqual([server.counts.sessions, server.counts.enqueued], [1, 0]);
  assert.equal(watch.count('acquired'), 1);
});

test('a signal while the command runs is for the command', async (t) => {
  const { url } = await setUp(t);
  const isReady = ready();
  const script = 'trap "exit 9" USR1; trap : HUP TERM; READY; while :; do sleep 0.01; done';
  const { code, signals } = start(url, ['-w', 'a', ...shell(script)]);
  await isReady;
  for (const name of ['SIGHUP', 'SIGTERM', 'SIGUSR1'] as const) signals.send(name);
  assert.equal(await code, 9);
});

test('it is suspended together with the command', {
  skip: process.platform !== 'linux',
}, async (t) => {
  const { url, folder } = await setUp(t);
  const file = join(folder, 'pid');
  const isReady = ready();
  const { code, signals } = start(url, [
    '-w',
    'a',
    ...shell('echo $$ > "$1"; READY; exec sleep 60', file),
  ]);
  await isReady;
  const pid = readFileSync(file, 'utf8');
  signals.onRaise = () => {
    // It may have ended, which the exit code tells: then there is nothing to wait for.
    while (!['T', 'Z', undefined].includes(stateOf(pid)));
  };
  signals.send('SIGTSTP');
  assert.deepEqual(signals.raised, ['SIGTSTP']);
  // A process that is stopped would not end by it.
  signals.send('SIGTERM');
  assert.equal(await code, 143);
});

test('what the command leaves behind is ended before the lock is released', async (t) => {
  const { watch, url, folder } = await setUp(t);
  const file = join(folder, 'pid');
  // The second one has to be killed.
  const script = `sleep 1000 & (trap "" TERM; exec sleep 1000) & echo $! > "$1"; exit 3`;
  const { code } = start(url, ['--grace', '50ms', '-w', 'a', ...shell(script, file)]);
  await watch.until('acquired');
  const left = watch.until('ended').then(() => stateOf(readFileSync(file, 'utf8')));
  assert.equal(await code, 3);
  assert.ok([undefined, 'Z', 'X'].includes(await left));
});

test('a lock that an administrator takes away ends the command, however stubborn', async (t) => {
  const { url, watch } = await setUp(t);
  const admin = await connect(url);
  t.after(() => admin.close());
  const cases = [
    [
      ['--grace', '1m', '--abandon-timeout', '4m'],
      'trap "exit 5" TERM; READY; while :; do sleep 0.01; done',
    ],
    [['--grace', '50ms'], 'trap "" TERM; READY; sleep 1000'],
  ] as const;
  for (const [i, [options, script]] of cases.entries()) {
    const isReady = ready();
    const { code, said } = start(url, [...options, '-w', 'a', ...shell(script)]);
    await isReady;
    const [lock] = await locksOf(admin);
    await admin.evict({ id: lock?.id ?? '' });
    assert.equal(await code, 79);
    assert.equal(
      said.err,
      'locktopus: the lock on write a was lost: an administrator took it away; ending sh.\n',
    );
    assert.equal(watch.count('evicted'), i + 1);
  }
});

test('a connection that breaks costs nothing; a silent server costs the lock', async (t) => {
  const { server, watch, folder } = await setUp(t);
  const proxy = new CuttingProxy(new Random(1), server.address.port);
  proxy.isCutting = false;
  const url = `locktopus://127.0.0.1:${await proxy.listen(t)}/jobs`;
  const file = join(folder, 'running');
  writeFileSync(file, '');
  const kept = start(url, ['-w', 'a', ...shell('while [ -e "$1" ]; do sleep 0.01; done', file)]);
  await watch.until('acquired');
  proxy.cut();
  await watch.until('connected', 2);
  rmSync(file);
  assert.equal(await kept.code, 0, kept.said.err);

  const times = ['--abandon-timeout', '1s', '--grace', '200ms'];
  const isReady = ready();
  const script = 'READY; exec sleep 1000';
  const { code, said, changes } = start(url, [...times, '-w', 'a', ...shell(script)]);
  // On a busy machine the lock may be lost before the command runs, by the same rule.
  await Promise.race([isReady, changes.until(() => said.err !== '')]);
  proxy.silenced = 'both';
  await changes.until(() => said.err !== '');
  // Its goodbye need not wait.
  proxy.close();
  assert.equal(await code, 79);
  assert.match(said.err, /^locktopus: the server has not answered for so long .*; ending sh\.\n$/);
});

test('work stops so early that its grace is over when the lock may be lost', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const controller = new AbortController();
  let leftMs = 9000;
  const lock = { id: '7', signal: controller.signal } as HeldLock;
  Object.defineProperty(lock, 'leftMs', { get: () => leftMs });
  const losses: number[] = [];
  const { check, stop } = watchForLoss(lock, 5000, (_why, killInMs) => losses.push(killInMs));
  const pass = (ms: number): void => {
    leftMs -= ms;
    t.mock.timers.tick(ms);
  };
  pass(3999);
  leftMs = 9000; // An answer.
  for (let i = 0; i < 3; i++) pass(1000);
  pass(999);
  assert.deepEqual(losses, []);
  pass(1);
  assert.deepEqual(losses, [5000]);
  check();
  pass(9000);
  assert.deepEqual(losses, [5000], 'said once');
  stop();

  const lose = (code: string): number[] => {
    const lost = new AbortController();
    const killedIn: number[] = [];
    const other = { id: '8', leftMs: 9000, signal: lost.signal } as HeldLock;
    watchForLoss(other, 5000, (_why, killInMs) => killedIn.push(killInMs));
    lost.abort(new LockLostError(code, 'why', { id: '8', resources: [] }));
    return killedIn;
  };
  assert.deepEqual(lose('evicted'), [5000]);
  assert.deepEqual(lose('unconfirmed'), [0], 'the process was stopped or stalled: no time is left');
});

/** The program in a process of its own, whose output ends when its command and all children have. */
function program(t: TestContext, url: string, args: readonly string[]) {
  const child = spawn(process.execPath, [...LOCKTOPUS, 'run', ...args], {
    env: { ...process.env, LOCKTOPUS_URL: url },
    // As a shell does for a job.
    detached: true,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(() => child.kill('SIGKILL'));
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  const closed = once(child, 'close');
  return {
    child,
    async said(text: string): Promise<void> {
      while (!output.includes(text)) await once(child.stdout, 'data');
    },
    async ended(): Promise<{ status: unknown; output: string }> {
      await closed;
      return { status: child.exitCode ?? child.signalCode, output };
    },
  };
}

/** What the keyboard does: signals the whole job. */
function press(child: ChildProcess, name: NodeJS.Signals): void {
  process.kill(-(child.pid ?? assert.fail()), name);
}

test('Ctrl-C ends the wait, and later the command, once', async (t) => {
  const { url, watch, server } = await setUp(t);
  const script = 'trap "echo int; exit 5" INT; echo ready; while :; do sleep 0.01; done';
  const first = program(t, url, ['-w', 'a', ...shell(script)]);
  await first.said('ready');
  const second = program(t, url, ['-w', 'a', '--', 'echo', 'never']);
  await watch.until('enqueued');
  press(second.child, 'SIGINT');
  assert.deepEqual(await second.ended(), { status: 'SIGINT', output: '' });
  assert.equal(server.counts.enqueued, 0);
  press(first.child, 'SIGINT');
  assert.deepEqual(await first.ended(), { status: 5, output: 'ready\nint\n' });
});

test('a signal that the command causes as soon as it runs is passed on', async (t) => {
  const { url } = await setUp(t);
  const script = 'trap "echo USR1; exit 0" USR1; kill -USR1 $PPID; while :; do sleep 0.01; done';
  for (let i = 0; i < 5; i++) {
    const { ended } = program(t, url, ['-w', 'a', ...shell(script)]);
    assert.deepEqual(await ended(), { status: 0, output: 'USR1\n' });
  }
});

test('the first word of the command line is the verb', async (t) => {
  const { url } = await setUp(t);
  const verb = new Program(t, ['run', '-w', 'a', ...shell('echo $LOCKTOPUS_ID; exit 3')], {
    LOCKTOPUS_URL: url,
  });
  assert.equal(await verb.ended(), 3);
  assert.match(verb.stdout, /^\d+\n$/);
  const mistake = spawn(process.execPath, [...LOCKTOPUS, 'rnu']);
  const [said, [code]] = await Promise.all([text(mistake.stderr), once(mistake, 'close')]);
  assert.equal(said, 'locktopus: unknown command "rnu". Did you mean run? See locktopus --help.\n');
  assert.equal(code, 64);
});

/** A terminal of its own is made by script(1) of util-linux. */
const hasScript = /util-linux/.test(spawnSync('script', ['--version']).stdout?.toString() ?? '');

/**
 * What a command and its `run` say when their terminal is closed.
 *
 * @param redirections of the streams of `run`
 * @param signals what the shell then sends to `run`; of several, a later one may arrive first
 */
async function logOfClosing(
  t: TestContext,
  url: string,
  redirections: string,
  signals: readonly string[],
): Promise<string> {
  const log = join(temporaryFolder(t), 'log');
  execFileSync('mkfifo', [log]);
  const script =
    'exec > "$LOG"; trap "echo HUP; exit 0" HUP; trap "echo USR1; exit 0" USR1; echo ready; while :; do sleep 0.01; done';
  const run = `"${[process.execPath, ...LOCKTOPUS].join('" "')}" run -w a -- sh -c '${script}'`;
  const kills = signals.map((signal) => `kill -${signal} $!`).join('; ');
  const command = `exec 3> "$LOG"; trap '${kills}' HUP
    ${run} ${redirections} &
    wait $!; wait $!; echo "status $?" >&3`;
  const terminal = spawn('script', ['-qec', command, '/dev/null'], {
    env: { ...process.env, LOCKTOPUS_URL: url, LOG: log, SHELL: '/bin/sh' },
    stdio: 'ignore',
  });
  let text = '';
  for await (const chunk of createReadStream(log, 'utf8')) {
    text += chunk;
    if (text === 'ready\n') terminal.kill('SIGKILL');
  }
  return text;
}

test('the end of the terminal is for the command, unless nohup started it', {
  // The helper process of tsx would get the signal, too.
  skip: !hasScript || LOADER.length > 0,
}, async (t) => {
  const { url } = await setUp(t);
  assert.equal(await logOfClosing(t, url, '', ['HUP']), 'ready\nHUP\nstatus 0\n');
  // The streams as nohup leaves them.
  const redirections = '< /dev/null > /dev/null 2>&1';
  const log = await logOfClosing(t, url, redirections, ['HUP', 'USR1']);
  assert.equal(log, 'ready\nUSR1\nstatus 0\n');
});

test('a killed run takes the command and its children along', async (t) => {
  const { url } = await setUp(t);
  const script = '(trap "" TERM; echo ready; exec sleep 1000) & sleep 1000';
  const args = ['--grace', '50ms', '-w', 'a', ...shell(script)];
  const { child, said, ended } = program(t, url, args);
  await said('ready');
  press(child, 'SIGKILL');
  assert.deepEqual(await ended(), { status: 'SIGKILL', output: 'ready\n' });
});

/** Starts a command as `run` does, and kills itself as soon as the command is started. */
const KILLED_AT_START = `
  import childProcess from 'node:child_process';
  import { syncBuiltinESMExports } from 'node:module';
  const { spawn } = childProcess;
  let count = 0;
  childProcess.spawn = (...args) => {
    const child = spawn(...args);
    // The first is the watchdog.
    if (++count === 2) process.kill(process.pid, 'SIGKILL');
    return child;
  };
  syncBuiltinESMExports();
  const { startGroup } = await import(process.argv[1]);
  await startGroup(['sh', '-c', 'echo started; exec sleep 2'], process.env, 50);
`;

test('a command whose run is killed right after starting it does not run', async () => {
  const module = moduleFile('src/cli/process-group.ts');
  const args = [...LOADER, '--input-type=module', '-e', KILLED_AT_START, module];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  assert.equal(await text(child.stdout), '');
  assert.equal(child.signalCode ?? (await once(child, 'close'))[1], 'SIGKILL');
});

test('200 increments of a number in a file, by many commands at once: none is lost', async (t) => {
  const { url, folder } = await setUp(t);
  const file = join(folder, 'number');
  writeFileSync(file, '0\n');
  // Five by each: starting the processes is what costs.
  const script = 'for i in 1 2 3 4 5; do read n < "$1"; echo $((n + 1)) > "$1"; done';
  const args = ['-w', 'n', '--', 'sh', '-c', script, 'sh', file];
  const increment = async (i: number): Promise<unknown> => {
    // A few of them in processes of their own.
    if (i % 20 !== 0) return start(url, args).code;
    const { ended } = program(t, url, args);
    return (await ended()).status;
  };
  let begun = 0;
  const worker = async (): Promise<void> => {
    while (begun < 40) assert.equal(await increment(begun++), 0);
  };
  await Promise.all(Array.from({ length: 20 }, worker));
  assert.equal(readFileSync(file, 'utf8'), '200\n');
});
