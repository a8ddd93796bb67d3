/** The program with a data directory: what survives, what is refused, and how it says so. */
import assert from 'node:assert/strict';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { variableOf } from '../../src/cli/options.ts';
import { ExitCode } from '../../src/cli/serve.ts';
import { runVerb, VerbExit } from '../../src/cli/verb.ts';
import { STORE } from '../../src/cli/verbs/store.ts';
import { checkDirectory } from '../../src/store/check.ts';
import { LineClient, lock, write } from '../support/line-client.ts';
import { Program } from '../support/program.ts';
import { runHere } from '../support/run-here.ts';

/** A path for a data directory, which does not exist yet. */
function newPath(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'locktopus-data-dir-'));
  t.after(() => rmSync(folder, { recursive: true }));
  return join(folder, 'data');
}

/** Runs `locktopus store check` in this process. */
async function storeCheck(...args: readonly string[]) {
  const said = { out: '', err: '' };
  const code = await runVerb('store', STORE, ['check', ...args], {
    ...{ env: {}, isTerminal: false },
    signals: { on: () => {}, off: () => {}, raise: () => {} },
    out: (text) => {
      said.out += text;
    },
    err: (text) => {
      said.err += text;
    },
  });
  return { code, ...said };
}

/** What a server in this process says that can't start on `path`. */
async function refusal(path: string): Promise<string> {
  const { code, said } = await runHere(['--port', '0', '--data-dir', path]);
  assert.equal(code, ExitCode.storeUnusable, said);
  return said;
}

const logOf = (path: string): string => join(path, 'locktopus.log');

/** A directory with two batches behind the snapshot, of a server that was killed. */
async function killedServer(t: TestContext) {
  const path = newPath(t);
  const first = new Program(t, ['--port', '0'], { [variableOf('data-dir')]: path });
  const port = await first.port();
  await first.logged(/recovered 0 sessions and 0 locks from .* \(\d+ bytes\) in \d+ ms\n/);
  const [holder, waiter] = [await LineClient.connect(t, port), await LineClient.connect(t, port)];
  const { session } = await holder.ask({ action: 'hello', namespace: 'shop' });
  const { session: other } = await waiter.ask({ action: 'hello', namespace: 'shop' });
  const held = await holder.ask({ ...lock(write('x')), ref: 1 });
  const waiting = await waiter.ask({ ...lock(write('x')), ref: 2 });
  return { path, first, port, session, other, held, waiting };
}

