/** Real servers that share a real etcd: hand-over, death, and waking up behind the times. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { after, type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { CellServer } from '../../src/cell-server.ts';
import { write } from '../../src/client/index.ts';
import type { EtcdError } from '../../src/store/etcd-error.ts';
import { base64 } from '../../src/store/etcd-json.ts';
import { ownerKey } from '../../src/store/etcd-store.ts';
import { connected, next } from '../client/support.ts';
import { temporaryFolder } from '../support/certificates.ts';
import { Etcd, etcdIsMissing } from '../support/etcd.ts';
import { ask } from '../support/http-client.ts';
import { LineClient, lock, write as writeTo } from '../support/line-client.ts';
import { CLOSED_PORTS, ownPort } from '../support/ports.ts';
import { Program } from '../support/program.ts';
import { documentOf } from '../support/readme.ts';
import { blocksOf } from '../support/transcript.ts';

const needsEtcd = { skip: etcdIsMissing };
const shared = etcdIsMissing === false ? await Etcd.start({ after }) : undefined;

let cells = 0;

/** As short as etcd has it. */
const TTL_S = 2;

/** Node's own handle of a socket. */
interface Handle {
  readonly _handle: { readonly fd: number };
}

interface Member {
  readonly program: Program;
  readonly port: number;
}

/** Starts servers of one cell, one after another; the first one serves. */
async function startCell(
  t: TestContext,
  count: number,
  etcd: Etcd | undefined = shared,
): Promise<readonly Member[]> {
  const args = [
    ...['--port', '0', '--etcd', `${etcd?.urls.map(({ origin }) => origin)}`],
    ...['--etcd-prefix', `/processes/${++cells}/`, '--lease-ttl', `${TTL_S}`],
  ];
  const members: Member[] = [];
  for (let i = 0; i < count; i++) {
    const program = new Program(t, args);
    const port = await program.port();
    await program.logged(i === 0 ? /this server serves now/ : /serves; this one waits/);
    members.push({ program, port });
  }
  return members;
}

const urlOf = (members: readonly Member[]): string =>
  `locktopus://${members.map(({ port }) => `127.0.0.1:${port}`).join(',')}/shop`;

/** A signal takes a moment to stop all threads; where there is no /proc, less is tested. */
async function isStopped(pid: number): Promise<void> {
  const tasks = `/proc/${pid}/task`;
  if (!existsSync(tasks)) return;
  const isRunning = (task: string): boolean =>
    !/\) T /.test(readFileSync(join(tasks, task, 'stat'), 'utf8'));
  while (readdirSync(tasks).some(isRunning)) await delay(5);
}

/** HAProxy as the README has it, in front of servers on these ports; undefined if it is missing. */
async function startHaproxy(t: TestContext, ports: readonly number[]): Promise<number | undefined> {
  const isInstalled = spawnSync('haproxy', ['-v']).status === 0;
  if (!isInstalled && process.env.CI === undefined) return undefined;
  const { text } = blocksOf(documentOf('README.md'), 'haproxy')[0] ?? assert.fail('no block');
  const port = await ownPort();
  const [a, b] = ports;
  const config = text
    .replace('bind :9009', `bind 127.0.0.1:${port}`)
    .replace('10.0.1.1:9009', `127.0.0.1:${a}`)
    .replace('10.0.1.2:9009', `127.0.0.1:${b}`);
  const file = join(temporaryFolder(t), 'haproxy.cfg');
  writeFileSync(file, config);
  const child = spawn('haproxy', ['-db', '-f', file], { stdio: 'ignore' });
  t.after(async () => {
    child.kill('SIGKILL');
    await once(child, 'close');
  });
  // Before its first checks it leads connections to both.
  for (let inRow = 0; inRow < 2 * ports.length; ) {
    const ready = await ask(port, '/readyz').catch(() => undefined);
    inRow = ready?.status === 200 ? inRow + 1 : 0;
    assert.equal(child.exitCode, null);
  }
  return port;
}

