/** What all verbs have in common: which one is meant, options, paths, durations. Pure. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type ArgumentRules, Arguments, parseArguments } from '../../src/cli/arguments.ts';
import { durationText, parseDuration } from '../../src/cli/durations.ts';
import { verbHelp } from '../../src/cli/verb.ts';
import { dispatch, VERBS } from '../../src/cli/verbs.ts';
import { parsePath, pathText } from '../../src/operators/path-text.ts';

test('the first word names the verb; without one the server is meant', () => {
  for (const args of [[], ['--port', '9010'], ['-h']]) {
    assert.deepEqual(dispatch(args), { kind: 'serve', args });
  }
  assert.deepEqual(dispatch(['serve', '-h']), { kind: 'serve', args: ['-h'] });
  for (const entry of VERBS) {
    assert.deepEqual(dispatch([entry.name, '-h']), { kind: 'verb', entry, args: ['-h'] });
  }
});

test('an unknown verb is a mistake, not a server', () => {
  for (const word of ['nothing-like-it', 'help', '']) {
    const message = `unknown command "${word}".`;
    assert.deepEqual(dispatch([word]), { kind: 'mistake', message });
  }
  for (const [word, meant] of [
    ['rnu', 'run'],
    ['runn', 'run'],
    ['sevre', 'serve'],
  ] as const) {
    const message = `unknown command "${word}". Did you mean ${meant}?`;
    assert.deepEqual(dispatch([word, '-w', 'a']), { kind: 'mistake', message });
  }
});

test('the help of each verb begins with examples of it and fits a terminal', async () => {
  for (const { name, load } of VERBS) {
    const verb = await load();
    const help = verbHelp(verb);
    assert.ok(help.startsWith('Examples:\n'), name);
    assert.ok(verb.usage.startsWith(name), name);
    for (const [command] of verb.examples) assert.match(command, /\blocktopus /);
    for (const { flag } of verb.options) assert.ok(help.includes(`--${flag}`), flag);
    const widest = Math.max(...help.split('\n').map((line) => line.length));
    assert.ok(widest <= 100, `${name}: a line of ${widest} characters`);
  }
});

const RULES: ArgumentRules = {
  options: [
    { flag: 'write', short: 'w', values: ['PATH'], isList: true, help: '' },
    { flag: 'limit', values: ['N', 'PATH'], isList: true, help: '' },
    { flag: 'wait', values: ['TIME'], help: '' },
    { flag: 'try', values: [], help: '' },
  ],
};

function parsed(args: readonly string[], rules = RULES) {
  const given = parseArguments(args, rules);
  if (!(given instanceof Arguments)) return given;
  const flags = ['write', 'limit', 'wait', 'try'].filter((flag) => given.has(flag));
  return [Object.fromEntries(flags.map((flag) => [flag, given.uses(flag)])), given.operands];
}

test('options are read in every usual spelling, with several values too', () => {
  const read = [{ write: [['a'], ['b/c'], ['d'], ['e']] }, ['f']];
  assert.deepEqual(parsed(['-w', 'a', '-wb/c', '--write', 'd', 'f', '--write=e']), read);
  assert.deepEqual(parsed(['--limit', '4', 'a', '--try', '--limit=2', 'b']), [
    {
      limit: [
        ['4', 'a'],
        ['2', 'b'],
      ],
      try: [[]],
    },
    [],
  ]);
  assert.deepEqual(parsed(['--wait=-1', '--write=', '-', '--', '--try']), [
    { write: [['']], wait: [['-1']] },
    ['-', '--try'],
  ]);
  assert.deepEqual(parsed(['-w', '']), [{ write: [['']] }, []]);
});

test("the first operand begins a command, whose options are the command's", () => {
  const rules = { ...RULES, takesCommand: true };
  assert.deepEqual(parsed(['--try', 'make', '--try', '--', '-w'], rules), [
    { try: [[]] },
    ['make', '--try', '--', '-w'],
  ]);
  assert.deepEqual(parsed(['--', '-w', '--'], rules), [{}, ['-w', '--']]);
});

test('a mistake in the options is said in a sentence', () => {
  for (const [args, sentence] of [
    [['--wiat', '1s'], 'unknown option --wiat (did you mean --wait?)'],
    [['-x'], 'unknown option -x'],
    [['--try=1'], '--try takes no value'],
    [['--wait', '1s', '--wait', '2s'], '--wait is given twice'],
    [['--limit', '4'], '--limit needs N and PATH'],
    [['--wait', '--', 'a'], '--wait needs TIME'],
    [['-w', '-a'], '-w needs PATH; write a value that begins with a dash as -w=…'],
  ] as const) {
    assert.equal(parsed(args), sentence);
  }
});

test('a path is its segments with slashes between them; a backslash escapes', () => {
  for (const [text, path] of [
    ['/', []],
    ['a', ['a']],
    ['orders/17', ['orders', '17']],
    ['a\\/b/c', ['a/b', 'c']],
    ['a\\\\/b', ['a\\', 'b']],
    ['\\e/\\e', ['', '']],
    ['\\u{1f419}/\\u{0}x', ['🐙', '\0x']],
    ['ü \t', ['ü \t']],
  ] as const) {
    assert.deepEqual(parsePath(text), path, text);
  }
  assert.equal(parsePath(''), 'is empty; write / for the root');
  for (const text of ['/a', 'a/', 'a//b', '//']) {
    assert.match(String(parsePath(text)), /^has an empty segment: .* \\e /, text);
  }
  for (const text of ['\\', 'a\\', '\\x', '\\u', '\\u{}', '\\u{110000}', 'a/\\n']) {
    assert.match(String(parsePath(text)), /^has an unknown escape: /, text);
  }
});

test('every path is read back as it was shown, and shows nothing that a terminal obeys', () => {
  const tricky = fc.array(fc.constantFrom('/', '\\', 'e', 'u{1}', '\n', '\ud800'));
  // Half of a pair, too. The units that fast-check has take two seconds to make.
  const unit = fc.oneof(
    fc.nat(0xffff).map((code) => String.fromCharCode(code)),
    fc.nat(0x10ffff).map((point) => String.fromCodePoint(point)),
  );
  const segment = fc.oneof(
    fc.string({ unit }),
    tricky.map((parts) => parts.join('')),
  );
  fc.assert(
    fc.property(fc.array(segment), (path) => {
      const text = pathText(path);
      assert.doesNotMatch(text, /\p{C}/u);
      assert.deepEqual(parsePath(text), path);
    }),
  );
  assert.equal(pathText(['a\u001b[2J', '\ud800', '\u202e']), 'a\\u{1b}[2J/\\u{d800}/\\u{202e}');
});

test('durations have a unit', () => {
  for (const [text, ms] of [
    ['500ms', 500],
    ['10s', 10_000],
    ['2m', 120_000],
    ['1h', 3_600_000],
    ['1.5s', 1500],
    ['0', 0],
    ['0s', 0],
  ] as const) {
    assert.equal(parseDuration(text), ms, text);
  }
  for (const text of ['', '10', 's', '-1s', '1 s', '1d', '1e3s', '1m30s', '.5s']) {
    assert.match(String(parseDuration(text)), /^must be a duration, such as /, text);
  }
  assert.equal(parseDuration('99ms', 100), 'must be at least 100ms, not 99ms');
  assert.match(String(parseDuration('99999999h')), /^must be at most 24000h, not /);
  for (const ms of [0, 1, 1000, 1500, 60_000, 90_000, 3_600_000]) {
    assert.equal(parseDuration(durationText(ms)), ms);
  }
});
