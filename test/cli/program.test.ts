/** The program as a user runs it: its output, its exit codes, its signals. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { test } from 'node:test';
import { WebSocket } from 'ws';
import { OPTIONS, variableOf } from '../../src/cli/options.ts';
import {
  handshakeLine,
  listenFailure,
  statsLine,
  stoppedLine,
  stuckLine,
  wrongTokenLine,
} from '../../src/cli/texts.ts';
import { VERSION } from '../../src/version.ts';
import { LineClient, lock, write } from '../support/line-client.ts';
import { Program } from '../support/program.ts';

test('--version says the version, --help names every option and fits a terminal', async (t) => {
  const version = new Program(t, ['--version']);
  const help = new Program(t, ['--help']);
  assert.equal(await version.ended(), 0);
  assert.equal(version.stdout, `${VERSION}\n`);
  assert.equal(await help.ended(), 0);
  for (const { flag } of OPTIONS) assert.ok(help.stdout.includes(`--${flag}`), flag);
  const widest = Math.max(...help.stdout.split('\n').map((line) => line.length));
  assert.ok(widest <= 100, `a line of ${widest} characters`);
});

const skip = !existsSync('/dev/full');
test('output that can not be written is said on stderr', { skip }, async (t) => {
  const shell = 'exec >/dev/full';
  const program = new Program(t, ['completion', 'bash'], {}, [], { shell });
  assert.equal(await program.ended(), 70);
  assert.match(program.stderr, /^locktopus: cannot write the output: ENOSPC.*\.\n$/);
});

test('a mistake in the options is said on stderr and ends it with 2', async (t) => {
  const program = new Program(t, ['--port', 'x']);
  assert.equal(await program.ended(), 2);
  assert.equal(
    program.stderr,
    'locktopus: --port must be a whole number from 0 to 65535, not "x". See locktopus --help.\n',
  );
});

test('a port in use is said in a sentence and ends it with 1', async (t) => {
  const other = createServer().listen(0, '127.0.0.1');
  t.after(() => other.close());
  await once(other, 'listening');
  const address = other.address();
  if (address === null || typeof address === 'string') assert.fail();
  const program = new Program(t, [], { [variableOf('port')]: String(address.port) });
  assert.equal(await program.ended(), 1);
  assert.match(program.stderr, /is already in use\. .* choose another port with --port\.\n$/);
});

test('each failure to listen has a sentence that says what to do', () => {
  const said = (code: string) =>
    listenFailure(Object.assign(new Error('why'), { code }), { host: '::1', port: 80 });
  assert.match(
    said('EACCES'),
    /^no permission to listen on \[::1\]:80: ports below 1024 .* --port\.$/,
  );
  assert.match(said('EADDRNOTAVAIL'), /not an address of this machine\. .* --host/);
  assert.match(said('ENOTFOUND'), /^cannot resolve the host name .*\. .* --host/);
  assert.equal(said('EMFILE'), 'cannot listen on [::1]:80: why');
  const saidOfSocket = (code: string) => {
    const error = Object.assign(new Error('why'), { code, address: '/run/l.sock' });
    return listenFailure(error, { socket: { path: '/run/l.sock' } });
  };
  assert.match(saidOfSocket('EADDRINUSE'), /^why\. Stop that program, .* --socket\.$/);
  assert.match(saidOfSocket('EACCES'), /^no permission to create \S+l\.sock, .* --socket\.$/);
  for (const code of ['ENOENT', 'ENOTDIR']) {
    assert.match(
      saidOfSocket(code),
      /^the folder of \/run\/l\.sock does not exist\. .* --socket\.$/,
    );
  }
  assert.match(
    saidOfSocket('ENAMETOOLONG'),
    /is too long for a Unix socket: why\. .* shorter path with --socket\.$/,
  );
  assert.equal(saidOfSocket('EIO'), 'cannot listen on /run/l.sock: why');
});

test('a connection that could not be accepted is told with what to do', () => {
  const said = (code: string) => stuckLine(Object.assign(new Error('accept failed'), { code }));
  assert.match(said('EMFILE'), /\(accept failed\): raise the open-file limit .* are not affected$/);
  assert.match(said('ECONNABORTED'), /^could not accept a connection \(accept failed\); open/);
});

test('a guess is told with how many there were since the last such line', () => {
  assert.equal(wrongTokenLine('::1', 0), 'invalid token from ::1');
  const failed = handshakeLine('http request', '::1:7', 2);
  assert.match(failed, /^TLS handshake with ::1:7 failed \(http request\), and 2 more times /);
  assert.equal(handshakeLine('why', undefined, 0), 'TLS handshake failed (why)');
  assert.match(wrongTokenLine('::1', 7), /::1, and 7 more times since the last such line$/);
});

test('one of a thing is not told as several', () => {
  const counts = { connections: 1, namespaces: 1, sessions: 1, acquired: 1, enqueued: 1 };
  assert.equal(statsLine(counts), '1 connection, 1 namespace, 1 session, 1 lock held, 1 waiting');
  assert.match(stoppedLine({ cutOff: 2 }), /2 sessions that held locks were cut off$/);
  const kept = { sessions: 1, held: 1, waiting: 0 };
  assert.match(stoppedLine({ cutOff: 1, kept }), /locks of 1 session are kept: 1 held, 0 waiting$/);
  const nothing = { sessions: 0, held: 0, waiting: 0 };
  assert.equal(stoppedLine({ cutOff: 0, kept: nothing }), 'stopped');
  assert.match(wrongTokenLine('::1', 1), /, and 1 more time since the last such line$/);
});

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  test(`${signal} says goodbye to every client, and releases everything`, async (t) => {
    const options = ['--log-clients', '--log-locks', '--drain-timeout', '0'];
    const program = new Program(t, ['--port', '0', ...options]);
    const port = await program.port();
    const client = await LineClient.connect(t, port);
    const { id } = await client.ask(lock(write('a')));
    const websocket = new WebSocket(`ws://127.0.0.1:${port}/v1?namespace=shop`);
    await once(websocket, 'open');
    const closed = once(websocket, 'close');
    program.child.kill(signal);
    assert.match(JSON.stringify(await client.ended()), /shutting_down/);
    client.socket.end();
    assert.equal((await closed)[0], 1001);
    assert.equal(await program.ended(), 3);
    assert.match(program.stdout, /client 127\.0\.0\.1:\d+ connected \(lines\)\n/);
    assert.match(program.stdout, /client 127\.0\.0\.1:\d+ connected \(websocket\)\n/);
    assert.ok(program.stdout.includes(`acquired lock ${id} of 127.0.0.1:`));
    assert.match(
      program.stdout,
      /ended lock \d+ of \S+ \(session 1\) in "default": write \["a"\]; held for \d+ ms\n/,
    );
    assert.match(program.stdout, new RegExp(`${signal}: stopping .* 1 lock held, .*\n`));
    assert.match(program.stdout, /stopped; 1 session that held locks was cut off\n$/);
    assert.equal(program.stderr, '');
  });
}

test('a second signal ends it at once, however slow the clients are', async (t) => {
  const program = new Program(t, ['--port', '0', '--drain-timeout', '600000']);
  const client = await LineClient.connect(t, await program.port());
  client.socket.allowHalfOpen = true;
  await client.ask(lock(write('a')));
  program.child.kill('SIGTERM');
  await program.logged(/SIGTERM: stopping/);
  program.child.kill('SIGTERM');
  assert.equal(await program.ended(), 143);
});

test('the start line tells what was chosen, --stats-interval logs numbers', async (t) => {
  const program = new Program(t, ['-p', '0', '--stats-interval', '1', '--log-locks']);
  await program.logged(
    /listens on 127\.0\.0\.1:\d+ \(port 0, log-locks true, stats-interval 1\)\n/,
  );
  await program.logged(/Z 0 connections, 0 namespaces, 0 sessions, 0 locks held, 0 waiting\n/);
});
