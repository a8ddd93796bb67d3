/**
 * The bench still runs; what it measures is not judged here. `BENCH_CELLS=all` runs all of it, also
 * as a table and with a profile, which takes a minute.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { formatProfile } from './profile.ts';
import type { CellResult } from './run-cell.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const run = promisify(execFile);

/** All of them, at their tiny size. */
const CELLS = [
  'a-tcp-2',
  'a-ws-2',
  'b',
  'c',
  'd',
  'd-2',
  'e',
  'f',
  'g-idle',
  'g-held',
  'h',
  'i',
  'j',
  'k-2',
  'k-flight',
  'k-etcd-64',
  'k-etcd-flight',
  'k-recovery-200',
  'k-rewrite',
  'l',
  'm',
  'n',
  'o',
  'p',
  'q',
  'table',
];
const RUNS_ALL = process.env.BENCH_CELLS === 'all';
/** Those that run; all if empty. */
const SOME = RUNS_ALL ? [] : ['a-tcp-2', 'k-2'];

test('every cell of the bench has a number for every figure and an answer to every question', async (t) => {
  // Inside the repository, so that the packages are found.
  const folder = mkdtempSync(join(ROOT, 'build-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const tsc = join(ROOT, 'node_modules/.bin/tsc');
  await run(tsc, ['-p', 'test/bench/tsconfig.json', '--outDir', folder], { cwd: ROOT });
  const bench = [join(folder, 'test/bench/main.js'), '--program', join(folder, 'bin/locktopus.js')];
  // Coverage of what runs from a folder that is gone would be of no use.
  const env = { ...process.env, NODE_V8_COVERAGE: undefined };
  const options = { cwd: folder, env, maxBuffer: 2 ** 26 };
  const tiny = ['--tiny', '--rounds', '1', '--seconds', '0.02'];

  const { stdout } = await run(process.execPath, [...bench, ...tiny, '--json', ...SOME], options);
  const { results } = JSON.parse(stdout) as { results: CellResult[] };
  const names = results.map(({ name }) => name);
  assert.deepEqual(names, SOME.length > 0 ? SOME : CELLS);
  for (const { name, contenders, answers, skipped } of results) {
    for (const { rounds } of contenders) assert.equal(rounds.length, 1, name);
    for (const { of, value } of answers) {
      // Only Linux tells what other processes had of the processor.
      if (of.name === 'serverUsPerCycle' && process.platform !== 'linux') continue;
      // Null is what JSON makes of NaN.
      assert.equal(typeof value.median, 'number', `${name}: ${of.name} of ${of.contender}`);
    }
    const absent = Object.keys(skipped);
    assert.deepEqual(
      absent.filter((peer) => !['redis', 'redis, always', 'live-mutex', 'ioredis'].includes(peer)),
      [],
    );
  }

  if (!RUNS_ALL) return;
  const shown = await run(process.execPath, [...bench, ...tiny, 'table'], options);
  assert.match(shown.stdout, /lock \+ release, 2 segments +\d+ \(\d+-\d+\) +\d+ \(\d+-\d+\)\n/);
  assert.doesNotMatch(shown.stdout, /NaN|undefined/);

  const profiled = await run(process.execPath, [...bench, ...tiny, 'b', '--profile'], options);
  assert.match(profiled.stdout, / % {2}JavaScript of ours\n/);
});

test('a profile of our server is summed up by whose code it was', () => {
  const frame = (functionName: string, url: string) => ({ functionName, url, lineNumber: 4 });
  const nodes = [
    { id: 1, callFrame: frame('(idle)', '') },
    { id: 2, callFrame: frame('lock', 'file:///x/dist/src/table/lock-table.js') },
    { id: 3, callFrame: frame('writeGeneric', 'node:internal/stream') },
    { id: 4, callFrame: frame('(program)', '') },
    { id: 5, callFrame: frame('parse', '') },
  ];
  const samples = [1, 2, 3, 4, 5];
  const timeDeltas = [1000, 100, 200, 300, 400];
  const text = formatProfile(JSON.stringify({ nodes, samples, timeDeltas }));
  assert.match(text, /busy 50 % of the time/);
  assert.match(text, /10\.0 % {2}JavaScript of ours/);
  assert.match(text, /20\.0 % {2}JavaScript of Node's/);
  assert.match(text, /40\.0 % {2}parse/);
  assert.match(text, /10\.0 % {2}lock table\/lock-table\.js:5/);
});
