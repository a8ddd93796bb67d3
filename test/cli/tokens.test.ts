/** Where the program's tokens come from, what is said of bad ones, and that none is ever shown. */
import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { readTokens } from '../../src/cli/tokens.ts';
import { LineClient, lock, write } from '../support/line-client.ts';
import { codeOf } from '../support/line-server.ts';
import { Program } from '../support/program.ts';
import { runHere } from '../support/run-here.ts';

const TOKEN = 'client-token-0001';
const OTHER = 'client-token-0002';
const ADMIN_TOKEN = 'admin-token-00001';

/** A file with that text that only its owner can read. */
function fileWith(t: TestContext, text: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'locktopus-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'tokens');
  writeFileSync(file, text, { mode: 0o600 });
  return file;
}

function readClients(file: string, value = '') {
  const client = { file, variable: 'LOCKTOPUS_TOKEN', value };
  const admin = { file: '', variable: 'LOCKTOPUS_ADMIN_TOKEN', value: '' };
  return readTokens({ client, admin });
}

test('a file has one token a line, with comments, blank lines and any line ends', (t) => {
  const file = fileWith(t, `# the first\n${TOKEN}\r\n\n  # the next\n  ${OTHER}  `);
  const expected = { tokens: { client: [TOKEN, OTHER], admin: [] }, warnings: [] };
  assert.deepEqual(readClients(file), expected);
});

test('one in the environment counts beside those of the file', (t) => {
  const read = readClients(fileWith(t, TOKEN), OTHER);
  assert.deepEqual(typeof read === 'object' && read.tokens.client, [TOKEN, OTHER]);
  assert.deepEqual(readClients('', ''), { tokens: { client: [], admin: [] }, warnings: [] });
});

test('a token that can not be one is said by its line, not repeated', (t) => {
  const short = fileWith(t, `${TOKEN}\n#\nsecret`);
  assert.match(String(readClients(short)), /tokens: line 3 must have 16 to 256 char/);
  const blank = fileWith(t, 'a token with some blanks');
  assert.match(
    String(readClients(blank)),
    /line 1 must consist of printable ASCII without blanks$/,
  );
  const value = readClients('', 'secret');
  assert.equal(value, 'the token in LOCKTOPUS_TOKEN must have 16 to 256 characters, not 6');
  for (const said of [readClients(short), value])
    assert.equal(String(said).includes('secret'), false);
});

test('a file without a token, or that is not there, does not open the server', (t) => {
  assert.match(String(readClients(fileWith(t, '# none\n\n'))), /contains no token$/);
  assert.match(String(readClients('/no/such/file')), /^cannot read the token file .*: ENOENT/);
  // A pipe that nobody writes to would hold up the whole server.
  assert.match(
    String(readClients('/dev/null')),
    /^cannot read the token file .*: it is not a regular file$/,
  );
});

test('a file that everybody can read earns a warning', (t) => {
  const file = fileWith(t, TOKEN);
  chmodSync(file, 0o644);
  const read = readClients(file);
  assert.deepEqual(typeof read === 'object' && read.warnings, [
    `warning: every user of this machine can read the token file ${file}. Run chmod 600 on it`,
  ]);
});

test('a bad token ends the program with 2 and a sentence', async (t) => {
  const inFile = await runHere(['--token-file', fileWith(t, 'secret')]);
  const byVariable = await runHere([], { LOCKTOPUS_ADMIN_TOKEN: 'secret' });
  const onTheLine = await runHere(['--token', 'secret-on-the-line']);
  for (const { code } of [inFile, byVariable, onTheLine]) assert.equal(code, 2);
  assert.match(inFile.said, /^locktopus: invalid token file .* line 1 must have .*\.\n$/);
  assert.match(byVariable.said, /^locktopus: the token in LOCKTOPUS_ADMIN_TOKEN must have /);
  assert.equal(onTheLine.said.includes('secret'), false);
});

test('SIGHUP reads the files again; a bad one keeps the tokens; none of them is ever shown', async (t) => {
  const file = fileWith(t, TOKEN);
  const program = new Program(
    t,
    ['--port', '0', '--token-file', file, '--log-clients', '--log-locks'],
    { LOCKTOPUS_ADMIN_TOKEN: ADMIN_TOKEN },
  );
  const port = await program.port();
  const greet = async (token: string) => {
    const client = await LineClient.connect(t, port);
    return { client, reply: await client.ask({ action: 'hello', token }) };
  };
  const { client, reply } = await greet(TOKEN);
  assert.equal(codeOf(reply), undefined);
  const { id } = await client.ask(lock(write('a')));

  writeFileSync(file, OTHER);
  program.child.kill('SIGHUP');
  await program.logged(/Z reloaded 1 token and 1 admin token\n/);
  assert.equal(codeOf((await greet(OTHER)).reply), undefined);
  assert.equal(codeOf(await client.ask({ action: 'ping' })), undefined, 'who has entered stays');

  const guesser = await LineClient.connect(t, port);
  guesser.send({ action: 'hello', token: TOKEN });
  await program.logged(/Z invalid token from 127\.0\.0\.1:\d+\n/);

  writeFileSync(file, 'secret');
  program.child.kill('SIGHUP');
  await program.logged(
    /invalid token file \S+tokens: line 1 must have .*; keeping the current tokens\n/,
  );
  const { client: admin } = await greet(ADMIN_TOKEN);
  assert.equal(codeOf(await admin.ask({ action: 'evict', sessionId: '9' })), 'no_such_session');
  await admin.ask({ action: 'evict', id });
  await client.next();
  await admin.ask({ action: 'evict', sessionId: '1' });
  const by = `Z 127\\.0\\.0\\.1:${admin.socket.localPort} evicted`;
  program.child.kill('SIGTERM');
  await program.ended();
  assert.match(
    program.stdout,
    new RegExp(`${by} lock ${id} of 127.* in "default": write \\["a"\\]\n`),
  );
  assert.match(program.stdout, new RegExp(`Z evicted lock ${id} of `));
  assert.match(program.stdout, new RegExp(`${by} session 1 of 127.* in "default", with 0 locks\n`));
  assert.equal(program.stdout.includes('warning'), false);
  const everything = program.stdout + program.stderr;
  for (const secret of [TOKEN, OTHER, ADMIN_TOKEN, 'secret']) {
    assert.equal(everything.includes(secret), false, secret);
  }
});

test('listening beyond loopback without a token is warned of at start, and only then', async (t) => {
  const open = new Program(t, ['--port', '0', '--host', '0.0.0.0']);
  const [warning] = await open.logged(/Z warning: .*\n/);
  assert.match(
    warning,
    /warning: any client that can reach 0\.0\.0\.0:\d+ may .* --token-file, or /,
  );
  const closed = new Program(t, ['--port', '0', '--host', '0.0.0.0'], { LOCKTOPUS_TOKEN: TOKEN });
  await closed.port();
  closed.child.kill('SIGTERM');
  await closed.ended();
  assert.equal(closed.stdout.includes('warning'), false);
});
