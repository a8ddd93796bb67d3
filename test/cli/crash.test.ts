/** The end of a server that can't trust itself. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crashLine } from '../../src/cli/crash.ts';
import { LineClient, lock, write } from '../support/line-client.ts';
import { Program } from '../support/program.ts';

const FAULTS = [
  ['invariant', /Error: the lock is already released \(at .*lock-table\.[jt]s/],
  ['error', /TypeError: several lines of text \(at .*faults\.[jt]s:\d+/],
  ['rejection', /RangeError: nobody awaits this \(at .*faults\.[jt]s:\d+/],
] as const;

for (const [fault, said] of FAULTS) {
  test(`a fault in the server (${fault}) ends it at once with one line`, async (t) => {
    const program = new Program(t, ['--port', '0'], { FAULT: fault }, ['test/support/faults.ts']);
    const client = await LineClient.connect(t, await program.port());
    await client.ask(lock(write('a')));
    client.send({ action: 'release' });
    assert.equal(await program.ended(), 70);
    assert.match(program.stderr, /^\S+Z crashed: [^\n]*all locks are gone[^\n]*\n$/);
    assert.match(program.stderr, said);
    assert.match(program.stderr, /Locktopus \d+\.\d+\.\d+/);
    assert.doesNotMatch(program.stdout, /stopping/);
  });
}

test('whatever is thrown, it is one line', () => {
  const bare = new Error('no stack');
  bare.stack = '';
  for (const thrown of [undefined, 'text\nof two lines', bare, { toString: () => 'thing' }]) {
    assert.match(crashLine(thrown), /^crashed: [^\n]+ \(unknown place, /);
  }
  assert.ok(crashLine(new Error('x'.repeat(100_000))).length < 2000);
});
