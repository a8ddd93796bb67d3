/** The recipes of the README, executed. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { type TestContext, test } from 'node:test';
import { LineClient, lock, read, write } from '../support/line-client.ts';
import { documentOf, RunningProgram, runProgram, sectionOf } from '../support/readme.ts';
import { NOTHING_LEFT, startServer, until } from '../support/running-server.ts';
import { blocksOf } from '../support/transcript.ts';

const RECIPES = sectionOf(documentOf('README.md'), 'Recipes');

/** The program of the recipe that begins with `**title`. */
function recipe(title: string, language: string): string {
  const [, text = ''] = RECIPES.split(`**${title}`);
  return blocksOf(text, language)[0]?.text ?? assert.fail(`no recipe ${title}`);
}

/** A client in the namespace of the recipes. */
async function rival(t: TestContext, port: number): Promise<LineClient> {
  const client = await LineClient.connect(t, port);
  await client.ask({ action: 'hello', namespace: 'shop' });
  return client;
}

test('leader election: leads in its turn, and not after the loss of the lock', async (t) => {
  const server = await startServer(t);
  const first = await rival(t, server.address.port);
  await first.ask(lock(write('leader')));
  const program = runProgram(t, recipe('Leader election', 'js'), server.address.port);
  await until(() => server.counts.enqueued === 1);
  assert.equal(program.output, '', 'it waits for its turn');
  await first.ask({ action: 'release' });
  await program.printed(/^leading with lock \d+\n$/);
  const [, id] = /lock (\d+)/.exec(program.output) ?? [];
  await first.ask({ action: 'evict', id });
  // It has got in line again, and leads anew.
  await program.printed(/\nnot leading any more: .* was lost: .*\nleading with lock \d+\n$/);
});

test('semaphore: with three places taken, the reports run one after the other', async (t) => {
  const { address } = await startServer(t);
  const other = await rival(t, address.port);
  for (let i = 0; i < 3; i++) await other.ask(lock({ ...read('reports'), limit: 4 }));
  const output = await runProgram(t, recipe('Semaphore', 'js'), address.port).ended();
  const numbers = [1, 2, 3, 4, 5, 6];
  assert.equal(output, numbers.map((n) => `report ${n} begins\nreport ${n} ends\n`).join(''));
});

const hasPython = spawnSync('python3', ['-c', 'import sqlite3']).status === 0;
const onlyWithPython = { skip: hasPython ? false : 'there is no python3 with sqlite3' };

/** Executes statements in one database; returns the rows of each SELECT, else how many it changed. */
function sqlite(steps: readonly (readonly [sql: string, values: object])[]): unknown[] {
  const program = `
import json, sqlite3, sys
database = sqlite3.connect(":memory:", isolation_level=None)
results = []
for sql, values in json.load(sys.stdin):
    cursor = database.execute(sql, values)
    results.append(cursor.rowcount if cursor.description is None else cursor.fetchall())
print(json.dumps(results))`;
  const input = JSON.stringify(steps);
  const { stdout, stderr } = spawnSync('python3', ['-c', program], { input, encoding: 'utf8' });
  return JSON.parse(stdout || assert.fail(stderr));
}

test('fencing with SQL: what a lost lock would write changes no row', onlyWithPython, () => {
  const statements = recipe('Fencing', 'sql').replaceAll(/--.*/g, '').split(';');
  const [alter = '', pay = '', claim = '', select = '', update = '', rest] = statements;
  assert.equal(rest?.trim(), '');
  const results = sqlite([
    ['CREATE TABLE orders (number INTEGER PRIMARY KEY, total INTEGER, status TEXT)', {}],
    ["INSERT INTO orders VALUES (17, 10, 'new'), (18, 10, 'new')", {}],
    [alter, {}],
    [pay, { id: 5 }],
    [pay, { id: 4 }],
    [pay, { id: 5 }],
    // Two holders read and then write; the first has lost its lock to the second in between.
    [claim, { id: 6 }],
    [select, { id: 6 }],
    [claim, { id: 7 }],
    [select, { id: 7 }],
    [update, { id: 6, total: 11 }],
    [pay, { id: 6 }],
    [update, { id: 7, total: 12 }],
    [claim, { id: 6 }],
    ['SELECT * FROM orders ORDER BY number', {}],
  ]);
  const changes = results.slice(3);
  const order = [17, 12, 'paid', 7];
  const other = [18, 10, 'new', 0];
  assert.deepEqual(changes, [1, 0, 1, 1, [[10]], 1, [[10]], 0, 0, 1, 0, [order, other]]);
});

/** The Python program; `work` replaces what it does under the lock. */
function python(t: TestContext, port: number, work?: string): RunningProgram {
  const program = recipe('Python', 'python').replace('9009', String(port));
  const print = /print\(.*\)\n$/;
  assert.match(program, print);
  if (work === undefined) return new RunningProgram(t, 'python3', ['-c', program]);
  // Without pings, so that nothing happens in between.
  const text = program.replace('TRUST_S / 5', '3600').replace(print, work);
  return new RunningProgram(t, 'python3', ['-c', text]);
}

test('the Python program waits for its lock and releases it', onlyWithPython, async (t) => {
  const server = await startServer(t);
  const other = await rival(t, server.address.port);
  await other.ask(lock(write('orders')));
  const program = python(t, server.address.port);
  await until(() => server.counts.enqueued === 1);
  other.send({ action: 'bye' });
  assert.match(await program.ended(), /^lock \d+ is held\n$/);
  assert.equal(program.child.exitCode, 0);
  await until(() => server.counts.connections === 0);
  assert.deepEqual(server.counts, NOTHING_LEFT);
});

test('the Python program notices that its session was ended', onlyWithPython, async (t) => {
  const { address } = await startServer(t);
  const program = python(
    t,
    address.port,
    'print("held", flush=True)\n    lock.reader.join()\n    lock.check()',
  );
  await program.printed(/^held\n/);
  const other = await rival(t, address.port);
  const { sessionId } = await other.ask({ action: 'inspect' });
  other.send({ action: 'evict', sessionId });
  assert.match(await program.ended(), /RuntimeError: the lock is not held: .*administrator/);
});

test(
  'the Python program relies on its lock for 9 s after an answered request',
  onlyWithPython,
  async (t) => {
    const { address } = await startServer(t);
    const work = 'lock.check()\n    real = now\n    now = lambda: real() + 9\n    lock.check()';
    assert.match(
      await python(t, address.port, work).ended(),
      /RuntimeError: the lock may be lost: the server does not answer/,
    );
  },
);
