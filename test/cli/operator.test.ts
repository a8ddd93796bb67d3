/** The operator's verbs: what they write, and against a real server what they say of it. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, type TestContext, test } from 'node:test';
import { stripVTControlCharacters } from 'node:util';
import { writeChain } from '../../src/cli/chain-text.ts';
import { report } from '../../src/cli/connection.ts';
import { eventText } from '../../src/cli/event-text.ts';
import { listLocks } from '../../src/cli/listing.ts';
import { lockTable } from '../../src/cli/lock-text.ts';
import { PLAIN, paintFor } from '../../src/cli/paint.ts';
import { renderTable } from '../../src/cli/text-table.ts';
import { runVerb, type VerbContext, VerbExit } from '../../src/cli/verb.ts';
import { VERBS } from '../../src/cli/verbs.ts';
import {
  type Client,
  connect,
  type InspectedLock,
  limited,
  RefusedError,
  read,
  write,
} from '../../src/client/index.ts';
import { formatAge, resourceText } from '../../src/operators/lock-text.ts';
import {
  displayWidth,
  printable,
  printableJson,
  truncated,
} from '../../src/operators/printable.ts';
import { MAX_CHAIN, waitingChain } from '../../src/operators/waiting-chain.ts';
import { Server } from '../../src/server.ts';
import { makeCertificate, temporaryFolder } from '../support/certificates.ts';
import { ownershipOf } from '../support/named-ownership.ts';
import { CLOSED_PORTS, ownPort } from '../support/ports.ts';
import { Program } from '../support/program.ts';
import { startServer, until } from '../support/running-server.ts';

const NO_SIGNALS = { on: () => {}, off: () => {}, raise: () => {} };

test('ages are short, and rounded down', () => {
  const second = 1000;
  const minute = 60 * second;
  const hour = 60 * minute;
  for (const [ms, text] of [
    [0, '0ms'],
    [999.9, '999ms'],
    [second, '1s'],
    [59_999, '59s'],
    [minute, '1m'],
    [3 * minute + 12_999, '3m12s'],
    [hour - 1, '59m59s'],
    [5 * hour + 7 * minute, '5h7m'],
    [24 * hour - 1, '23h59m'],
    [76 * hour, '3d4h'],
  ] as const) {
    assert.equal(formatAge(ms), text);
  }
});

test('nothing that a client chose can act on a terminal', () => {
  assert.equal(printable('till 3 – Zürich 👩‍🚀'), 'till 3 – Zürich 👩‍🚀');
  assert.equal(printable('\x1b[2J\r\n\t\x07\x7f\x9b'), '\\x1b[2J\\x0d\\x0a\\x09\\x07\\x7f\\x9b');
  assert.equal(printable('a\u202eb\u2028c\ud800d\u{e0041}'), 'a\\u202eb\\u2028c\\ud800d\\u{e0041}');
  assert.equal(resourceText(write('\x1b]0;x', 'a/b')), 'w:\\u{1b}]0;x/a\\/b');
  const value = { label: '\x1b\x9b\u202e\u{e0041}\ud800 "\\' };
  const json = printableJson(JSON.stringify(value));
  assert.match(json, /^[ -~]*$/);
  assert.deepEqual(JSON.parse(json), value);
  // A server quotes what other clients chose.
  let said = '';
  const err = (text: string): void => {
    said += text;
  };
  const context = { env: {}, out: () => {}, err, isTerminal: true, signals: NO_SIGNALS };
  assert.equal(report(new RefusedError('draining', 'no\x1b[2J'), context), VerbExit.notAcquired);
  assert.equal(said, 'locktopus: no\\x1b[2J.\n');
});

test('columns are as wide as what a terminal shows', () => {
  assert.equal(displayWidth('abc'), 3);
  assert.equal(displayWidth('Zu\u0308rich'), 6);
  assert.equal(displayWidth('日本語'), 6);
  assert.equal(displayWidth('ｱ한🔒'), 5);
  assert.equal(truncated('orders/17', 9), 'orders/17');
  assert.equal(truncated('orders/17', 8), 'orders/…');
  assert.equal(truncated('日本語', 4), '日…');
});

test('a table is aligned, drops empty columns, and narrows what may be narrowed', () => {
  const columns = [
    { heading: 'ID' },
    { heading: 'FOR', align: 'right' },
    { heading: 'EMPTY' },
    { heading: 'WHAT', minWidth: 4 },
    { heading: 'WHO', isOptional: true },
  ] as const;
  const row = (...texts: string[]) => texts.map((text) => ({ text }));
  const rows = [row('1', '3m12s', '', '日本語 and more', 'till'), row('22', '1s', '', 'b', '')];
  assert.equal(
    renderTable(columns, rows),
    [
      'ID    FOR  WHAT             WHO',
      '1   3m12s  日本語 and more  till',
      '22     1s  b',
      '',
    ].join('\n'),
  );
  assert.equal(
    renderTable(columns, rows, { width: 25 }),
    ['ID    FOR  WHAT      WHO', '1   3m12s  日本語 …  till', '22     1s  b', ''].join('\n'),
  );
  // One long cell does not make every row as long.
  const long = 'x'.repeat(100_000);
  const [, first = '', second = ''] = renderTable(columns, [
    row('1', '', '', long, 'till'),
    row('2', '', '', 'b', 'till'),
  ]).split('\n');
  assert.ok(first.includes(`${long}  till`));
  assert.equal(second.length, 'ID  '.length + 200 + '  till'.length);
  // Where even that does not fit, it goes without what can be missed.
  assert.match(renderTable(columns, rows, { width: 21 }), /^1 {3}3m12s {2}日… {3}till$/m);
  assert.match(renderTable(columns, rows, { width: 20 }), /^1 {3}3m12s {2}日本語 a…$/m);
  assert.match(renderTable(columns, rows, { width: 1 }), /^1 {3}3m12s {2}日…$/m);
});

test('a long list becomes several tables, across which holders are known', async () => {
  async function* locks() {
    yield lockOf(1, [], { session: 'till' });
    for (let id = 2; id <= 2000; id++) yield lockOf(id, []);
    yield lockOf(2001, [1]);
  }
  const tables: string[] = [];
  assert.equal(await listLocks(locks(), {}, (text) => tables.push(text)), 2001);
  assert.deepEqual(
    tables.map((table) => table.trimEnd().split('\n').length),
    [1001, 1001, 2],
  );
  assert.match(tables.at(-1) ?? '', /\n2001 .* 1 {10}till\n$/);
});

test('colours on a terminal alone, and not with NO_COLOR or on a dumb one', () => {
  assert.equal(paintFor(true, {})('green', 'held'), '\x1b[32mheld\x1b[0m');
  assert.equal(paintFor(true, { NO_COLOR: '', TERM: 'xterm' })('green', 'x'), '\x1b[32mx\x1b[0m');
  for (const env of [{ NO_COLOR: '1' }, { TERM: 'dumb' }]) {
    assert.equal(paintFor(true, env)('green', 'held'), 'held');
  }
  assert.equal(paintFor(false, {})('green', 'held'), 'held');
});

/** A lock as `inspect` says it, that waits for those with the ids `behind`. */
function lockOf(id: number, behind: readonly number[], more: Partial<InspectedLock> = {}) {
  const lock: InspectedLock = {
    ...{ id: String(id), state: behind.length === 0 ? 'acquired' : 'enqueued' },
    ...{ resources: [write('a')], moreResources: 0, client: '127.0.0.1:1', sessionId: String(id) },
    ...{ lost: false, forMs: 1000, waitsForMore: false },
    waitsFor: behind.map((other) => {
      return { id: String(other), state: 'acquired', relation: 'same', path: ['a'] } as const;
    }),
    ...more,
  };
  return lock;
}

