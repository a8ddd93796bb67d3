/** The program's doors, as a user opens them: TLS, Unix sockets, systemd, and too few descriptors. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, readdirSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { inheritedFds } from '../../src/cli/activation.ts';
import { makeCertificate, temporaryFolder } from '../support/certificates.ts';
import { ask } from '../support/http-client.ts';
import { LineClient, lock, write } from '../support/line-client.ts';
import { Program } from '../support/program.ts';
import { runHere } from '../support/run-here.ts';

test('SIGHUP reads certificate and key again, and cuts nobody off', async (t) => {
  const folder = temporaryFolder(t);
  const [first, second] = [makeCertificate(folder, 'first'), makeCertificate(folder, 'second')];
  const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
  copyFileSync(first.certFile, cert);
  copyFileSync(first.keyFile, key);
  const program = new Program(t, ['--port', '0', '--tls-cert', cert, '--tls-key', key]);
  const [, port] = await program.logged(/listens on 127\.0\.0\.1:(\d+) \(TLS\) \(/);
  const secure = async (ca: Buffer): Promise<LineClient> => {
    const socket = connectTls({ port: Number(port), host: 'localhost', ca });
    await once(socket, 'secureConnect');
    return LineClient.on(t, socket);
  };
  connect(Number(port), '127.0.0.1').resume().write('GET / HTTP/1.1\r\n\r\n');
  await program.logged(/Z TLS handshake with 127\.0\.0\.1:\d+ failed \(http request\)\n/);
  const before = await secure(first.cert);
  await before.ask(lock(write('a')));

  copyFileSync(second.certFile, cert);
  program.child.kill('SIGHUP');
  await program.logged(
    /cannot use the certificate in \S+ with the key in \S+: .*; keeping the current certificate\n/,
  );
  assert.equal((await (await secure(first.cert)).ask({ action: 'ping' })).action, 'ping');

  copyFileSync(second.keyFile, key);
  program.child.kill('SIGHUP');
  await program.logged(/reloaded the certificate and its key\n/);
  const after = await secure(second.cert);
  assert.equal((await after.ask(lock(write('a')))).state, 'enqueued');
  await before.ask({ action: 'release' });
  assert.equal((await after.next()).state, 'acquired');
});

test('a certificate that is not there, or does not fit, is said in a sentence', async (t) => {
  const folder = temporaryFolder(t);
  const { certFile, keyFile } = makeCertificate(folder, 'own');
  const { keyFile: other } = makeCertificate(folder, 'other');
  const noPem = join(folder, 'no-pem');
  writeFileSync(noPem, Buffer.from([0x30, 0x82, 0x01]));
  for (const [args, sentence] of [
    [['--tls-cert', certFile], /^locktopus: TLS needs both a certificate and its key: /],
    [['--tls-ca', certFile], /^locktopus: TLS needs both a certificate and its key: /],
    [
      ['--tls-cert', `${certFile}.x`, '--tls-key', keyFile],
      /^locktopus: --tls-cert: cannot read \S+: ENOENT/,
    ],
    [
      ['--tls-cert', certFile, '--tls-key', other],
      /^locktopus: cannot use the certificate in \S+ with the key in \S+: /,
    ],
    [
      ['--tls-cert', noPem, '--tls-key', keyFile],
      /^locktopus: --tls-cert: \S+no-pem has no certificate in PEM, .*-----BEGIN CERTIFICATE-----\.\n$/,
    ],
    [
      ['--tls-cert', certFile, '--tls-key', certFile],
      /^locktopus: --tls-key: \S+ has no private key in PEM, .*-----BEGIN PRIVATE KEY-----\.\n$/,
    ],
    [
      ['--tls-cert', certFile, '--tls-key', keyFile, '--tls-ca', noPem],
      /^locktopus: --tls-ca: \S+no-pem has no certificate in PEM/,
    ],
  ] as const) {
    const { code, said } = await runHere(['--port', '0', ...args]);
    assert.equal(code, 2, said);
    assert.match(said, sentence);
  }
});

test('a Unix socket can be all there is', async (t) => {
  const path = join(temporaryFolder(t), 'l.sock');
  const program = new Program(t, ['--no-tcp', '--socket', path, '--socket-mode', '600']);
  await program.logged(/listens on unix:\S+l\.sock \(/);
  const client = LineClient.on(t, connect(path));
  assert.equal((await client.ask(lock(write('a')))).state, 'acquired');
  const second = await runHere(['--no-tcp', '--socket', path]);
  assert.equal(second.code, 1);
  assert.match(
    second.said,
    /^locktopus: another program listens on \S+l\.sock\. Stop that program, .* --socket\.\n$/,
  );
  const third = await runHere(['--no-tcp']);
  assert.equal(third.code, 2);
  assert.match(third.said, /there is nowhere to listen on\. With --no-tcp, set .* --socket\.\n$/);
});

test('the Unix socket of a killed server goes to one of those that want it', async (t) => {
  const folder = temporaryFolder(t);
  const args = ['--no-tcp', '--socket', join(folder, 'l.sock')];
  const killed = new Program(t, args);
  await killed.logged(/listens on unix:/);
  killed.child.kill('SIGKILL');
  await killed.ended();
  assert.deepEqual(readdirSync(folder), ['l.sock']);
  const heirs = Array.from({ length: 3 }, () => new Program(t, args));
  const outcomes = await Promise.allSettled(heirs.map((heir) => heir.logged(/listens on unix:/)));
  const winners = heirs.filter((_, i) => outcomes[i]?.status === 'fulfilled');
  assert.equal(winners.length, 1);
  for (const heir of heirs) {
    if (winners.includes(heir)) continue;
    assert.equal(await heir.ended(), 1);
    assert.match(
      heir.stderr,
      /another (program listens|server is about to listen) on \S+l\.sock\. /,
    );
  }
  const client = LineClient.on(t, connect(join(folder, 'l.sock')));
  assert.equal((await client.ask({ action: 'ping' })).action, 'ping');
  assert.deepEqual(readdirSync(folder), ['l.sock']);
  winners[0]?.child.kill('SIGTERM');
  assert.equal(await winners[0]?.ended(), 0);
  assert.deepEqual(readdirSync(folder), []);
});

test('sockets that systemd has opened are listened on, and nothing else', async (t) => {
  const path = join(temporaryFolder(t), 'l.sock');
  const [tcp, unix] = [createServer().listen(0, '127.0.0.1'), createServer().listen(path)];
  t.after(() => tcp.close());
  t.after(() => unix.close());
  await Promise.all([once(tcp, 'listening'), once(unix, 'listening')]);
  const fds = [tcp, unix].map((listener) => (listener as unknown as Handle)._handle.fd);
  const program = new Program(t, [], { LISTEN_FDS: '2' }, [], {
    shell: 'export LISTEN_PID=$$',
    fds,
  });
  const [, port] = await program.logged(/listens on 127\.0\.0\.1:(\d+) and unix:fd 4 \(/);
  const address = tcp.address();
  assert.equal(Number(port), typeof address === 'object' ? address?.port : undefined);
  // This process would accept what comes, too. The file of the Unix socket goes with it.
  tcp.close();
  const client = await LineClient.connect(t, Number(port));
  assert.equal((await client.ask({ action: 'ping' })).action, 'ping');
});

test('what was handed over and is no socket is told by its descriptor', async (t) => {
  const program = new Program(t, [], { LISTEN_FDS: '1' }, [], {
    shell: 'export LISTEN_PID=$$; exec 3< /dev/null',
  });
  assert.equal(await program.ended(), 1);
  assert.match(
    program.stderr,
    /^locktopus: cannot listen on the inherited sockets \(descriptors 3\): .* LISTEN_PID\.\n$/,
  );
});

test('LISTEN_FDS counts sockets that were handed to this process, and must be a count', () => {
  const fdsOf = (fds?: string, pid = '7') =>
    inheritedFds({ LISTEN_PID: pid, ...(fds === undefined ? {} : { LISTEN_FDS: fds }) }, 7);
  assert.deepEqual(fdsOf('1'), [3]);
  assert.deepEqual(fdsOf('2'), [3, 4]);
  assert.equal(fdsOf('1000').length, 1000);
  assert.deepEqual(fdsOf(undefined), []);
  assert.deepEqual(inheritedFds({ LISTEN_FDS: '1' }, 7), []);
  for (const bad of ['', '0', '-1', '1.5', '1e2', ' 1', 'two', '1001', '4294967296', 'Infinity']) {
    assert.match(String(fdsOf(bad)), /^LISTEN_FDS must be a whole number from 1 to 1000, not "/);
    assert.deepEqual(fdsOf(bad, '8'), [], 'it was another process that got them');
  }
});

test('a LISTEN_FDS that is none is a mistake like one in the options', async (t) => {
  const program = new Program(t, [], { LISTEN_FDS: '1000000000' }, [], {
    shell: 'export LISTEN_PID=$$',
  });
  assert.equal(await program.ended(), 2);
  assert.match(program.stderr, /^locktopus: LISTEN_FDS must be .* of inherited sockets\.\n$/);
});

interface Handle {
  readonly _handle: { readonly fd: number };
}

for (const [options, isSaid] of [
  [[], false],
  [['--max-connections', '100000'], true],
] as const) {
  test(`room for 1,836 connections is ${isSaid ? '' : 'not '}said with ${options.join(' ') || 'no options'}`, async (t) => {
    const args = ['--port', '0', ...options];
    const program = new Program(t, args, {}, [], { shell: 'ulimit -n 2000' });
    const client = await LineClient.connect(t, await program.port());
    await client.ask({ action: 'bye' });
    client.socket.destroy();
    program.child.kill('SIGTERM');
    await program.ended();
    assert.equal(
      program.stdout.includes('Z the open-file limit allows 1836 connections, fewer'),
      isSaid,
    );
  });
}

test('no more connections are let in than files may be open, and the log says so', async (t) => {
  const program = new Program(t, ['--port', '0'], {}, [], { shell: 'ulimit -n 128' });
  const port = await program.port();
  await program.logged(
    /the open-file limit allows 64 connections, fewer than --max-connections 100000; raise it/,
  );
  const clients = await Promise.all(Array.from({ length: 64 }, () => LineClient.connect(t, port)));
  for (const client of clients) assert.equal((await client.ask({ action: 'ping' })).action, 'ping');
  for (let i = 0; i < 2; i++) {
    const one = await LineClient.connect(t, port);
    one.send({ action: 'ping' });
    assert.match(JSON.stringify(await one.ended()), /too_many_connections.*limit reached \(64\)/);
  }
  await program.logged(
    /connection limit reached \(64, --max-connections\); rejecting new connections\n/,
  );
  assert.equal(program.stdout.match(/rejecting/g)?.length, 1, 'not twice in ten seconds');
  clients[0]?.socket.destroy();
  for (;;) {
    const late = await LineClient.connect(t, port);
    late.send({ action: 'ping' });
    if ((await late.next()).action === 'ping') break; // else the first one is not closed yet
  }
});

test('the probes of a full server are answered within the files that may be open', async (t) => {
  const program = new Program(t, ['--port', '0'], {}, [], { shell: 'ulimit -n 400' });
  const port = await program.port();
  const clients = await Promise.all(Array.from({ length: 236 }, () => LineClient.connect(t, port)));
  for (const client of clients) assert.equal((await client.ask({ action: 'ping' })).action, 'ping');
  const silent = Array.from({ length: 150 }, () => connect(port, '127.0.0.1').resume());
  t.after(() => silent.forEach((socket) => void socket.destroy()));
  for (const socket of silent) socket.on('error', () => {});
  await Promise.all(silent.map((socket) => once(socket, 'connect')));
  assert.equal((await ask(port, '/livez')).status, 200);
  assert.doesNotMatch(program.stdout, /EMFILE|limit of open files \(/);
});

test('without descriptors left it serves those it has, and accepts again later', async (t) => {
  const program = new Program(t, ['--port', '0']);
  const port = await program.port();
  // Not before it runs: loading its modules takes many descriptors at a time.
  execFileSync('prlimit', ['--nofile=50:50', '--pid', String(program.child.pid)]);
  const first = await LineClient.connect(t, port);
  await first.ask(lock(write('a')));
  const sockets = Array.from({ length: 60 }, () => connect(port, '127.0.0.1'));
  t.after(() => sockets.forEach((socket) => void socket.destroy()));
  const closed = sockets.map((socket) => {
    socket.on('error', () => {});
    socket.resume();
    return once(socket, 'close');
  });
  await Promise.race(closed);
  assert.equal((await first.ask({ action: 'ping' })).action, 'ping');
  for (const socket of sockets) socket.destroy();
  await Promise.all(closed);
  for (;;) {
    const late = await LineClient.connect(t, port);
    late.send({ action: 'lock', resources: [write('b')] });
    const reply = await late.next().catch(() => undefined);
    if (reply === undefined) continue; // those before it are not closed yet
    assert.equal(reply.state, 'acquired');
    break;
  }
  assert.equal((await first.ask({ action: 'release' })).state, 'released');
});