test('kill -9: the next server has every lock and place; one at a time has the directory', async (t) => {
  const { path, first, session, other, held, waiting } = await killedServer(t);
  assert.equal(statSync(path).mode & 0o777, 0o700);
  assert.equal(statSync(logOf(path)).mode & 0o777, 0o600);

  assert.match(await refusal(path), new RegExp(`in use by process ${first.child.pid}: stop it`));
  const used = await storeCheck(path);
  assert.equal(used.code, 0);
  assert.match(used.out, new RegExp(`: in use by process ${first.child.pid}\n`));
  assert.match(
    used.out,
    /^sessions: 2, of which 2 can be resumed\nlocks: 2, of which 1 was held when stored$/m,
  );

  first.child.kill('SIGKILL');
  assert.equal(await first.ended(), 'SIGKILL');
  const json = JSON.parse((await storeCheck('--json', path)).out);
  assert.deepEqual([json.sessions, json.locks, json.held, json.inUse], [2, 2, 1, undefined]);

  const second = new Program(t, ['--port', '0', '--data-dir', path]);
  const port = await second.port();
  await second.logged(/recovered 2 sessions and 2 locks from /);
  const [a, b] = [await LineClient.connect(t, port), await LineClient.connect(t, port)];
  a.send({ action: 'hello', session });
  assert.equal((await a.next()).resumed, true);
  assert.deepEqual(await a.next(), held);
  b.send({ action: 'hello', session: other });
  assert.equal((await b.next()).resumed, true);
  assert.deepEqual(await b.next(), waiting);
  await a.ask({ action: 'release', id: held.id });
  assert.deepEqual(await b.next(), { ...waiting, state: 'acquired' });

  // It does not wait for the holder. A waiter that can't be resumed is not kept.
  await a.ask({ ...lock(write('x')), ref: 3 });
  const nameless = await LineClient.connect(t, port);
  await nameless.ask(lock(write('x')));
  await nameless.ask(lock(write('x')));
  second.child.kill('SIGTERM');
  for (const client of [a, b, nameless]) {
    assert.match(JSON.stringify(await client.ended()), /^\[\{"error":\{"code":"restarting"/);
    client.socket.end();
  }
  assert.equal(await second.ended(), 0);
  assert.match(second.stdout, /Z stopped; the locks of 3 sessions are kept: 2 held, 1 waiting\n$/);
});

test('what can not be used is refused with the exit code 4 and left as it is', async (t) => {
  const { path, first } = await killedServer(t);
  first.child.kill('SIGKILL');
  await first.ended();
  const whole = readFileSync(logOf(path));
  const damaged = Buffer.from(whole);
  damaged.write('SHOP', damaged.indexOf('shop'));
  const cases: [name: string, bytes: Buffer | string, said: RegExp][] = [
    [
      'a broken batch',
      damaged,
      / is broken at byte \d+ of \d+: .*\. Move the file away to start without/,
    ],
    ['another version', `locktopus-log 2\n${whole}`, / has version 2, .*\. Start the version of/],
    ['another file', 'notes\n', / is broken at byte 0 of 6: it is not a Locktopus log\./],
  ];
  for (const [name, bytes, said] of cases) {
    writeFileSync(logOf(path), bytes);
    assert.match(await refusal(path), said, name);
    const checked = await storeCheck(path);
    assert.equal(checked.code, VerbExit.broken, name);
    assert.match(checked.out, said, name);
    assert.deepEqual(readFileSync(logOf(path)), Buffer.from(bytes), name);
    assert.match(JSON.parse((await storeCheck('--json', path)).out).error, said, name);
  }
  // A server starts without what is moved away.
  rmSync(logOf(path));
  assert.match((await storeCheck(path)).out, /\nIt has no log: no locks are stored\.\n$/);
});

test('a path that can not be a data directory is refused in a sentence', async (t) => {
  const path = newPath(t);
  writeFileSync(path, 'a file');
  assert.match(
    await refusal(path),
    /^locktopus: .* a file where a directory is needed: choose .*\.\n$/,
  );
  assert.equal((await storeCheck(path)).code, VerbExit.broken);
  const missing = join(`${path}-missing`, 'data');
  assert.match(
    await refusal(missing),
    /^locktopus: cannot make the data directory .*ENOENT.*\.\n$/,
  );
  const checked = await storeCheck(missing);
  assert.equal(checked.code, VerbExit.broken);
  assert.match(checked.err, /^locktopus: cannot open the data directory .*\.\n$/);
  const unnamed = await storeCheck();
  assert.equal(unnamed.code, VerbExit.usage);
  assert.match(unnamed.err, /: name a data directory to check: locktopus store check PATH\./);
  assert.equal((await storeCheck(path, path)).code, VerbExit.usage);
});

test('a directory without permission is refused in a sentence', {
  skip: process.getuid?.() === 0 && 'root may do everything',
}, async (t) => {
  const path = newPath(t);
  const folder = join(path, '..');
  chmodSync(folder, 0o500);
  const said = /: EACCES: permission denied\. Give the user of the server access, or choose /;
  assert.match(await refusal(path).finally(() => chmodSync(folder, 0o700)), said);
  mkdirSync(path, { mode: 0o500 });
  // The claim is made under another name of the directory, which must not show.
  assert.match(await refusal(path), said);
});

test('a write that fails ends it at once with 5, and nothing that was said is lost', async (t) => {
  const path = newPath(t);
  const options = ['--port', '0', '--data-dir', path];
  const program = new Program(t, options, {}, ['test/support/failing-disk.ts']);
  const client = await LineClient.connect(t, await program.port());
  const { id } = await client.ask(lock(write('a')));
  client.send({ ...lock(write('b')), label: 'overfull' }, { action: 'ping' });
  assert.deepEqual(await client.ended(), [], 'not a word after the failure');
  assert.equal(await program.ended(), ExitCode.storeFailed);
  assert.match(
    program.stderr,
    /^\S+Z cannot write \S+: \d+ of \d+ bytes were written\. The disk is probably full: .*\. The server ends at once; .*\n$/,
  );
  assert.equal(program.stderr.trimEnd().split('\n').length, 1);
  const { log } = await checkDirectory(path);
  if (log === undefined || log instanceof Error) assert.fail(log?.message);
  assert.deepEqual(
    log.locks.map((one) => String(one.id)),
    [id],
  );
  assert.ok(log.tornBytes > 0);
  const checked = await storeCheck(path);
  assert.match(checked.out, /No client has heard of it; the next start leaves it out$/m);

  const next = new Program(t, options);
  await next.port();
  await next.logged(/recovered 1 session and 1 lock from /);
});