test('a table of locks says who waits behind whom', () => {
  const locks = [
    lockOf(9, [], { session: 'till\x1b', label: 'checkout', owner: 'job-9', limitMs: 60_000 }),
    lockOf(10, [9], { lost: true, abandonedInMs: 42_000, resources: [read(), limited(4, 'r')] }),
    lockOf(100, [10, 9], { moreResources: 3, waitsForMore: true }),
  ];
  assert.equal(
    lockTable(locks, (id) => (id === '9' ? 'till' : undefined), {}),
    `LOCK  STATE         FOR  RESOURCES       SESSION                         LABEL                  WAITS FOR  WHOSE
9     held     1s of 1m  w:a             9 till\\x1b 127.0.0.1:1          checkout, owner job-9
10    waiting        1s  r:/ r4:r        10 lost (42s left) 127.0.0.1:1                         9          till
100   waiting        1s  w:a and 3 more  100 127.0.0.1:1                                        9          till and more
`,
  );
});

async function chainText(first: InspectedLock, others: readonly InspectedLock[]): Promise<string> {
  let text = '';
  const find = async (id: string) => others.find((lock) => lock.id === id);
  await writeChain(waitingChain(first, find), {}, (part) => {
    text += part;
  });
  return text;
}

test('a chain leads from a waiting lock to the one that is held, and shows each once', async () => {
  const one = lockOf(1, [], { session: 'till' });
  const others = [one, lockOf(2, [1]), lockOf(3, [2, 1]), lockOf(4, [7])];
  assert.equal(
    await chainText(lockOf(5, [3, 2, 4]), others),
    `5  waiting for 1s  w:a  session 5 127.0.0.1:1
└─ 2  waiting for 1s  w:a  session 2 127.0.0.1:1  on a
   └─ 1  held for 1s  w:a  session 1 till 127.0.0.1:1  on a
└─ 3  waiting for 1s  w:a  session 3 127.0.0.1:1  on a
└─ 4  waiting for 1s  w:a  session 4 127.0.0.1:1  on a
Held up by 1, held by till for 1s.
`,
  );
  assert.match(await chainText(one, []), /It is held, and waits for nothing\.\n$/);
  assert.match(await chainText(lockOf(5, [3]), []), /What it waited for is gone: ask again\.\n$/);
});

