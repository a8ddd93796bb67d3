/** Options and environment: what each means, which wins, and what is said of a bad one. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OPTIONS, variableOf } from '../../src/cli/options.ts';
import { readCommand } from '../../src/cli/settings.ts';
import { DEFAULT_LIMITS } from '../../src/session/limits.ts';

function settingsOf(args: string[], env: Record<string, string> = {}) {
  const command = readCommand(args, env);
  if (command.kind !== 'serve') assert.fail(JSON.stringify(command));
  return command.settings;
}

function mistakeOf(args: string[], env: Record<string, string> = {}): string {
  const command = readCommand(args, env);
  if (command.kind !== 'mistake') assert.fail(JSON.stringify(command));
  return command.message;
}

test('the defaults are those of the documentation', () => {
  assert.deepEqual(settingsOf([]), {
    server: {
      host: '127.0.0.1',
      port: 9009,
      tcp: true,
      socket: undefined,
      defaultAbandonTimeoutMs: 60_000,
      allowedOrigins: [],
      allowedHosts: [],
      stallThresholdMs: 500,
      limits: DEFAULT_LIMITS,
    },
    tokens: {
      client: { file: '', variable: 'LOCKTOPUS_TOKEN', value: '' },
      admin: { file: '', variable: 'LOCKTOPUS_ADMIN_TOKEN', value: '' },
    },
    tls: { cert: '', key: '', ca: '' },
    logClients: false,
    logLocks: false,
    statsIntervalS: 0,
    drainTimeoutMs: 10_000,
    chosen: [],
  });
});

test('every option can be given by flag and by variable, and the flag wins', () => {
  for (const { flag, type } of OPTIONS) {
    const variable = variableOf(flag);
    const [one, other] = {
      switch: ['true', 'false'],
      integer: ['1', '2'],
      text: ['a', 'b'],
      path: ['a', 'b'],
      mode: ['600', '666'],
      list: ['a', 'b'],
    }[type] as [string, string];
    const byFlag = settingsOf([`--${flag}=${one}`]);
    assert.deepEqual(byFlag.chosen, [`${flag} ${one}`]);
    assert.notDeepEqual(byFlag, settingsOf([]), flag);
    assert.deepEqual(settingsOf([], { [variable]: one }), byFlag, variable);
    assert.deepEqual(settingsOf([`--${flag}=${one}`], { [variable]: other }), byFlag, flag);
    assert.deepEqual(settingsOf([], { [variable]: '' }), settingsOf([]), `an empty ${variable}`);
  }
});

test('an option without a value is a mistake: it would switch off what it is there for', () => {
  for (const { flag, type } of OPTIONS) {
    if (type === 'switch') continue;
    const command = readCommand([`--${flag}=`], {});
    assert.deepEqual(command, { kind: 'mistake', message: `--${flag} must not be empty` });
  }
});

test('the names are those of the Go server', () => {
  const settings = settingsOf([
    '-H',
    '0.0.0.0',
    '-p',
    '0',
    '--default-abandon-timeout',
    '5',
    '--log-clients',
    '--log-locks',
    '--stats-interval',
    '10',
  ]);
  assert.equal(settings.server.host, '0.0.0.0');
  assert.equal(settings.server.port, 0);
  assert.equal(settings.server.defaultAbandonTimeoutMs, 5);
  assert.deepEqual(
    [settings.logClients, settings.logLocks, settings.statsIntervalS],
    [true, true, 10],
  );
  const names = [
    'host',
    'port',
    'log-clients',
    'log-locks',
    'stats-interval',
    'default-abandon-timeout',
  ];
  assert.deepEqual(names.map(variableOf), [
    'LOCKTOPUS_HOST',
    'LOCKTOPUS_PORT',
    'LOCKTOPUS_LOG_CLIENTS',
    'LOCKTOPUS_LOG_LOCKS',
    'LOCKTOPUS_STATS_INTERVAL',
    'LOCKTOPUS_DEFAULT_ABANDON_TIMEOUT',
  ]);
});

test('lists take commas and repetition', () => {
  const settings = settingsOf([
    '--allow-origin',
    'http://a,http://b',
    '--allow-origin',
    'http://c',
  ]);
  assert.deepEqual(settings.server.allowedOrigins, ['http://a', 'http://b', 'http://c']);
});

test('help and version win over everything else', () => {
  assert.deepEqual(readCommand(['--port', 'x', '-h'], {}), { kind: 'help' });
  assert.deepEqual(readCommand(['--version'], { LOCKTOPUS_PORT: 'x' }), { kind: 'version' });
});

const MISTAKES: readonly (readonly [args: string[], env: Record<string, string>, said: RegExp])[] =
  [
    [['--bogus'], {}, /^Unknown option '--bogus'/],
    [['--host='], {}, /^--host must not be empty$/],
    [['--max-message-bytes=268435457'], {}, /^--max-message-bytes must be .* to 268435456/],
    [['serve'], {}, /'serve'/],
    [['--port'], {}, /'-p, --port <value>' argument missing/],
    [['--port', 'x'], {}, /^--port must be a whole number from 0 to 65535, not "x"$/],
    [['--port', '65536'], {}, /^--port must be a whole number/],
    [['--port=-1'], {}, /^--port must be a whole number/],
    [['--port', '1e3'], {}, /^--port must be a whole number/],
    [[], { LOCKTOPUS_PORT: '9009 ' }, /^LOCKTOPUS_PORT must be a whole number from 0 to 65535/],
    [['--log-clients=perhaps'], {}, /^--log-clients must be true or false, not "perhaps"$/],
    [[], { LOCKTOPUS_LOG_LOCKS: 'yes' }, /^LOCKTOPUS_LOG_LOCKS must be true or false/],
    [['--max-locks', '0'], {}, /^--max-locks must be a whole number from 1 to/],
    [
      ['--default-abandon-timeout', '1.5'],
      {},
      /^--default-abandon-timeout must be a whole number from 0/,
    ],
  ];

for (const [args, env, said] of MISTAKES) {
  test(`refuses ${JSON.stringify(args)} ${JSON.stringify(env)}`, () => {
    assert.match(mistakeOf(args, env), said);
  });
}