test('one of two servers serves, the other one says which', needsEtcd, async (t) => {
  const [owner, waiting] = await startCell(t, 2);
  assert.ok(owner !== undefined && waiting !== undefined);
  const ownerAddress = `127.0.0.1:${owner.port}`;
  assert.equal((await ask(owner.port, '/readyz')).status, 200);
  const ready = await ask(waiting.port, '/readyz');
  assert.equal(ready.status, 503);
  assert.match(ready.body, new RegExp(ownerAddress));
  assert.equal((await ask(waiting.port, '/livez')).status, 200);
  assert.match((await ask(waiting.port, '/metrics')).body, /^locktopus_owner 0$/m);
  assert.match((await ask(owner.port, '/metrics')).body, /^locktopus_owner 1$/m);
  const v1 = await ask(waiting.port, '/v1?namespace=a');
  assert.equal(v1.status, 503);
  assert.equal(v1.headers['retry-after'], '1');
  assert.match(v1.body, new RegExp(ownerAddress));

  const lines = await LineClient.connect(t, waiting.port);
  lines.send(lock(writeTo('a')));
  const [refusal] = (await lines.ended()) as { error: { code: string; owner: string } }[];
  assert.equal(refusal?.error.code, 'not_owner');
  assert.equal(refusal?.error.owner, ownerAddress);

  // A client with the addresses of both finds the one that serves.
  const client = await connected(t, urlOf([waiting, owner]));
  const held = await client.lock(write('a'));
  assert.equal(held.isHeld, true);

  // It is told to stop: the other one goes on, and no lock is lost.
  const resumed = next(client, 'resumed');
  const startMs = performance.now();
  owner.program.child.kill('SIGTERM');
  await resumed;
  t.diagnostic(`hand-over: resumed after ${Math.round(performance.now() - startMs)} ms`);
  assert.equal(held.isHeld, true);
  await waiting.program.logged(/this server serves now: recovered 1 session and 1 lock/);
  assert.equal(await owner.program.ended(), 0);
  await held.release();
});

test(
  'an owner that is killed: grants go on with its locks, behind HAProxy as well',
  needsEtcd,
  async (t) => {
    const [owner, waiting] = await startCell(t, 2);
    assert.ok(owner !== undefined && waiting !== undefined);
    const url = urlOf([owner, waiting]);
    const proxyPort = await startHaproxy(t, [owner.port, waiting.port]);
    const holder = await connected(t, url);
    const waiter = await connected(
      t,
      proxyPort === undefined ? url : `locktopus://127.0.0.1:${proxyPort}/shop`,
    );
    const held = await holder.lock(write('a'));
    let isGranted = false;
    const granted = waiter.lock(write('a')).then((lock) => {
      isGranted = true;
      return lock;
    });
    await waiter.ping();
    const resumed = Promise.all([next(holder, 'resumed'), next(waiter, 'resumed')]);
    const startMs = performance.now();
    owner.program.child.kill('SIGKILL');
    await resumed;
    t.diagnostic(
      `killed: both clients resumed after ${Math.round(performance.now() - startMs)} ms`,
    );
    assert.equal(held.isHeld, true);
    assert.equal(isGranted, false);
    await held.release();
    const lock = await granted;
    assert.ok(BigInt(lock.id) > BigInt(held.id));
    await lock.release();
  },
);