test('a chain ends somewhere', async () => {
  const first = lockOf(5000, [4999]);
  const find = async (id: string) => lockOf(Number(id), [Number(id) - 1]);
  let count = 0;
  for await (const step of waitingChain(first, find)) count = step.depth;
  assert.equal(count, MAX_CHAIN - 1);
});

test('an event is one line', () => {
  const event = {
    ...({ event: 'evicted', id: '7', resources: [write('a')], moreResources: 0 } as const),
    ...{ client: '127.0.0.1:1', sessionId: '3', session: 'till', label: 'evil\n', atMs: 1 },
  };
  assert.equal(eventText(event, PLAIN), 'evicted    7  w:a  session 3 till 127.0.0.1:1  evil\\x0a');
  assert.equal(eventText({ event: 'dropped', count: 7 }, PLAIN), 'missed 7 events');
  assert.equal(
    eventText({ event: 'dropped', count: undefined }, PLAIN),
    'missed what happened meanwhile',
  );
});

interface Result {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** A verb in this process. */
class Call {
  out = '';
  err = '';
  readonly code: Promise<number>;

  constructor(args: readonly string[], more: Partial<VerbContext> = {}) {
    const context: VerbContext = {
      ...{ env: {}, isTerminal: false },
      signals: NO_SIGNALS,
      out: (text) => {
        this.out += text;
      },
      err: (text) => {
        this.err += text;
      },
      ...more,
    };
    const [name = '', ...rest] = args;
    const entry = VERBS.find((verb) => verb.name === name);
    assert.ok(entry !== undefined, name);
    this.code = entry.load().then((verb) => runVerb(name, verb, rest, context));
  }
}

async function call(args: readonly string[], more: Partial<VerbContext> = {}): Promise<Result> {
  const running = new Call(args, more);
  return { code: await running.code, out: running.out, err: running.err };
}

const TOKEN = 'token-of-a-client-1';
const ADMIN_TOKEN = 'token-of-an-admin-1';

/** A namespace of the server that most tests share, with clients in it. */
async function openNamespace(
  t: TestContext,
  label?: string,
): Promise<{ url: string; client: Client }> {
  const { port } = shared.address;
  const url = `locktopus://127.0.0.1:${port}/${encodeURIComponent(t.name)}`;
  const client = await connect(url, { label });
  t.after(() => client.close());
  return { url, client };
}

const shared = new Server({ port: 0 });
before(() => shared.listen());
after(() => shared.close());

test('ls lists locks, as a table and as JSON, and none is no failure', async (t) => {
  const { url, client } = await openNamespace(t, 'till');
  assert.deepEqual(await call(['ls', '--url', url]), {
    ...{ code: 0, out: '', err: `no locks in namespace ${t.name}\n` },
  });
  const held = await client.lock([write('orders', 17), limited(4, 'gpu')], { label: 'checkout' });
  const giveUp = new AbortController();
  const wait = client.lock(read('orders'), { signal: giveUp.signal });
  const table = await call(['ls', '--url', url]);
  assert.equal(table.code, 0);
  const [head, first, second, end] = table.out.split('\n');
  assert.match(head ?? '', /^LOCK +STATE +FOR +RESOURCES +SESSION +LABEL +WAITS FOR +WHOSE$/);
  assert.match(
    first ?? '',
    /^\d{16} +held +\d+m?s +w:orders\/17 r4:gpu +\d+ till 127\S+ +checkout$/,
  );
  assert.match(second ?? '', new RegExp(`^\\d{16} +waiting .* r:orders .* ${held.id} +till$`));
  assert.equal(end, '');
  const json = await call(['ls', '--url', url, '--json', 'gpu']);
  const locks = json.out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  assert.deepEqual(
    locks.map(({ id, state, place }) => [id, state, place]),
    [[held.id, 'acquired', 'same']],
  );
  const none = await call(['ls', '--url', url, 'prices']);
  assert.equal(none.err, `no locks at, above or below prices in namespace ${t.name}\n`);
  giveUp.abort();
  await assert.rejects(wait);
});

test('ls, stats and ping name the server, if it is one of several', async (t) => {
  const server = await startServer(t, { port: 0, ownership: ownershipOf('b:9009\x1b') });
  const url = `locktopus://127.0.0.1:${server.address.port}`;
  const line = 'Served by b:9009\\x1b\n';
  assert.equal((await call(['ls', '--url', url])).out, line);
  assert.equal((await call(['ls', '--url', url, '--json'])).out, '');
  const stats = await call(['stats', '--url', url]);
  assert.ok(stats.out.startsWith(`${line}NAMESPACE `), stats.out);
  assert.ok((await call(['ping', '--url', url])).out.endsWith(` ms\n${line}`));
  for (const verb of ['stats', 'ping']) {
    const { out } = await call([verb, '--url', url, '--json']);
    assert.equal(JSON.parse(out).server, 'b:9009\x1b');
  }
});

test('ls fits its table to the terminal, in colour', async (t) => {
  const { url, client } = await openNamespace(t, 'a label that is really long for a label');
  await client.lock(write('a/segment/with/slashes', 'and', 'many', 'other', 'segments'));
  const terminal = { isTerminal: true, columns: 80 };
  const { out } = await call(['ls', '--url', url], terminal);
  assert.ok(out.includes('\x1b[32mheld\x1b[0m'));
  for (const line of stripVTControlCharacters(out).split('\n')) {
    assert.ok(displayWidth(line) <= 80, line);
  }
  const plain = await call(['ls', '--url', url], { ...terminal, env: { NO_COLOR: '1' } });
  assert.equal(plain.out, stripVTControlCharacters(plain.out));
});

test('why follows a wait to its root', async (t) => {
  const { url, client } = await openNamespace(t, 'till');
  const held = await client.lock(write('orders', 17));
  const waits = [client.lock(write('orders', 17)), client.lock(read('orders'))];
  for (const wait of waits) wait.catch(() => {});
  const ids: string[] = [];
  for await (const { id } of client.inspect()) ids.push(id);
  const [, , last = ''] = ids;
  const { code, out } = await call(['why', '--url', url, last]);
  assert.equal(code, 0);
  assert.match(out, /^\d{16} {2}waiting for .*\n└─ \d{16} {2}held for .* {2}below orders\n/);
  assert.match(out, new RegExp(`\nHeld up by ${held.id}, held by till for \\d+m?s\\.\n$`));
  const json = await call(['why', '--url', url, '--json', last]);
  const steps = json.out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  assert.deepEqual(
    steps.map(({ id, depth, waiter }) => [id, depth, waiter]),
    [
      [last, 0, undefined],
      [held.id, 1, last],
      [ids[1], 1, last],
    ],
  );
  const gone = await call(['why', '--url', url, '1']);
  assert.equal(gone.code, VerbExit.notFound);
  assert.match(gone.err, /no lock 1/);
});

test('evict takes away a lock, or all of a session', async (t) => {
  const { url, client } = await openNamespace(t);
  const first = await client.lock(write('a'));
  await client.lock(write('b'));
  assert.deepEqual(await call(['evict', '--url', url, first.id]), {
    code: 0,
    out: 'evicted\n',
    err: '',
  });
  assert.equal((await call(['evict', '--url', url, first.id])).code, VerbExit.notFound);
  const { sessionId } = client;
  const session = await call(['evict', '--url', url, '--session', sessionId]);
  assert.equal(session.out, 'ended, with locks: 1\n');
  const again = await call(['evict', '--url', url, '--session', sessionId, '--json']);
  assert.equal(again.code, VerbExit.notFound);
});

test('stats and namespaces give numbers', async (t) => {
  const { url, client } = await openNamespace(t);
  await client.lock([write('a', 'b'), read('c')]);
  const stats = await call(['stats', '--url', url]);
  assert.match(stats.out, /^NAMESPACE +SESSIONS .*\n.* +2 +1 +0 +2 +0 +3\n$/);
  assert.equal(JSON.parse((await call(['stats', '--url', url, '--json'])).out).paths, 3);
  const all = await call(['namespaces', '--url', url]);
  assert.match(all.out, new RegExp(`^NAMESPACE .*\n(.*\n)*${t.name} +2 +1 +0\n`));
  const json = await call(['namespaces', '--url', url, '--json']);
  const names = json.out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line).namespace);
  assert.ok(names.includes(t.name));
});

