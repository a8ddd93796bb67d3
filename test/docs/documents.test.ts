/** README.md and PROTOCOL.md, executed: transcripts, commands, programs, and the tables of facts. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { OPTIONS } from '../../src/cli/options.ts';
import { runVerb } from '../../src/cli/verb.ts';
import { VERBS } from '../../src/cli/verbs.ts';
import { connect as connectClient, read, write } from '../../src/client/index.ts';
import { METRICS } from '../../src/net/http/metrics.ts';
import { ACTION_NAMES } from '../../src/protocol/actions/table.ts';
import { ERROR_CODES } from '../../src/protocol/errors.ts';
import { LIMITS } from '../../src/runtime/limits.ts';
import type { Server } from '../../src/server.ts';
import { LOCK_EVENTS } from '../../src/session/lock-events.ts';
import { temporaryFolder } from '../support/certificates.ts';
import { nodeArgs } from '../support/compiled.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { LineClient } from '../support/line-client.ts';
import { MemoryDisk, MemoryStore } from '../support/memory-store.ts';
import { documentOf, runProgram, sectionOf } from '../support/readme.ts';
import { startServer } from '../support/running-server.ts';
import { ShellSession } from '../support/shell-session.ts';
import {
  assertSays,
  blocksOf,
  IdMap,
  play,
  type Transcript,
  type TranscriptClient,
  transcriptsOf,
} from '../support/transcript.ts';
import { Watch } from '../support/watch.ts';
import { WsClient } from '../support/ws-client.ts';

const README = documentOf('README.md');
const PROTOCOL = documentOf('PROTOCOL.md');

async function lineClient(t: TestContext, server: Server): Promise<TranscriptClient> {
  const client = await LineClient.connect(t, server.address.port);
  return {
    say: (message) => client.sendRaw(`${message}\n`),
    hear: () => client.nextLine(),
    async ended() {
      assert.deepEqual(await client.ended(), []);
      return '(the server ends the connection)';
    },
    async break() {
      const { connections } = server.counts;
      client.socket.destroy();
      while (server.counts.connections === connections) {
        await new Promise((resolve) => setImmediate(resolve));
      }
    },
  };
}

async function webSocketClient(
  t: TestContext,
  server: Server,
  target: string,
): Promise<TranscriptClient> {
  const client = await WsClient.open(t, server.address.port, target);
  return {
    say: (message) => client.socket.send(message),
    hear: () => client.next(),
    async ended() {
      return `(the server closes with ${(await client.closed()).code})`;
    },
    break: () => assert.fail('no transcript breaks a WebSocket'),
    close: (code) => client.socket.close(code),
  };
}

/** A client for each kind of transcript. */
/** The kind of a transcript whose server has a store. */
const STORED = 'with a store';

const CLIENTS: Readonly<
  Record<string, (t: TestContext, server: Server) => Promise<TranscriptClient>>
> = {
  '': lineClient,
  [STORED]: lineClient,
  v1: (t, server) => webSocketClient(t, server, '/v1?namespace=shop'),
  v2: (t, server) => webSocketClient(t, server, '/v2'),
};

const TRANSCRIPTS: Transcript[] = [
  ...transcriptsOf('README.md', README),
  ...transcriptsOf('PROTOCOL.md', PROTOCOL),
];

for (const transcript of TRANSCRIPTS) {
  test(`the transcript at ${transcript.name} is what happens`, async (t) => {
    const clock = new FakeClock();
    const disk = transcript.kind === STORED ? new MemoryDisk() : undefined;
    const start = () => startServer(t, { clock, store: disk && new MemoryStore(disk) });
    const client = CLIENTS[transcript.kind] ?? assert.fail('a kind that this test does not know');
    let server = Promise.resolve(await start());
    await play(transcript, {
      connect: async () => client(t, await server),
      drain: async () => (await server).drain(60_000),
      restart: () => {
        server = server.then((old) => old.close()).then(start);
      },
      advance: (ms) => clock.advance(ms),
    });
  });
}

