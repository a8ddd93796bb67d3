/**
 * The bench: `npm run bench -- --help`. It builds nothing itself; `npm run bench` compiles the
 * program and the bench first, so that both run as plain JavaScript.
 */
import { rmSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { withBaseline } from './baseline.ts';
import type { Cell } from './cell.ts';
import { allCells, FULL, TINY } from './cells.ts';
import { IS_PINNED } from './child.ts';
import { formatProfile } from './profile.ts';
import { formatAnswer, formatCell } from './report.ts';
import { type CellResult, type RunOptions, runCell } from './run-cell.ts';
import { runTable } from './table.ts';

const HELP = `npm run bench [-- [options] [name...]]

Names: a, b, c...; or more exactly a-tcp-64, a-ws-64, g-idle...; table for the lock table alone.
Without a name all are run. A ratio is the median of the ratios within each round.

  --rounds N        rounds that count [7]
  --seconds N       seconds of each sample [0.5]
  --json            the results for machines, with the figures of each round
  --profile         CPU profiles of our server instead of comparisons; the figures are not for use
  --baseline FILE   beside the program another build of it: its dist/bin/locktopus.js
  --program FILE    the program that is measured [dist/bin/locktopus.js]
  --tiny            small sizes: shows only that the bench runs
  --list            the names
`;

const OPTIONS = {
  rounds: { type: 'string', default: '7' },
  seconds: { type: 'string', default: '0.5' },
  json: { type: 'boolean', default: false },
  profile: { type: 'boolean', default: false },
  baseline: { type: 'string' },
  program: { type: 'string' },
  tiny: { type: 'boolean', default: false },
  list: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
} as const;

const TABLE = 'table';
const ROOT = fileURLToPath(new URL('../../../', import.meta.url));

const { values, positionals } = parseArgs({ options: OPTIONS, allowPositionals: true });

function isChosen(name: string): boolean {
  const asked = (word: string): boolean => name === word || name.startsWith(`${word}-`);
  return positionals.length === 0 || positionals.some(asked);
}

function chosenCells(): Cell[] {
  const program = values.program ?? join(ROOT, 'dist/bin/locktopus.js');
  const cells = allCells(program, values.tiny ? TINY : FULL);
  const names = [...cells.map(({ name }) => name), TABLE];
  for (const word of positionals) {
    if (!names.some((name) => name === word || name.startsWith(`${word}-`))) {
      throw new Error(`there is no "${word}"; there are ${names.join(', ')}`);
    }
  }
  return cells.filter(({ name }) => isChosen(name)).map(prepared);
}

function prepared(cell: Cell): Cell {
  if (values.profile) {
    const contenders = cell.contenders.filter(
      ({ server, work }) => server.kind === 'ours' && typeof work !== 'function',
    );
    return { ...cell, contenders, questions: [], shown: [...cell.shown, 'serverKernel'] };
  }
  return values.baseline === undefined ? cell : withBaseline(cell, values.baseline);
}

function positive(name: 'rounds' | 'seconds'): number {
  const number = Number(values[name]);
  if (!(number > 0)) throw new Error(`--${name} must be a number above 0, not "${values[name]}"`);
  return number;
}

function show(result: CellResult): void {
  if (values.json) return;
  console.log(`${formatCell(result)}\n`);
  for (const { name, profile } of result.contenders) {
    if (profile === undefined) continue;
    const file = `${result.name}-${name.replaceAll(/[^a-z0-9]+/g, '-')}.cpuprofile`;
    rmSync(file, { force: true });
    writeFileSync(file, profile);
    console.log(`profile of ${result.name}, ${name} (${file}):\n${formatProfile(profile)}\n`);
  }
}

function summary(results: readonly CellResult[]): string {
  const lines = results.flatMap(({ name, answers }) =>
    answers
      .filter(({ isMet }) => isMet !== undefined)
      .map((answer) => `  ${name.padEnd(10)} ${formatAnswer(answer)}`),
  );
  return ['The bars:', ...lines].join('\n');
}

async function main(): Promise<void> {
  const options: RunOptions = {
    rounds: positive('rounds'),
    sampleMs: positive('seconds') * 1000,
    // A profile begins with the second sample.
    learningCycles: values.tiny || values.profile ? 1 : 5000,
    profile: values.profile,
  };
  const cells = chosenCells();
  if (values.list) {
    for (const { name, work } of cells) console.log(`${name.padEnd(10)} ${work}`);
    console.log(`${TABLE.padEnd(10)} the lock table alone`);
    return;
  }
  const machine = {
    node: process.version,
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    isPinned: IS_PINNED,
  };
  const where = IS_PINNED ? 'server and generator on a core each' : 'not pinned';
  if (!values.json) console.log(`Node ${machine.node}, ${machine.cpu}, ${where}\n`);
  const results: CellResult[] = [];
  for (const cell of cells.filter(({ contenders }) => contenders.length > 0)) {
    const result = await runCell(cell, options);
    show(result);
    results.push(result);
  }
  if (isChosen(TABLE) && !values.profile) {
    const result = runTable(values.tiny, options.rounds);
    show(result);
    results.push(result);
  }
  if (values.json) console.log(JSON.stringify({ ...machine, ...options, results }));
  else if (!values.profile) console.log(summary(results));
}

if (values.help) console.log(HELP);
else await main();