test('watch shows what happens, reconnects, and says so', async (t) => {
  const port = await ownPort();
  const server = await startServer(t, { port });
  const url = `locktopus://127.0.0.1:${port}/shop`;
  const client = await connect(url, { label: 'till' });
  t.after(() => client.close());
  const watch = new Call(['watch', '--url', url, 'orders']);
  const json = new Call(['watch', '--url', url, '--json']);
  // A watch is not confirmed, so something happens until it shows.
  while (!watch.out.includes('acquired') || !json.out.includes('acquired')) {
    await (await client.lock(write('orders', 17), { label: 'checkout' })).release();
    await client.ping();
  }
  await until(() => watch.out.includes('released') && json.out.includes('released'));
  assert.match(watch.err, /^locktopus: watching orders in namespace shop; Ctrl-C ends it\n$/);
  const [line = ''] = watch.out.split('\n');
  assert.match(
    line,
    /^[\d:.]{12}Z {2}\w+ +\d{16} {2}w:orders\/17 {2}session \d+ till 127\S+ {2}checkout$/,
  );
  const event = JSON.parse(json.out.split('\n')[0] ?? '');
  assert.equal(event.sessionId, client.sessionId);
  assert.equal(typeof event.atMs, 'number');
  await server.close();
  await until(() => /locktopus: .*; reconnecting\n/.test(watch.err));
  const successor = new Server({ port });
  await successor.listen();
  t.after(() => successor.close());
  await until(() => /locktopus: connected to locktopus:\/\/127\S+ again\n/.test(watch.err));
  await until(() => /missed what happened meanwhile\n/.test(watch.out));
  await successor.close();
  // What can't be mended by trying again ends it.
  const guarded = new Server({ port, tokens: [TOKEN] });
  await guarded.listen();
  t.after(() => guarded.close());
  assert.equal(await watch.code, VerbExit.noPermission);
  assert.equal(await json.code, VerbExit.noPermission);
});

