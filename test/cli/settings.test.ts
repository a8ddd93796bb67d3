/** Options and environment: what each means, which wins, and what is said of a bad one. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { readEtcdFiles } from '../../src/cli/etcd-files.ts';
import { OPTIONS, variableOf } from '../../src/cli/options.ts';
import { readCommand } from '../../src/cli/settings.ts';
import { usualLimits } from '../../src/runtime/limits.ts';
import { makeCertificate, temporaryFolder } from '../support/certificates.ts';

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
      backlog: 4096,
      sharedReads: true,
      socket: undefined,
      defaultAbandonTimeoutMs: 60_000,
      allowedOrigins: [],
      allowedHosts: [],
      pingIntervalMs: 15_000,
      stallThresholdMs: 500,
      slowLockMs: 0,
      limits: usualLimits(),
    },
    tokens: {
      client: { file: '', variable: 'LOCKTOPUS_TOKEN', value: '' },
      admin: { file: '', variable: 'LOCKTOPUS_ADMIN_TOKEN', value: '' },
    },
    tls: { cert: '', key: '', ca: '' },
    dataDir: '',
    etcd: undefined,
    logClients: false,
    logLocks: false,
    logFormat: 'text',
    statsIntervalS: 0,
    drainTimeoutMs: 4000,
    isMaxConnectionsChosen: false,
    chosen: [],
    notes: [],
  });
});

test('every option can be given by flag and by variable, and the flag wins', () => {
  for (const option of OPTIONS) {
    const { flag, type } = option;
    const variable = variableOf(flag);
    const least = Math.max(1, 'min' in option ? option.min : 0);
    // What has no effect without another option.
    const beside: Record<string, string> = {
      ...(flag === 'socket-mode' ? { LOCKTOPUS_SOCKET: '/s' } : {}),
      ...(/^(etcd-.*|advertise|lease-ttl)$/.test(flag) ? { LOCKTOPUS_ETCD: 'https://a:1' } : {}),
    };
    const [one, other] = {
      switch: ['true', 'false'],
      integer: flag === 'max-abandon-timeout' ? ['60000', '60001'] : [`${least}`, `${least + 1}`],
      text: 'choices' in option ? ['json', 'text'] : ['a/', 'b/'],
      path: ['a', 'b'],
      optional: ['a:1', '[::1]:2'],
      mode: ['600', '666'],
      list: flag === 'allow-origin' || flag === 'etcd' ? ['http://a', 'http://b'] : ['a', 'b'],
    }[type] as [string, string];
    const without = settingsOf([], beside);
    const byFlag = settingsOf([`--${flag}=${one}`], beside);
    assert.deepEqual(new Set(byFlag.chosen), new Set([...without.chosen, `${flag} ${one}`]));
    assert.notDeepEqual(byFlag, without, flag);
    assert.deepEqual(settingsOf([], { ...beside, [variable]: one }), byFlag, variable);
    const both = settingsOf([`--${flag}=${one}`], { ...beside, [variable]: other });
    assert.deepEqual(both, byFlag, flag);
    assert.deepEqual(settingsOf([], { ...beside, [variable]: '' }), without, `no ${variable}`);
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

test('what one option gives, another may take back', () => {
  assert.equal(settingsOf(['--no-tcp=false', '--port=1']).server.tcp, true);
  const env = { LOCKTOPUS_NO_TCP: 'true' };
  assert.equal(settingsOf(['--no-tcp=false', '--tls-cert=c'], env).tls.cert, 'c');
});

test('help and version win over everything else', () => {
  assert.deepEqual(readCommand(['--port', 'x', '-h'], {}), { kind: 'help' });
  assert.deepEqual(readCommand(['--version'], { LOCKTOPUS_PORT: 'x' }), { kind: 'version' });
});

type Mistake = readonly [args: string[], env: Record<string, string>, said: RegExp];

const MISTAKES: readonly Mistake[] = [
  [['--bogus'], {}, /^unknown option --bogus$/],
  [['--prot', '9010'], {}, /^unknown option --prot \(did you mean --port\?\)$/],
  [['-v'], {}, /^unknown option -v$/],
  [['--host='], {}, /^--host must not be empty$/],
  [['--max-message-bytes=268435457'], {}, /^--max-message-bytes must be .* to 268435456/],
  [['--no-tcp', "it's. here"], {}, /^"it's\. here" is not an option$/],
  [['--port'], {}, /^--port needs a value$/],
  [['--data-dir'], {}, /^--data-dir needs a value$/],
  [['--port', 'x'], {}, /^--port must be a whole number from 0 to 65535, not "x"$/],
  [['--port', '65536'], {}, /^--port must be a whole number/],
  [['--port=-1'], {}, /^--port must be a whole number/],
  [['--port', '1e3'], {}, /^--port must be a whole number/],
  [[], { LOCKTOPUS_PORT: '9009 ' }, /^LOCKTOPUS_PORT must be a whole number from 0 to 65535/],
  [['--log-format', 'xml'], {}, /^--log-format must be text or json, not "xml"$/],
  [['--log-clients=perhaps'], {}, /^--log-clients must be true or false, not "perhaps"$/],
  [[], { LOCKTOPUS_LOG_LOCKS: 'yes' }, /^LOCKTOPUS_LOG_LOCKS must be true or false/],
  [['--max-locks', '0'], {}, /^--max-locks must be a whole number from 1 to/],
  [
    ['--default-abandon-timeout', '1.5'],
    {},
    /^--default-abandon-timeout must be a whole number from 0/,
  ],
  [
    ['--port', '-1'],
    {},
    /^--port needs a value; write a value that begins with a dash as --port=VALUE$/,
  ],
  [['-p', '-1'], {}, /^-p needs a value; .* as --port=VALUE$/],
  // With less than that nobody could be served.
  [['--max-message-bytes=1023'], {}, /^--max-message-bytes must be a whole number from 1024 to/],
  [['--max-unread-bytes=65535'], {}, /^--max-unread-bytes must be a whole number from 65536 to/],
  [['--max-lock-bytes=1'], {}, /^--max-lock-bytes must be a whole number from 65536 to/],
  [['--first-message-timeout=99'], {}, /^--first-message-timeout .* from 100 to/],
  [
    ['--max-abandon-timeout=59999'],
    {},
    /^the default abandon timeout of 60000 ms is longer than the maximum of 59999 ms\. Lower /,
  ],
  // What would do nothing.
  [
    ['--no-tcp', '--socket=/s', '--tls-cert=c', '--tls-key=k'],
    {},
    /^--tls-cert has no effect with --no-tcp: it is for the TCP port\. Remove one of the two$/,
  ],
  [
    ['--socket=/s', '--tls-ca=c'],
    { LOCKTOPUS_NO_TCP: '1' },
    /^--tls-ca has no effect with LOCKTOPUS_NO_TCP: /,
  ],
  [
    ['--no-tcp', '--socket=/s'],
    { LOCKTOPUS_TLS_KEY: 'k' },
    /^LOCKTOPUS_TLS_KEY has no effect with --no-tcp/,
  ],
  [['--no-tcp', '--socket=/s', '--host=::'], {}, /^--host has no effect with --no-tcp: /],
  [['--no-tcp', '--socket=/s', '-p', '1'], {}, /^--port has no effect with --no-tcp: /],
  [
    ['--etcd=http://a:2379', '--data-dir=d'],
    {},
    /^--data-dir and --etcd exclude each other: .* Remove one of the two$/,
  ],
  [['--lease-ttl=5'], {}, /^--lease-ttl has no effect without --etcd: /],
  [[], { LOCKTOPUS_ETCD_KEY: 'k' }, /^LOCKTOPUS_ETCD_KEY has no effect without --etcd: /],
  [['--etcd=a:2379'], {}, /^--etcd must be client addresses of etcd, such as .*, not "a:2379"$/],
  [['--etcd=http://a', '--lease-ttl=1'], {}, /^--lease-ttl must be a whole number from 2 to 3600/],
  [
    ['--etcd=http://a:1', '--etcd-prefix=/shop'],
    {},
    /^--etcd-prefix must end in a slash, as in \/shop\/$/,
  ],
  [['--etcd=http://locks:secret@a:1'], {}, /^--etcd must not name a user: use --etcd-user-file$/],
  [
    ['--etcd-ca=ca.pem'],
    { LOCKTOPUS_ETCD: 'http://a:1,http://b:1' },
    /^--etcd-ca has no effect: no address in LOCKTOPUS_ETCD begins with https:/,
  ],
  ...['a', 'a:0', 'a:65536', 'http://a:1', 'a:1,b:1', '::1:9009', 'locktopus://a:1/x'].map(
    (address): Mistake => [
      ['--etcd=http://a:1', `--advertise=${address}`],
      {},
      /^--advertise must be HOST:PORT, as in the URLs of clients, not "/,
    ],
  ),
  [['--socket-mode=600'], {}, /^--socket-mode has no effect without --socket: /],
  [
    ['--allow-origin=http://a,foo'],
    {},
    /^--allow-origin must be an origin .*, such as https:\/\/shop\.example, not "foo"$/,
  ],
  [[], { LOCKTOPUS_ALLOW_HOST: 'http://a' }, /^LOCKTOPUS_ALLOW_HOST must be .*, not "http:/],
];

for (const [args, env, said] of MISTAKES) {
  test(`refuses ${JSON.stringify(args)} ${JSON.stringify(env)}`, () => {
    assert.match(mistakeOf(args, env), said);
  });
}

test('with etcd: files that can not be used are said, and a stop does not wait for holders', (t) => {
  const folder = temporaryFolder(t);
  const file = (name: string, text: string): string => {
    const path = join(folder, name);
    writeFileSync(path, text);
    return path;
  };
  const read = (...args: readonly string[]) => {
    const { etcd, drainTimeoutMs } = settingsOf(['--etcd=http://a:1,https://b:2', ...args]);
    assert.equal(drainTimeoutMs, 0);
    return etcd === undefined ? assert.fail() : readEtcdFiles(etcd);
  };
  const user = file('user', 'locks:a:b c\n');
  const { certFile, keyFile, cert, key } = makeCertificate(folder, 'a');
  const tls = [`--etcd-ca=${certFile}`, `--etcd-cert=${certFile}`, `--etcd-key=${keyFile}`];
  assert.deepEqual(read(`--etcd-user-file=${user}`, ...tls), {
    members: [new URL('http://a:1'), new URL('https://b:2')],
    ...{ ca: String(cert), cert: String(cert), key: String(key) },
    user: { name: 'locks', password: 'a:b c' },
  });
  const cases: readonly (readonly [arg: string, message: RegExp])[] = [
    [`--etcd-user-file=${file('bad', 'nothing')}`, /bad must have one line, NAME:PASSWORD$/],
    [`--etcd-user-file=${folder}`, /cannot read .*: it is not a regular file$/],
    [`--etcd-ca=${user}`, /^--etcd-ca: .*user has no certificate in PEM, which/],
    [`--etcd-ca=${keyFile}`, /^--etcd-ca: .* has no certificate in PEM, which/],
    [`--etcd-ca=${folder}`, /^cannot use the files of --etcd-ca, --etcd-cert and --etcd-key: /],
    [`--etcd-cert=${certFile}`, /needs both a certificate and its key: set --etcd-cert and/],
  ];
  for (const [arg, message] of cases) assert.match(String(read(arg)), message);
});
