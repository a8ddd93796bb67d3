/** How many connections the system's limit of open files leaves room for. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { connectionsWithin, openFilesLimit } from '../../src/cli/open-files.ts';

test('all open files but 64 may be connections; of a few, half', () => {
  const pairs = [
    [20_000, 19_936],
    [129, 65],
    [128, 64],
    [127, 63],
    [64, 32],
    [3, 1],
  ] as const;
  for (const [files, connections] of pairs) assert.equal(connectionsWithin(files), connections);
  assert.equal(connectionsWithin(Number.POSITIVE_INFINITY), Number.POSITIVE_INFINITY);
});

test('the limit of open files is the one that the shell knows', () => {
  // Node raises the soft limit to the hard one at its start.
  const known = execFileSync('sh', ['-c', 'ulimit -Hn'], { encoding: 'utf8' }).trim();
  const expected = known === 'unlimited' ? Number.POSITIVE_INFINITY : Number(known);
  assert.equal(openFilesLimit(), expected);
});
