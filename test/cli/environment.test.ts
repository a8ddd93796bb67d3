/** Variables of the environment that no option means: those of Kubernetes, and mistyped ones. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { environmentNotes } from '../../src/cli/environment.ts';
import { OPTIONS, variableOf } from '../../src/cli/options.ts';
import { readCommand } from '../../src/cli/settings.ts';
import { temporaryFolder } from '../support/certificates.ts';
import { Program } from '../support/program.ts';

/** What Kubernetes sets in every container for a Service called `locktopus`. */
const SERVICE = {
  LOCKTOPUS_SERVICE_HOST: '10.96.0.5',
  LOCKTOPUS_SERVICE_PORT: '9009',
  LOCKTOPUS_SERVICE_PORT_LINES: '9009',
  LOCKTOPUS_PORT: 'tcp://10.96.0.5:9009',
  LOCKTOPUS_PORT_9009_TCP: 'tcp://10.96.0.5:9009',
  LOCKTOPUS_PORT_9009_TCP_PROTO: 'tcp',
  LOCKTOPUS_PORT_9009_TCP_PORT: '9009',
  LOCKTOPUS_PORT_9009_TCP_ADDR: '10.96.0.5',
};

function serve(args: string[], env: Record<string, string>) {
  const command = readCommand(args, env);
  if (command.kind !== 'serve') assert.fail(JSON.stringify(command));
  return command.settings;
}

test('the program starts beside a Service of its name, and says what it ignores', async (t) => {
  const path = join(temporaryFolder(t), 'l.sock');
  const env = { ...SERVICE, LOCKTOPUS_MAX_LOCK: '5' };
  const program = new Program(t, ['--no-tcp', '--socket', path], env);
  await program.logged(/Z LOCKTOPUS_PORT is ignored: .* Service, .* with --port\n/);
  await program.logged(/Z warning: LOCKTOPUS_MAX_LOCK is ignored: .* LOCKTOPUS_MAX_LOCKS\?\n/);
  assert.equal(program.stdout.match(/Z .*LOCKTOPUS_/g)?.length, 2);
});

test('the address of a Service is no port: the default, or --port, is taken', () => {
  for (const link of ['tcp://10.96.0.5:9009', 'udp://[fd00::5]:9009', 'sctp://10.0.0.1:1']) {
    const env = { ...SERVICE, LOCKTOPUS_PORT: link };
    const { server, chosen, notes } = serve([], env);
    assert.deepEqual([server.port, chosen, notes.length], [9009, [], 1], link);
    assert.equal(serve(['--port', '1'], env).server.port, 1);
  }
  assert.equal(serve([], { LOCKTOPUS_PORT: '1' }).server.port, 1);
  assert.equal(readCommand([], { LOCKTOPUS_PORT: 'http://10.96.0.5:9009' }).kind, 'mistake');
  assert.equal(
    readCommand([], { LOCKTOPUS_HOST: 'tcp://a:1', LOCKTOPUS_MAX_LOCKS: 'tcp://a:1' }).kind,
    'mistake',
  );
});

test('what Kubernetes sets for Services is not warned of', () => {
  const { LOCKTOPUS_PORT: _, ...siblings } = SERVICE;
  assert.deepEqual(environmentNotes(siblings), []);
  const renamed = Object.entries(SERVICE).map(([name, value]) => [
    name.replace('LOCKTOPUS_', 'LOCKTOPUS_ADMIN_'),
    value,
  ]);
  assert.deepEqual(environmentNotes(Object.fromEntries(renamed)), [], 'Service locktopus-admin');
});

test('the variables of all options, of the tokens and of clients are known', () => {
  const names = [...OPTIONS.map(({ flag }) => flag), 'token', 'admin-token', 'url', 'id'].map(
    variableOf,
  );
  assert.deepEqual(environmentNotes(Object.fromEntries(names.map((name) => [name, 'x']))), []);
  assert.deepEqual(environmentNotes({ PATH: 'x', OTHER_LOCKTOPUS_X: 'x', LOCKTOPUS_X: '' }), []);
});

test('a variable that no option has is warned of, with the one that it is near to', () => {
  const pairs: [name: string, near: string | undefined][] = [
    ['LOCKTOPUS_TOKENS', 'LOCKTOPUS_TOKEN'],
    ['LOCKTOPUS_TOKENFILE', 'LOCKTOPUS_TOKEN_FILE'],
    ['LOCKTOPUS_MAX_CONECTIONS', 'LOCKTOPUS_MAX_CONNECTIONS'],
    ['LOCKTOPUS_HOTS', 'LOCKTOPUS_HOST'],
    ['LOCKTOPUS_ALOW_HOST', 'LOCKTOPUS_ALLOW_HOST'],
    ['LOCKTOPUS_LOG_LEVEL', undefined],
    ['LOCKTOPUS_', undefined],
    ['LOCKTOPUS_SOMETHING_ELSE', undefined],
  ];
  for (const [name, near] of pairs) {
    const [note = '', ...more] = environmentNotes({ [name]: 'a secret' });
    assert.deepEqual(more, []);
    assert.doesNotMatch(note, /secret/);
    const hint = near === undefined ? 'See locktopus --help' : `Did you mean ${near}?`;
    assert.equal(note, `warning: ${name} is ignored: no option uses this variable. ${hint}`);
  }
});