test('ping answers 0 or 69, and mistakes are 64', async (t) => {
  const { url } = await openNamespace(t);
  assert.match((await call(['ping', '--url', url])).out, /^[\d.]+ ms\n$/);
  assert.equal(typeof JSON.parse((await call(['ping', '--url', url, '--json'])).out).ms, 'number');
  const gone = await call(['ping', '--url', `locktopus://127.0.0.1:${CLOSED_PORTS[0]}`]);
  assert.equal(gone.code, VerbExit.unreachable);
  assert.match(gone.err, /^locktopus: no lock server is reachable: .*\n$/);
  for (const args of [
    ['ls', '--url', url, 'a//b'],
    ['ls', '--url', url, 'a', 'b'],
    ['ls', '--url', 'http://localhost'],
    ['why', '--url', url],
    ['why', '--url', url, 'orders'],
    ['evict', '--url', url],
    ['evict', '--url', url, '--session', '1', '2'],
    ['ping', '--url', url, 'now'],
    ['completion', 'fish'],
  ]) {
    const { code, err } = await call(args);
    assert.equal(code, VerbExit.usage, args.join(' '));
    assert.match(
      err,
      new RegExp(`^locktopus ${args[0]}: .* See locktopus ${args[0]} --help\\.\n$`),
    );
  }
});

