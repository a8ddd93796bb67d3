/** The contract of a store, for each of them; then what a directory adds to it. */
import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, fork, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { checkDirectory } from '../../src/store/check.ts';
import { claimDirectory } from '../../src/store/claim.ts';
import { DataDirectory } from '../../src/store/data-dir.ts';
import type { Directory } from '../../src/store/log.ts';
import { StoreError } from '../../src/store/store.ts';
import { temporaryFolder } from '../support/certificates.ts';
import { nodeArgs } from '../support/compiled.ts';
import { MemoryDisk, MemoryStore } from '../support/memory-store.ts';
import { Random } from '../support/random.ts';
import { begin, change, type StoreKind, testStore } from '../support/store-contract.ts';
import { StoreModel } from '../support/store-model.ts';

const KINDS: Readonly<Record<string, StoreKind>> = {
  'in memory': () => {
    const disk = new MemoryDisk();
    return () => new MemoryStore(disk);
  },
  'in a directory': (t) => {
    const path = join(temporaryFolder(t), 'data');
    return () => new DataDirectory(path);
  },
  'in a directory, written anew all the time': (t) => {
    const path = join(temporaryFolder(t), 'data');
    return () => new DataDirectory(path, { minRewriteBytes: 0, sliceLength: 100 });
  },
};

for (const [kind, make] of Object.entries(KINDS)) testStore(kind, make);

test('in memory: a commit ends when the test says; a crash loses it, or not', async () => {
  for (const isStored of [false, true]) {
    const disk = new MemoryDisk();
    const store = new MemoryStore(disk, { isHeld: true });
    const model = await begin(store, 1);
    const before = model.state();
    model.beginSession();
    const batch = model.seal();
    void store.commit(batch);
    assert.equal(store.underWay, batch);
    store.crash({ isStored });
    const next = new MemoryStore(disk);
    assert.deepEqual(await next.load(), isStored ? model.state() : before);
  }
});

/** Starts a process that uses `path`. Resolves with the number of the last batch that it found. */
async function startUser(t: TestContext, path: string): Promise<[ChildProcess, number]> {
  const [program = '', ...execArgv] = nodeArgs('test/support/store-user.ts').toReversed();
  const child = fork(program, [path], { execArgv: execArgv.toReversed() });
  t.after(() => child.kill('SIGKILL'));
  const [batch] = await once(child, 'message');
  return [child, batch];
}

test('a killed process frees the directory; the batches that it reported are there, in copies, too', async (t) => {
  const folder = temporaryFolder(t);
  const path = join(folder, 'data');
  const [child, first] = await startUser(t, path);
  assert.equal(first, 0);
  let stored = 0;
  child.on('message', (batch: number) => {
    stored = batch;
  });
  const until = async (batch: number): Promise<void> => {
    while (stored < batch) await once(child, 'message');
  };
  await until(20);

  await assert.rejects(
    new DataDirectory(path).load(),
    new RegExp(`${path} is in use by process ${child.pid}: stop`),
  );

  // Copies while batches are stored; the log is written anew several times meanwhile.
  for (let i = 0; i < 10; i++) {
    const before = stored;
    const copy = join(folder, `copy-${i}`);
    let stderr = '';
    do {
      rmSync(copy, { recursive: true, force: true });
      ({ stderr } = spawnSync('cp', ['-a', path, copy], { encoding: 'utf8' }));
      // A log that is replaced just then is left out by cp, which says so.
    } while (/^cp: skipping file '\S+\/locktopus\.log', as it was replaced/m.test(stderr));
    // The log in the making may get its name while it is copied.
    assert.match(stderr, /^(cp: cannot \w+ '\S+\/locktopus\.log\.new'.*\n)?$/);
    const store = new DataDirectory(copy);
    const { position } = await store.load();
    assert.ok(position.batch >= before, `${position.batch} in a copy begun after ${before}`);
    await store.start({ ...position, batch: position.batch + 1 }, () => [].values());
    await store.close();
    await until(stored + 20);
  }

  child.kill('SIGSTOP');
  await assert.rejects(
    new DataDirectory(path).load(),
    /in use by a process that does not answer: stop/,
  );
  child.kill('SIGKILL');
  await once(child, 'exit');
  const store = new DataDirectory(path);
  const { position } = await store.load();
  assert.ok(position.batch >= stored, `${position.batch}, but ${stored} was reported`);
  await store.close();
});