test(
  'an owner that is stopped past its lease and woken says nothing, and waits',
  needsEtcd,
  async (t) => {
    const [owner, waiting] = await startCell(t, 2);
    assert.ok(owner !== undefined && waiting !== undefined);
    const { child } = owner.program;
    const client = await LineClient.connect(t, owner.port);
    await client.ask({ action: 'hello', namespace: 'shop' });
    await client.ask({ ...lock(writeTo('a')), ref: 1 });
    child.kill('SIGSTOP');
    await isStopped(child.pid ?? 0);
    // Until then it may speak: its proof is fresh, whichever server has the lease.
    const isLate = delay(TTL_S * 1000);
    // What it would answer from memory is in its socket when it wakes.
    client.send({ ...lock(writeTo('a')), ref: 1 }, { action: 'ping' });
    await waiting.program.logged(/this server serves now: recovered 1 session and 1 lock/);
    await isLate;
    child.kill('SIGCONT');
    assert.deepEqual(await client.ended(), []);
    await owner.program.logged(/has stopped serving|does not own/);
    await owner.program.logged(/serves; this one waits/);
    // It takes its turn again.
    waiting.program.child.kill('SIGTERM');
    await owner.program.logged(/serves now[\s\S]*serves now: recovered 1 session and 1 lock/);
    assert.equal((await ask(owner.port, '/readyz')).status, 200);
  },
);

test(
  'etcd is away for longer than the lease: clients are cut, and have their locks afterwards',
  needsEtcd,
  async (t) => {
    const members = await startCell(t, 2);
    const client = await connected(t, urlOf(members));
    const held = await client.lock(write('a'));
    const other = await connected(t, urlOf(members));
    let isGranted = false;
    const granted = other.lock(write('a')).then((lock) => {
      isGranted = true;
      return lock;
    });
    await other.ping();
    const etcd = shared?.children[0];
    const cut = Promise.all([next(client, 'disconnected'), next(other, 'disconnected')]);
    const resumed = Promise.all([next(client, 'resumed'), next(other, 'resumed')]);
    etcd?.kill('SIGSTOP');
    t.after(() => void etcd?.kill('SIGCONT'));
    await cut;
    assert.equal(held.isHeld, true, 'within the abandon timeout');
    await members[0]?.program.logged(/all connections are cut until it does/);
    etcd?.kill('SIGCONT');
    await resumed;
    assert.equal(held.isHeld, true);
    assert.equal(isGranted, false);
    await held.release();
    await (await granted).release();
  },
);

test(
  'a program that embeds servers: they take turns, and listen where they did',
  needsEtcd,
  async (t) => {
    const events: string[] = [];
    const heard = async (event: string): Promise<void> => {
      while (!events.includes(event)) await delay(5);
      events.length = 0;
    };
    const prefix = `/processes/${++cells}/`;
    const start = async (name: string, etcd = shared?.urls ?? []): Promise<CellServer> => {
      const cell = new CellServer({
        ...{ prefix, leaseTtlS: TTL_S, advertise: `${name}:9009`, etcd: { members: etcd } },
        serverOptions: () => ({ port: 0 }),
        observer: {
          waiting: (owner) => void events.push(`${name} waits for ${owner}`),
          serving: ({ locks }) => void events.push(`${name} serves ${locks}`),
          lost: () => void events.push(`${name} lost`),
          failed: ({ message }) => void events.push(`${name} failed: ${message}`),
        },
      });
      t.after(() => cell.close());
      await cell.listen();
      return cell;
    };
    const etcd = { members: shared?.urls ?? [] };
    for (const wrong of [
      { prefix: '/a' },
      { leaseTtlS: 1 },
      { leaseTtlS: 2.5 },
      { etcd: { members: [] } },
    ]) {
      assert.throws(
        () => new CellServer({ etcd, serverOptions: () => ({}), ...wrong }),
        RangeError,
      );
    }
    const a = await start('a');
    await heard('a serves 0');
    const b = await start('b');
    await heard('b waits for a:9009');
    const [portA, portB] = [a, b].map(({ server }) => server.address.port);
    const client = await connected(t, `locktopus://127.0.0.1:${portA},127.0.0.1:${portB}`);
    assert.equal(client.server, 'a:9009');
    const held = await client.lock(write('a'));

    // The lease of the owner is gone: it closes its server, and makes another one on the same port.
    const resumed = next(client, 'resumed');
    const gateway = await shared?.gateway(t);
    await gateway?.call('/v3/kv/deleterange', { key: base64(ownerKey(prefix)) });
    await heard('b serves 1');
    await resumed;
    assert.equal(client.server, 'b:9009');
    assert.equal(held.isHeld, true);
    while (a.server.recovered !== undefined) await delay(5);
    while ((await ask(portA ?? 0, '/readyz').catch(() => undefined))?.status !== 503)
      await delay(5);
    const again = next(client, 'resumed');
    await b.close();
    await again;
    assert.equal(client.server, 'a:9009');
    await held.release();
    await client.close();

    const wrong = new URL(`http://127.0.0.1:${CLOSED_PORTS[0]}`);
    const alone = await start('alone', [wrong]);
    assert.equal((await ask(alone.server.address.port, '/livez')).status, 200);
    await alone.close();
  },
);

