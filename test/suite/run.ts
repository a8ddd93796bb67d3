/**
 * Runs tests: `npm test`, `npm run test:long`. The first argument says which, the others are passed to
 * the test runner.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { processFiles, type Selection } from './groups.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

const OPTIONS = [
  ...['--import', 'tsx'],
  ...['--import', fileURLToPath(new URL('ending.ts', import.meta.url))],
  '--test',
  '--test-concurrency=2',
  '--test-timeout=240000',
  // It ends with what failed, and with each file that was ended at its timeout.
  '--test-reporter=spec',
];

const [selection, ...options] = process.argv.slice(2);
const files = processFiles(selection as Selection).map((file) => join('test', file));
const { status } = spawnSync(process.execPath, [...OPTIONS, ...options, ...files], {
  cwd: ROOT,
  stdio: 'inherit',
});
process.exitCode = status ?? 1;
