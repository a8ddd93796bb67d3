/** How many connections the system's limit of open files leaves room for. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { connectionsWithin, isWorthSaying, openFilesLimit } from '../../src/cli/open-files.ts';

test('all open files but 164 may be connections; of a few, half', () => {
  const pairs = [
    [20_000, 19_836],
    [329, 165],
    [328, 164],
    [327, 163],
    [128, 64],
    [64, 32],
    [3, 1],
  ] as const;
  for (const [files, connections] of pairs) assert.equal(connectionsWithin(files), connections);
  assert.equal(connectionsWithin(Number.POSITIVE_INFINITY), Number.POSITIVE_INFINITY);
});

test('that there is room for fewer connections is said of a choice, and of fewer than 1,000', () => {
  for (const [room, wanted, isChosen, isSaid] of [
    [19_936, 100_000, false, false],
    [1000, 100_000, false, false],
    [999, 100_000, false, true],
    [19_936, 100_000, true, true],
    [19_936, 19_936, true, false],
    [19_936, 50, true, false],
  ] as const) {
    assert.equal(isWorthSaying(room, wanted, isChosen), isSaid, `${room} of ${wanted}`);
  }
});

test('the limit of open files is the one that the shell knows', () => {
  // Node raises the soft limit to the hard one at its start.
  const known = execFileSync('sh', ['-c', 'ulimit -Hn'], { encoding: 'utf8' }).trim();
  const expected = known === 'unlimited' ? Number.POSITIVE_INFINITY : Number(known);
  assert.equal(openFilesLimit(), expected);
});