/** A person's netcat, or where there is none (`.ci/run` installs it) what it does: bytes to and fro. */
function netcat(t: TestContext, port: number): { typed: Writable; shown: Readable } {
  if (spawnSync('nc', ['-h']).error === undefined) {
    const nc = spawn('nc', ['localhost', String(port)]);
    t.after(() => nc.kill());
    return { typed: nc.stdin, shown: nc.stdout };
  }
  assert.equal(process.env.CI, undefined, 'CI installs netcat');
  const socket = connect(port, 'localhost');
  t.after(() => socket.destroy());
  return { typed: socket, shown: socket };
}

test('the session of the README, typed into netcat, reads as it is printed there', async (t) => {
  const { address } = await startServer(t);
  const { typed, shown } = netcat(t, address.port);
  let printed = '';
  shown.setEncoding('utf8').on('data', (text: string) => {
    printed += text;
  });
  const ids = new IdMap();
  const [session] = transcriptsOf('README.md', README);
  for (const line of session?.lines ?? []) {
    const text = line.slice('A> '.length);
    if (line.startsWith('A>')) {
      typed.write(`${ids.toActual(text)}\n`);
      continue;
    }
    while (!printed.includes('\n')) await once(shown, 'data');
    const end = printed.indexOf('\n');
    assertSays(ids.toDocumented(printed.slice(0, end), text), text);
    printed = printed.slice(end + 1);
  }
  assert.equal(session?.lines.length, 9);
});

/** What each program of "From a program" prints, `…` standing for an id. */
const PRINTED = [
  'lock … is held\n',
  'lock … is held\n',
  'one of four: lock … is held\n',
  'acquired enqueued\ntrue acquired\n',
];

const PROGRAMS = blocksOf(sectionOf(README, 'From a program'), 'js');

for (const [i, { text }] of PROGRAMS.entries()) {
  test(`program ${i + 1} of the README runs`, async (t) => {
    const { address } = await startServer(t);
    const output = await runProgram(t, text, address.port).ended();
    const expected = PRINTED[i] ?? assert.fail('a program that this test does not know');
    assertSays(output.replaceAll('\n', '|'), expected.replaceAll('\n', '|'));
  });
}

/** A user's folder with a `locktopus` that the shell finds, and a server. */
async function shellUser(t: TestContext) {
  const watch = new Watch();
  const server = await startServer(t, { lockObserver: watch });
  const folder = temporaryFolder(t);
  const script = (name: string, text: string): string => {
    const file = join(folder, name);
    writeFileSync(file, `#!/bin/sh\n${text}\n`, { mode: 0o755 });
    return file;
  };
  const locktopus = [process.execPath, ...nodeArgs('bin/locktopus.ts')].join('" "');
  script('locktopus', `exec "${locktopus}" "$@"`);
  const env = {
    ...process.env,
    PATH: `${folder}:${process.env.PATH}`,
    LOCKTOPUS_URL: `locktopus://127.0.0.1:${server.address.port}/jobs`,
  };
  const run = (command: string) => {
    const child = spawn('sh', ['-c', command], { cwd: folder, env });
    t.after(() => child.kill());
    return once(child, 'close').then(() => child.exitCode);
  };
  return { watch, folder, script, run };
}

test('the command under a lock, as the README has it, ends with its exit code', async (t) => {
  const { script, run, watch } = await shellUser(t);
  script('bill.sh', 'exit "$1"');
  const [{ text: command = '' } = {}] = blocksOf(README, 'bash');
  assert.equal(await run(command), 17);
  assert.equal(watch.count('acquired'), 1);
});