test('a directory and its files are for their owner alone; one that is there stays as it is', async (t) => {
  const path = join(temporaryFolder(t), 'data');
  const store = new DataDirectory(path);
  await begin(store, 1);
  const modeOf = (name: string): number => statSync(join(path, name)).mode & 0o777;
  assert.equal(modeOf('.'), 0o700);
  for (const name of readdirSync(path)) assert.equal(modeOf(name), 0o600, name);
  assert.ok(existsSync(join(path, 'locktopus.log')));
  await store.close();
  assert.deepEqual(readdirSync(path), ['locktopus.log']);
  chmodSync(path, 0o755);
  const next = new DataDirectory(path);
  await begin(next, 1);
  assert.equal(modeOf('.'), 0o755);
  await next.close();
  for (const mode of [0o720, 0o702, 0o2770, 0o1777]) {
    chmodSync(path, mode);
    const why = new RegExp(`has mode 0?${mode.toString(8)}: users other .* chmod go-w ${path}`);
    assert.match(await refusal(path), why);
    const { log } = await checkDirectory(path);
    assert.ok(log instanceof StoreError && why.test(log.message));
  }
});

test('a server whose claim was removed stops, and leaves the directory to the next one', async (t) => {
  const path = join(temporaryFolder(t), 'data');
  const lost = /claimed by this server: its owner.sock was removed/;
  const first = new DataDirectory(path, { claimCheckMs: 5 });
  let failed: (error: StoreError) => void = () => {};
  const failure = new Promise<StoreError>((resolve) => (failed = resolve));
  // The server's own timer is no reason for the process to stay.
  const stay = setInterval(() => {}, 1e6);
  t.after(() => clearInterval(stay));
  const model = StoreModel.from(await first.load(failed), new Random(1));
  await first.start(model.next(), model.live);
  await change(first, model, 3);
  const stored = model.state();
  rmSync(join(path, 'owner.sock'));
  assert.match((await failure).message, lost);
  await assert.rejects(first.commit(model.seal()), lost);

  // One that has not noticed it yet leaves the log of the other alone.
  const second = new DataDirectory(path, { claimCheckMs: 1e9, minRewriteBytes: 0 });
  const early = StoreModel.from(await second.load(), new Random(1));
  assert.deepEqual(early.state(), stored);
  await second.start(early.next(), early.live);
  rmSync(join(path, 'owner.sock'));
  const third = new DataDirectory(path);
  const last = await begin(third, 2);
  await assert.rejects(change(second, early, 100), lost);
  await change(third, last, 3);
  for (const store of [first, second]) await store.close();
  await assert.rejects(new DataDirectory(path).load(), /is in use by process/);
  await third.close();
  assert.deepEqual(readdirSync(path), ['locktopus.log']);
  const fourth = new DataDirectory(path);
  assert.deepEqual(await fourth.load(), last.state());
  await fourth.close();
});

test('a path longer than that of a socket may be', {
  skip: process.platform !== 'linux',
}, async (t) => {
  const path = join(temporaryFolder(t), 'd'.repeat(200));
  const store = new DataDirectory(path);
  const model = await begin(store, 1);
  await change(store, model, 3);
  await assert.rejects(new DataDirectory(path).load(), /is in use by process \d+/);
  await store.close();
});

test('what the remains of a server and of a copy leave in a directory is no obstacle', async (t) => {
  const path = join(temporaryFolder(t), 'data');
  const store = new DataDirectory(path);
  const model = await begin(store, 1);
  await change(store, model, 5);
  await store.close();
  // Longer than the new log will be.
  writeFileSync(join(path, 'locktopus.log.new'), 'locktopus-log 9\n'.repeat(10_000));
  writeFileSync(join(path, 'notes.txt'), 'made by an operator');
  // A dead socket, and the folder of a server that was starting.
  const dead = createServer().listen(join(path, 'dead.sock'));
  await once(dead, 'listening');
  execFileSync('cp', ['-a', join(path, 'dead.sock'), join(path, 'owner.sock')]);
  mkdirSync(join(path, 'owner.sock.lock'));
  execFileSync('cp', ['-a', join(path, 'dead.sock'), join(path, 'owner.sock.lock', 'abcd')]);
  dead.close();
  const next = new DataDirectory(path);
  assert.deepEqual(await next.load(), model.state());
  await next.start(model.next(), model.live);
  const { claimant, log } = await checkDirectory(path);
  assert.deepEqual(claimant, { pid: process.pid });
  assert.ok(log !== undefined && !(log instanceof StoreError));
  assert.equal(log.tornBytes, 0);
  assert.deepEqual(log.locks, model.state().locks);
  await next.close();
  assert.deepEqual(readdirSync(path), ['locktopus.log', 'notes.txt']);
});

