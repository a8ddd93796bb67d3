/** The shell: what is typed, what is sent, and what it says of what comes back. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { after, before, type TestContext, test } from 'node:test';
import { WebSocket } from 'ws';
import { type Actions, complete, runLine } from '../../src/cli/shell/commands.ts';
import { appendHistory, historyFile, readHistory } from '../../src/cli/shell/history.ts';
import { Prompt } from '../../src/cli/shell/prompt.ts';
import { Questions } from '../../src/cli/shell/questions.ts';
import { connect, write } from '../../src/client/index.ts';
import { decode } from '../../src/operators/raw-messages.ts';
import { wordsOf } from '../../src/operators/words.ts';
import { Server } from '../../src/server.ts';
import { makeCertificate, temporaryFolder } from '../support/certificates.ts';
import { ownPort } from '../support/ports.ts';
import { Program } from '../support/program.ts';
import { startServer, until } from '../support/running-server.ts';
import { ShellSession } from '../support/shell-session.ts';

test('words are separated by blanks, unless they are quoted', () => {
  assert.deepEqual(wordsOf('  lock  w:a r:b '), ['lock', 'w:a', 'r:b']);
  assert.deepEqual(wordsOf('w:"my orders"/17 a\\ b ""'), ['w:my orders/17', 'a b', '']);
  assert.deepEqual(wordsOf('w:a\\/b\\\\ label=\\"x\\"'), ['w:a\\/b\\\\', 'label="x"']);
  assert.equal(wordsOf('lock "w:a'), 'a quote is not closed');
  assert.deepEqual(wordsOf(''), []);
});

/** Which action a line is, with its arguments; or what is wrong with it. */
function actionOf(line: string): unknown {
  let called: unknown;
  const actions = new Proxy({} as Actions, {
    get:
      (_target, name) =>
      async (...args: unknown[]) => {
        called = [name, ...args.filter((arg) => arg !== undefined)];
        return true;
      },
  });
  const result = runLine(line, actions);
  return typeof result === 'string' ? result : called;
}

test('each command is understood', () => {
  const w17 = { type: 'write', path: ['orders', '17'] };
  for (const [line, action] of [
    [
      'lock w:orders/17 r:prices',
      ['lock', { resources: [w17, { type: 'read', path: ['prices'] }] }],
    ],
    [
      'lock w:a\\/b/c r4:gpu w:/',
      [
        'lock',
        {
          resources: [
            { type: 'write', path: ['a/b', 'c'] },
            { type: 'read', path: ['gpu'], limit: 4 },
            { type: 'write', path: [] },
          ],
        },
      ],
    ],
    [
      'lock wait=10s hold=1m w:orders/17 label=x owner="job 9"',
      [
        'lock',
        {
          ...{ resources: [w17], waitMs: 10_000, holdMs: 60_000, label: 'x', owner: 'job 9' },
        },
      ],
    ],
    ['try w:orders/17', ['lock', { resources: [w17], waitMs: 0 }]],
    ['limit 4 reports', ['lock', { resources: [{ type: 'read', path: ['reports'], limit: 4 }] }]],
    ['release', ['release']],
    ['release #1', ['release', '#1']],
    ['extend 30s', ['extend', 30_000]],
    ['extend #1 never', ['extend', '#1', null]],
    ['locks', ['locks']],
    ['inspect', ['inspect', []]],
    ['inspect orders/17', ['inspect', ['orders', '17']]],
    ['why #2', ['why', '#2']],
    ['watch', ['watch', []]],
    ['unwatch orders', ['unwatch', ['orders']]],
    ['evict 12', ['evict', '12']],
    ['evict session 3', ['evictSession', '3']],
    ['namespaces', ['namespaces']],
    ['stats', ['stats']],
    ['ping', ['ping']],
    ['raw', ['raw']],
    ['raw off', ['raw', false]],
    [' {"action":"ping"}', ['json', '{"action":"ping"}']],
    ['help', ['help']],
    ['quit', ['bye']],
    ['lok w:a', 'unknown command "lok"; did you mean lock?'],
    ['dance', 'unknown command "dance"; help lists the commands'],
    ['lock', 'name what to lock: w:orders/17 to write, r:orders/17 to read'],
    ['lock orders', '"orders" has no type: write w:orders to write, or r:orders to read'],
    ['lock w:', 'the path is empty; write / for the root'],
    ['lock w:a//b', /^the path has an empty segment/],
    ['lock w:a wait=soon', /^wait= must be a duration/],
    ['lock w:a hold=0s', /^hold= must be at least/],
    ['limit reports 4', 'write limit 4 reports, for one of four'],
    ['extend', /^the time must be a duration/],
    ['evict', /^name a lock or a session/],
    ['ping now', 'unexpected word "now"'],
    ['lock "w:a', 'a quote is not closed'],
  ] as const) {
    const actual = actionOf(line);
    if (action instanceof RegExp) assert.match(String(actual), action);
    else assert.deepEqual(actual, action, line);
  }
});