test('the cron job of the README does not overlap with itself', async (t) => {
  const { folder, script, run, watch } = await shellUser(t);
  const running = join(folder, 'running');
  writeFileSync(running, '');
  const job = script('report', `while [ -e ${running} ]; do sleep 0.01; done`);
  const [{ text = '' } = {}] = blocksOf(README, 'crontab');
  const [variable = '', line = ''] = text.trim().split('\n');
  assert.match(variable, /^LOCKTOPUS_URL=locktopus:\/\/\S+$/);
  // As cron reads it: five fields, and the rest is for the shell.
  const [, command = ''] = /^(?:\S+ ){5}(.*)$/.exec(line) ?? [];
  const ours = command.replace('/usr/local/bin/report', job);
  assert.notEqual(ours, command);
  const first = run(ours);
  await watch.until('acquired');
  assert.equal(await run(ours), 75);
  rmSync(running);
  assert.equal(await first, 0);
  assert.equal(watch.count('acquired'), 1);
});

/** What two runs don't have in common: ages, addresses, blanks, the number of a session. */
function comparable(text: string): string {
  return text
    .replaceAll(/\b(\d+(ms|[dhms])){1,2}\b/g, 'AGE')
    .replaceAll(/\b(127\.0\.0\.1|localhost):\d+/g, 'ADDRESS')
    .replaceAll(/; session \d+$/gm, '; session N')
    .replaceAll(/ +/g, ' ');
}

/** A namespace with a client labelled `till` that holds a lock, and another one that waits for it. */
async function twoClients(t: TestContext, namespace: string): Promise<string> {
  const server = await startServer(t);
  const url = `locktopus://localhost:${server.address.port}`;
  const till = await connectClient(url, { label: 'till', namespace });
  const other = await connectClient(url, { namespace });
  for (const client of [till, other]) t.after(() => client.close());
  await till.lock(write('orders', '17'), { label: 'checkout' });
  void other.lock(read('orders'));
  await other.ping();
  return url;
}

/** Runs what is typed in `text`, at the shell and at our prompt, and compares what is shown. */
async function playTerminal(t: TestContext, text: string, url: string): Promise<void> {
  const shell = new ShellSession(url);
  t.after(() => shell.rawSession.close());
  const ids = new IdMap();
  const prompt = /^(?:\$ locktopus|default>) /m;
  for (const part of text.split(new RegExp(`(?=${prompt.source})`, 'm'))) {
    const [line = '', ...expected] = part.trimEnd().split('\n');
    const command = ids.toActual(line.replace(prompt, ''));
    let shown = '';
    if (line.startsWith('default>')) {
      await shell.run(command);
      shown = shell.taken();
    } else if (command === 'shell') {
      await shell.rawSession.start();
      shown = shell.taken();
    } else {
      const [name = '', ...args] = command.split(' ');
      const out = (piece: string): void => {
        shown += piece;
      };
      const signals = { on: () => {}, off: () => {}, raise: () => {} };
      const context = { env: { LOCKTOPUS_URL: url }, out, err: out, isTerminal: false, signals };
      const verb = VERBS.find((entry) => entry.name === name) ?? assert.fail(line);
      assert.equal(await runVerb(name, await verb.load(), args, context), 0, shown);
    }
    const documented = expected.join('\n');
    assert.equal(comparable(ids.toDocumented(shown.trimEnd(), documented)), comparable(documented));
  }
}

test('what the README shows at the terminal is what happens', async (t) => {
  const [{ text = '' } = {}] = blocksOf(README, 'terminal');
  await playTerminal(t, text, await twoClients(t, 'default'));
});

test("the operator's drill goes as it is written down", async (t) => {
  const blocks = blocksOf(documentOf('.deploy/README.md'), 'terminal');
  assert.equal(blocks.length, 4);
  await playTerminal(t, blocks.map(({ text }) => text).join(''), await twoClients(t, 'shop'));
});