test(
  'an owner on inherited sockets that is replaced ends, to be started again',
  needsEtcd,
  async (t) => {
    const listener = createServer().listen(0, '127.0.0.1');
    await once(listener, 'listening');
    t.after(() => listener.close());
    const prefix = `/processes/${++cells}/`;
    const start = (): Program =>
      new Program(
        t,
        [
          '--etcd',
          `${shared?.urls[0]?.origin}`,
          '--etcd-prefix',
          prefix,
          '--lease-ttl',
          `${TTL_S}`,
        ],
        { LISTEN_FDS: '1' },
        [],
        { shell: 'export LISTEN_PID=$$', fds: [(listener as unknown as Handle)._handle.fd] },
      );
    const owner = start();
    await owner.logged(/this server serves now/);
    const gateway = await shared?.gateway(t);
    await gateway?.call('/v3/kv/deleterange', { key: base64(ownerKey(prefix)) });
    assert.equal(await owner.ended(), 5);
    assert.match(
      owner.stderr,
      /Z locktopus: this server has stopped serving: .*; it cannot listen on its inherited sockets again, so it must be started anew to wait for its turn\.\n$/,
    );
    const restarted = start();
    await restarted.logged(/this server serves now/);
    // One that waits listens on them, too.
    const waiting = start();
    await waiting.logged(/a server with the address of this one, \S+, owns the locks/);
  },
);

test(
  'etcd is over its quota: clients wait, the log says why, and it goes on when there is room',
  needsEtcd,
  async (t) => {
    const etcd = await Etcd.start(t, { args: ['--quota-backend-bytes', `${1024 * 1024}`] });
    const [owner] = await startCell(t, 1, etcd);
    assert.ok(owner !== undefined);
    const client = await connected(t, urlOf([owner]));
    const held = await client.lock(write('a'));
    const gateway = await etcd.gateway(t);
    const key = base64('/other');
    const isFull = ({ failure }: EtcdError): boolean => failure === 'full';
    const value = Buffer.alloc(300_000).toString('base64');
    const put = () => gateway.call('/v3/kv/put', { key, value });
    for (let full = false; !full; ) full = await put().then(() => false, isFull);

    let isGranted = false;
    const granted = client.lock(write('b')).then((lock) => {
      isGranted = true;
      return lock;
    });
    await owner.program.logged(/etcd is over its quota .*every client waits. Compact/);
    let ready = await ask(owner.port, '/readyz');
    while (ready.status !== 503) ready = await ask(owner.port, '/readyz');
    assert.match(ready.body, /store is slow/);
    assert.match((await ask(owner.port, '/metrics')).body, /^locktopus_owner 1$/m);
    assert.deepEqual([isGranted, held.isHeld], [false, true]);

    // As the log says.
    const { header } = await gateway.call('/v3/kv/deleterange', { key });
    const { revision } = header as { revision: string };
    await gateway.call('/v3/kv/compaction', { revision, physical: true });
    await gateway.call('/v3/maintenance/defragment', {});
    const { alarms } = await gateway.call('/v3/maintenance/alarm', { action: 'GET' });
    for (const alarm of alarms as object[]) {
      await gateway.call('/v3/maintenance/alarm', { ...alarm, action: 'DEACTIVATE' });
    }
    await (await granted).release();
    await held.release();
  },
);