/** How the loading of `path` is refused. */
async function refusal(path: string): Promise<string> {
  const store = new DataDirectory(path);
  const error = await store.load().then(
    () => undefined,
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof StoreError, String(error));
  await store.close();
  return error.message;
}

test('a directory that cannot be used: the message says what happened, and what to do', async (t) => {
  const folder = temporaryFolder(t);
  const file = join(folder, 'file');
  writeFileSync(file, '');
  assert.match(await refusal(file), new RegExp(`open the data directory ${file}: ENOTDIR.*choose`));
  const orphan = join(folder, 'no', 'data');
  assert.match(
    await refusal(orphan),
    new RegExp(`make the data directory ${orphan}.*create the directory`),
  );

  const path = join(folder, 'data');
  const store = new DataDirectory(path);
  await begin(store, 1);
  await store.close();
  const log = join(path, 'locktopus.log');
  const whole = readFileSync(log);
  const other = Buffer.concat([Buffer.from('locktopus-log 2\n'), whole.subarray(16)]);
  writeFileSync(log, other);
  assert.match(
    await refusal(path),
    /locktopus.log has version 2.* can read only version 1. Start the/,
  );
  assert.deepEqual(readFileSync(log), other);
  assert.deepEqual(readdirSync(path), ['locktopus.log']);

  writeFileSync(join(path, 'owner.sock'), '');
  assert.match(await refusal(path), /owner.sock is not a socket and must be removed/);
});

test('a directory that its user may not write to', {
  skip: process.getuid?.() === 0,
}, async (t) => {
  const path = join(temporaryFolder(t), 'data');
  mkdirSync(path, { mode: 0o500 });
  assert.match(await refusal(path), /permission denied\. Give the user of the server access/);
});

/** Mounts a small file system; false where that is not allowed. */
function mounts(path: string): boolean {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k,mode=700', 'none', path], {
      stdio: 'ignore',
    });
  } catch {
    return false;
  }
  return true;
}

test('a full disk: the commit is refused with words, and what was stored before is there', async (t) => {
  const path = join(temporaryFolder(t), 'small');
  mkdirSync(path);
  if (!mounts(path)) return t.skip('needs the permission to mount');
  try {
    await fillDisk(path);
  } finally {
    // Also after a failure that left a file open.
    execFileSync('umount', ['-l', path]);
  }
});

async function fillDisk(path: string): Promise<void> {
  const store = new DataDirectory(path);
  const model = await begin(store, 1);
  let stored = model.state();
  const fill = async (): Promise<void> => {
    for (;;) {
      await change(store, model, 1);
      stored = model.state();
    }
  };
  const full = /cannot write .*locktopus.log.*[Ff]ree some space/;
  await assert.rejects(fill(), (error) => error instanceof StoreError && full.test(error.message));
  await assert.rejects(store.commit(model.seal()), full);
  await store.close();

  // A start that has no place for a new log beside the old one changes nothing.
  const log = readFileSync(join(path, 'locktopus.log'));
  const next = new DataDirectory(path);
  assert.deepEqual(await next.load(), stored);
  const many = StoreModel.from(stored, new Random(1));
  for (let i = 0; i < 1000; i++) many.lock(many.beginSession());
  await assert.rejects(next.start(many.next(), many.live), full);
  await next.close();
  assert.deepEqual(readFileSync(join(path, 'locktopus.log')), log);
  assert.deepEqual(readdirSync(path), ['locktopus.log']);
}

test('why a directory can not be claimed is said without the private name of its socket', async (t) => {
  const path = join(temporaryFolder(t), 'data');
  mkdirSync(path, { mode: 0o700 });
  const claim = (directory: Directory) => {
    rmSync(path, { recursive: true });
    return claimDirectory(directory);
  };
  await assert.rejects(new DataDirectory(path, { claim }).load(), {
    message: `cannot claim the data directory ${path}: ENOENT: no such file or directory. Correct the path, or create the directory that is missing`,
  });
});