test('verbs are completed, and locks by their handles', () => {
  assert.deepEqual(complete('ex', []), [['extend '], 'ex']);
  assert.deepEqual(complete('release #', ['#1', '#12']), [['#1', '#12'], '#']);
  assert.deepEqual(complete('lock #', ['#1']), [[], '#']);
});

const shared = new Server({ port: 0 });
before(() => shared.listen());
after(() => shared.close());

async function open(t: TestContext, isRaw = false): Promise<ShellSession> {
  const name = encodeURIComponent(t.name);
  const session = new ShellSession(`locktopus://127.0.0.1:${shared.address.port}/${name}`, {
    isRaw,
  });
  assert.equal(await session.rawSession.start(), undefined);
  t.after(() => session.rawSession.close());
  return session;
}

test('a session at the shell', async (t) => {
  const one = await open(t);
  const two = await open(t);
  assert.match(one.said(), /^connected to locktopus:\/\/ADDRESS, Locktopus [\d.]+; session \d+\n$/);
  two.said();
  assert.equal(one.shell.narrator.prompt, 'a session at the shell> ');
  assert.equal(await one.run('lock w:orders/17 r4:gpu label=checkout'), true);
  assert.equal(one.said(), '#1 acquired: w:orders/17 r4:gpu (lock ID)\n');
  assert.equal(await two.run('try w:orders/17'), false);
  assert.equal(two.said(), '#1 not acquired: it was not free: w:orders/17\n');
  const waiting = two.run('lock r:orders');
  await until(() => two.out !== '');
  assert.equal(two.said(), '#2 waits: r:orders (lock ID)\n');
  assert.equal(await two.run('why'), true);
  assert.match(two.said(), /^ID {2}waiting for TIME .*\n└─ ID .* below orders\nHeld up by ID, /);
  assert.equal(await one.run('inspect orders'), true);
  assert.match(one.said(), /^LOCK .*\nID +held .*checkout *\nID +waiting .* shell *\n$/);
  assert.equal(await one.run('extend 5m'), true);
  assert.equal(one.said(), '#1 is held for 5m from now\n');
  assert.equal(await one.run('release'), true);
  assert.equal(one.said(), '#1 released: w:orders/17 r4:gpu\n');
  assert.equal(await waiting, true);
  assert.equal(two.said(), '#2 acquired after TIME: r:orders (lock ID)\n');
  assert.equal(await two.run('locks'), true);
  assert.match(two.said(), /^LOCK +ID .*\n#2 +ID +held +TIME +r:orders\n$/);
  assert.equal(await two.run('stats'), true);
  assert.match(two.said(), /^NAMESPACE /);
  assert.equal(await two.run('namespaces'), true);
  assert.match(two.said(), /^NAMESPACE .*\n(.*\n)*a session at the shell +2 +1 +0\n/);
  assert.equal(await two.run('ping'), true);
  assert.equal(two.said(), 'TIME\n');
  assert.equal(await two.run('inspect prices'), true);
  assert.equal(two.said(), 'no locks at, above or below prices\n');
  assert.equal(await one.run('release'), false);
  assert.equal(one.said(), 'this session has no lock to release\n');
  assert.equal(await one.run('release #7'), false);
  assert.equal(one.said(), 'you have no lock #7; try locks\n');
  assert.equal(await one.run('why'), false);
  assert.equal(one.said(), 'none of your locks waits: name a lock, as in why #1\n');
  assert.equal(await one.run('# a comment'), true);
  await one.run('bye');
  assert.equal(one.left, 'bye');
});

test('a lock that is lost, and a wait that is given up', async (t) => {
  const one = await open(t);
  const two = await open(t);
  await one.run('lock w:a hold=1ms');
  await until(() => one.out.includes('lost'));
  assert.match(one.said(), /\n#1 lost: it was held as long as it may be: w:a\n$/);
  await one.run('lock w:a');
  const waiting = two.run('lock w:a');
  await until(() => two.out.includes('#1 waits'));
  await two.run('release');
  assert.equal(await waiting, false);
  assert.match(two.said(), /\n#1 waits no longer: w:a\n$/);
  const [{ id = '' } = {}] = one.shell.narrator.locks.all();
  assert.equal(await two.run(`evict ${id}`), true);
  assert.match(two.said(), /^evicted; locks taken away: 1\n$/);
  await until(() => one.out.includes('took it away'));
  assert.match(one.said(), /#2 lost: an administrator took it away: w:a\n$/);
});

test('watch tells what happens between what is typed', async (t) => {
  const one = await open(t);
  const two = await open(t);
  await one.run('watch orders');
  await two.run('lock w:orders/17');
  await until(() => one.out.includes('acquired'));
  assert.match(
    one.said(),
    /\nwatching orders; unwatch orders ends it\nacquired {3}ID {2}w:orders\/17 {2}session \d+ shell ADDRESS\n$/,
  );
  await one.run('unwatch orders');
  await two.run('release');
  await one.run('ping');
  assert.equal(one.said(), 'no longer watching orders\nTIME\n');
});

test('raw JSON goes out as it is, and its answer is shown as it came', async (t) => {
  const one = await open(t, true);
  const hello = JSON.stringify({ action: 'hello', namespace: t.name, label: 'shell' });
  const opening = one.said();
  assert.ok(opening.startsWith(`> ${hello}\n< {"action":"hello","session":"…",`), opening);
  const line = '{"action":"lock", "ref":"job-9", "resources":[{"type":"w","path":["a"]}]}';
  assert.equal(await one.run(line), true);
  assert.equal(
    one.said(),
    `> ${line}\n< {"action":"lock","ref":"job-9","id":"ID","state":"acquired"}\n#1 is lock ID\n`,
  );
  await one.run('raw off');
  one.said();
  const two = await open(t);
  two.said();
  // Without a ref, the grant of one and the answer to the next look alike.
  await two.run('{"action":"lock","resources":[{"type":"write","path":["a"]}]}');
  await one.run('release #1');
  assert.equal(
    await two.run('{"action":"lock","resources":[{"type":"write","path":["b"]}]}'),
    true,
  );
  await until(() => two.out.includes('after'));
  const said = two.said();
  assert.match(said, /#1 is lock ID\n/);
  assert.match(said, /#2 is lock ID\n/);
  assert.match(said, /#1 acquired after TIME: w:a \(lock ID\)\n/);
  for (const [text, code] of [
    ['{"action":"lock","resources":[{"type":"write","path":[7]}]}', 'bad_request'],
    ['{"action":"sing"}', 'unknown_action'],
    ['{nonsense', 'bad_json'],
    ['{"action":"hello"}', 'hello_not_first'],
  ]) {
    assert.equal(await two.run(text ?? ''), false);
    assert.match(two.said(), new RegExp(`^\\{.*"error":\\{"code":"${code}",.*\n$`));
  }
  assert.equal(await two.run('{"action":"help"}'), true);
  assert.match(two.said(), /"end":true\}\n$/);
  assert.equal(await two.run('{"action":"bye"}'), true);
  await until(() => two.left !== undefined);
});

test('an answer belongs to the oldest request; news and warnings belong to none', async () => {
  const questions = new Questions({
    ...{ isReady: () => true, send: () => {}, hasLock: (id) => id === '1' },
  });
  const take = (text: string): boolean => {
    const reply = decode(text);
    return reply instanceof Error ? assert.fail(reply) : questions.take(reply, text);
  };
  const shown: (string | undefined)[] = [];
  const results = ['{"action":"lock"}', '{"action":"watch","path":[]}', '{nonsense'].map((text) =>
    questions.json(text, ({ id }) => void shown.push(id)),
  );
  // Without a ref, the grant of an earlier lock looks like the answer.
  assert.equal(take('{"action":"lock","id":"1","state":"acquired"}'), false);
  assert.equal(take('{"error":{"code":"draining","message":"soon"}}'), false);
  assert.equal(take('{"action":"lock","ref":7,"id":"2","state":"acquired"}'), false);
  assert.equal(take('{"action":"lock","id":"2","state":"acquired"}'), true);
  assert.equal(take('{"action":"watch","event":"acquired","id":"2"}'), false);
  assert.equal(take('{"action":"watch","path":[]}'), true);
  assert.equal(take('{"error":{"code":"bad_json","message":"no"}}'), true);
  assert.deepEqual(await Promise.all(results), [true, true, false]);
  assert.deepEqual(shown, ['2', undefined, undefined]);
});

test('what others chose can not act on the terminal', async (t) => {
  const one = await open(t, true);
  const label = '\x1b[2J\u202e';
  const client = await connect(`locktopus://127.0.0.1:${shared.address.port}`, {
    namespace: t.name,
    label,
  });
  t.after(() => client.close());
  await one.run('watch');
  await client.lock(write('\x9b', '\n'), { label });
  await until(() => one.out.includes('"acquired"'));
  await one.run('inspect');
  for (const character of one.out.replaceAll('\n', '')) {
    assert.doesNotMatch(character, /[\p{Cc}\p{Cf}]/u);
  }
  assert.ok(one.out.includes('\\x1b[2J\\u202e'));
});

test('a broken connection is resumed, and what was lost is said', async (t) => {
  const port = await ownPort();
  const server = await startServer(t, { port });
  const one = new ShellSession(`locktopus://127.0.0.1:${port}/shop`);
  assert.equal(await one.rawSession.start(), undefined);
  t.after(() => one.rawSession.close());
  await one.run('lock w:a');
  one.said();
  const two = new ShellSession(`locktopus://127.0.0.1:${port}/shop`);
  assert.equal(await two.rawSession.start(), undefined);
  t.after(() => two.rawSession.close());
  await two.run('watch d');
  await two.run('lock r:c');
  const waiting = two.run('lock w:a');
  await until(() => two.out.includes('waits'));
  two.said();
  two.cut();
  await until(() => two.out.includes('watching again'));
  assert.equal(
    two.said(),
    `the connection to locktopus://ADDRESS was closed; reconnecting. The server keeps your locks for 1m
connected to locktopus://ADDRESS again; the session goes on
#1 still held: r:c (lock ID)
#2 still waits: w:a (lock ID)
watching again; missed what happened meanwhile
`,
  );
  await one.run('try w:d');
  await until(() => two.out.includes('acquired'));
  await one.run('release #2');
  one.said();
  await two.run('release #2');
  assert.equal(await waiting, false);
  await two.run('bye');
  await server.close();
  await until(() => one.out.includes('reconnecting'));
  assert.equal(
    one.said().replace(/\n.*(?=; reconnecting)/, '\nWHY'),
    'the session has ended: the server is stopping; all locks are released\n#1 lost: w:a\nWHY; reconnecting\n',
  );
  assert.equal(one.shell.narrator.prompt, '(not connected)> ');
  assert.equal(await one.run('lock w:a'), false);
  assert.equal(one.said(), 'not connected: try again\n');
  const successor = new Server({ port });
  await successor.listen();
  t.after(() => successor.close());
  await until(() => one.out.includes('connected to'));
  assert.equal(one.shell.narrator.prompt, 'shop> ');
  one.said();
  await one.run('lock w:b');
  assert.equal(one.said(), '#3 acquired: w:b (lock ID)\n');
});

test('over TLS, a Unix socket and WebSocket, with a token that is not shown', async (t) => {
  const folder = temporaryFolder(t);
  const { cert, key } = makeCertificate(folder, 'server');
  const path = join(folder, 's.sock');
  const token = 'token-of-a-client-1';
  const server = await startServer(t, {
    ...{ tokens: [token], tls: { cert, key }, socket: { path } },
  });
  const { port } = server.address;
  const tls = { ca: cert };
  const refused = new ShellSession(`locktopuss://localhost:${port}`, { tls });
  assert.equal((await refused.rawSession.start())?.code, 'unauthorized');
  class TrustingWebSocket extends WebSocket {
    constructor(url: string, protocols?: string[]) {
      super(url, protocols, tls);
    }
  }
  for (const [url, place] of [
    [`locktopuss://localhost:${port}`, 'in hello'],
    [`unix:${path}`, 'in hello'],
    [`wss://localhost:${port}`, 'in the handshake'],
  ] as const) {
    const options = { token, tls, WebSocket: TrustingWebSocket, isRaw: true };
    const session = new ShellSession(url, options);
    assert.equal(await session.rawSession.start(), undefined);
    assert.equal(session.out.includes('"token":"…"'), place === 'in hello');
    assert.ok(!session.out.includes(token));
    assert.equal(await session.run('lock w:a'), true);
    await session.rawSession.close();
    assert.match(session.taken(), /> \{"action":"bye"\}\n< \{"action":"bye"\}\n$/);
  }
});

test('the prompt is drawn anew below what is said while a line is typed', () => {
  const input = new PassThrough();
  const output = new PassThrough({ encoding: 'utf8' });
  const lines: string[] = [];
  const prompt = new Prompt(input, output, ['older'], {
    line: (text) => void lines.push(text),
    interrupted: () => void lines.push('interrupted'),
    closed: () => void lines.push('closed'),
    complete: (line) => complete(line, []),
  });
  prompt.text = 'shop> ';
  input.write('lock w:or');
  output.read();
  prompt.out('#1 acquired\n');
  assert.match(String(output.read()), /#1 acquired\n.*shop> lock w:or/s);
  input.write('ders\r');
  input.write('rel\t');
  input.write('\x03');
  input.write('\x03');
  input.write('\x1b[A\r');
  input.write('\x04');
  assert.deepEqual(lines, ['lock w:orders', 'interrupted', 'lock w:orders', 'closed']);
});

test('the history is a private file without secrets, newest first', (t) => {
  const folder = temporaryFolder(t);
  const file = historyFile({ XDG_STATE_HOME: folder, HOME: '/nowhere' });
  assert.equal(file, join(folder, 'locktopus', 'shell_history'));
  assert.equal(historyFile({ HOME: '/home/x' }), '/home/x/.local/state/locktopus/shell_history');
  assert.deepEqual(readHistory(file), []);
  for (const line of ['lock w:a', '', '{"action":"hello","token":"secret"}', 'bye']) {
    appendHistory(file, line);
  }
  assert.deepEqual(readHistory(file), ['bye', 'lock w:a']);
  assert.equal(statSync(file).mode & 0o777, 0o600);
  writeFileSync(file, 'x\n'.repeat(5000));
  assert.equal(readHistory(file).length, 1000);
  assert.equal(readFileSync(file, 'utf8').length, 2000);
  appendHistory(join(mkdtempSync(join(folder, 'a')), 'b\0c', 'd'), 'no place for it');
});

test('the program itself runs a script, and its exit code says whether all succeeded', async (t) => {
  const script = join(temporaryFolder(t), 'script');
  writeFileSync(script, 'lock w:a\ntry w:a\nrelease #1\nbye\nlock w:b\n');
  const url = `locktopus://127.0.0.1:${shared.address.port}/script`;
  const program = new Program(t, ['shell', '--url', url], {}, [], { shell: `exec 0<${script}` });
  assert.equal(await program.ended(), 1);
  assert.match(program.stdout, /\n#1 acquired: .*\n#2 not acquired: .*\n#1 released: w:a\n$/);
  await until(() => shared.counts.acquired === 0);
});