test('with tokens, over TLS and a Unix socket', async (t) => {
  const folder = temporaryFolder(t);
  const { cert, key, certFile } = makeCertificate(folder, 'server');
  const socket = join(folder, 's.sock');
  const server = await startServer(t, {
    ...{
      tokens: [TOKEN],
      adminTokens: [ADMIN_TOKEN],
      tls: { cert, key },
      socket: { path: socket },
    },
  });
  const url = `locktopuss://127.0.0.1:${server.address.port}/shop`;
  const tls = ['--url', url, '--tls-ca', certFile];
  const [tokenFile, adminFile] = [join(folder, 'token'), join(folder, 'admin')];
  writeFileSync(tokenFile, `${TOKEN}\n`, { mode: 0o600 });
  writeFileSync(adminFile, `# the operator's\n${ADMIN_TOKEN}\n`, { mode: 0o600 });
  const client = await connect(url, { token: TOKEN, tls: { ca: cert } });
  t.after(() => client.close());
  const { id } = await client.lock(write('a'));
  const refused = await call(['ls', ...tls]);
  assert.equal(refused.code, VerbExit.noPermission);
  assert.match(
    refused.err,
    /the token is missing or wrong: give a valid one by --token-file or LOCKTOPUS_TOKEN\.\n$/,
  );
  assert.match((await call(['ls', ...tls, '--token-file', tokenFile])).out, /held/);
  const unix = ['--url', `unix:${socket}?namespace=shop`];
  // The tokens of the environment are those of the context, not of this process.
  const listed = await call(['ls', ...unix], { env: { LOCKTOPUS_TOKEN: TOKEN } });
  assert.match(listed.out, /held/);
  const forbidden = await call(['evict', ...tls, '--token-file', tokenFile, id]);
  assert.equal(forbidden.code, VerbExit.noPermission);
  assert.match(
    forbidden.err,
    /: administrators only: send hello with an admin token; this command takes a token from --token-file or LOCKTOPUS_TOKEN\.\n$/,
  );
  assert.equal((await call(['evict', ...tls, '--token-file', adminFile, id])).code, 0);
});

test('the program itself lists locks, and the completion script knows every verb', async (t) => {
  const { url, client } = await openNamespace(t);
  await client.lock(write('a'));
  const ls = new Program(t, ['ls', '--json'], { LOCKTOPUS_URL: url });
  assert.equal(await ls.ended(), 0);
  assert.equal(JSON.parse(ls.stdout).state, 'acquired');
  const { out } = await call(['completion', 'bash']);
  for (const { name } of VERBS) assert.ok(out.includes(`    ${name}) words='--`), name);
});