test('the README lists the commands as they are', () => {
  const rows = [...README.matchAll(/^\| `([a-z]+)[^|]*\| ([^|]+) \|$/gm)];
  assert.deepEqual(
    rows.map(([, name, summary]) => [name, summary]),
    VERBS.filter(({ name }) => name !== 'run').map(({ name, summary }) => [name, summary]),
  );
});

test('every command of the README is executed by .ci/run', () => {
  const ci = documentOf('.ci/run');
  const commands = blocksOf(README, 'sh').flatMap(({ text }) => text.trim().split('\n'));
  assert.equal(commands.length, 2);
  for (const command of commands) assert.ok(ci.includes(command), command);
});

test('the README lists the options as they are', () => {
  const rows = README.split('\n').filter((row) => /^\| `-/.test(row));
  assert.deepEqual(
    rows,
    OPTIONS.map((option) => {
      const short = option.short === undefined ? '' : `\`-${option.short}\`, `;
      const value = option.value === undefined ? '' : ` ${option.value}`;
      const fallback = {
        switch: 'off',
        list: 'none',
        path: 'none',
        optional: 'none',
        mode: option.default,
        text: option.default,
        integer: option.default,
      };
      return `| ${short}\`--${option.flag}${value}\` | ${fallback[option.type]} | ${option.help} |`;
    }),
  );
});

test('PROTOCOL.md lists the limits as they are', () => {
  assert.deepEqual(
    rowsOf(sectionOf(PROTOCOL, '8. Limits')),
    LIMITS.map(({ name, what, default: usual, flag, inHello, beyond }) => {
      const field = inHello ? `\`${name}\`` : '';
      return `| ${what} | ${usual.toLocaleString('en-US')} | \`--${flag}\` | ${field} | ${beyond} |`;
    }),
  );
});

test('PROTOCOL.md lists the metrics as they are', () => {
  assert.deepEqual(
    rowsOf(sectionOf(PROTOCOL, '7. HTTP').split('\n**Metrics.**')[1] ?? ''),
    METRICS.map((metric) => {
      const labels = 'labels' in metric ? Object.keys(metric.labels) : [];
      const names = 'label' in metric ? [metric.label] : labels;
      const braces = names.length === 0 ? '' : `{${names.join()}}`;
      return `| \`${metric.name}${braces}\` | ${metric.type} | ${metric.help} |`;
    }),
  );
});

test('the metrics that the README names are there', () => {
  const names = [...README.matchAll(/\b(locktopus|process|nodejs)_[a-z_]+/g)].map(([name]) => name);
  assert.ok(names.length > 0);
  for (const name of names)
    assert.ok(
      METRICS.some((metric) => metric.name === name),
      name,
    );
});

test('PROTOCOL.md lists the error codes as they are, row by row', () => {
  assert.deepEqual(
    rowsOf(sectionOf(PROTOCOL, '5. Error codes')),
    Object.entries(ERROR_CODES).map(
      ([code, { meaning, endsConnection, tryAgain }]) =>
        `| \`${code}\` | ${meaning} | ${endsConnection} | ${tryAgain} |`,
    ),
  );
});

test('PROTOCOL.md lists what can happen to a lock as it is, row by row', () => {
  const watch = sectionOf(PROTOCOL, '4. The session protocol').split('\n### watch, unwatch\n')[1];
  assert.deepEqual(
    rowsOf(watch?.split('\n### ')[0] ?? ''),
    Object.entries(LOCK_EVENTS).map(([name, { watched, endsLock, meaning }]) => {
      const cause = endsLock ? `\`${name}\`` : '';
      return `| \`${watched}\` | ${meaning} | ${cause} |`;
    }),
  );
});

test('PROTOCOL.md has a section for each action', () => {
  const titles = [...sectionOf(PROTOCOL, '4. The session protocol').matchAll(/^### (.*)$/gm)];
  const actions = titles.flatMap(([, title]) => title?.split(', ') ?? []);
  assert.deepEqual(actions, ACTION_NAMES);
});

/** The rows of the first table in `text`, without its head. */
function rowsOf(text: string): string[] {
  const [table = ''] = /(^\|.*\n)+/m.exec(text) ?? [];
  return table.trimEnd().split('\n').slice(2);
}
