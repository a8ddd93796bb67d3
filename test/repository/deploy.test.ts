/**
 * The files of `.deploy`: what they name of ours exists, they parse, and what their comments promise of
 * each other holds. nginx and HAProxy run with theirs in test/faults/proxies.test.ts.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse, parseAllDocuments } from 'yaml';
import { LOG_EVENTS } from '../../src/cli/log.ts';
import { OPTIONS, variableOf } from '../../src/cli/options.ts';
import { ExitCode } from '../../src/cli/serve.ts';
import { readCommand } from '../../src/cli/settings.ts';
import { VERBS } from '../../src/cli/verbs.ts';
import { METRICS } from '../../src/net/http/metrics.ts';
import { CLOSE_TIMEOUT_MS } from '../../src/net/stream/graceful-close.ts';
import { ERROR_CODES } from '../../src/protocol/errors.ts';
import { isObject } from '../../src/runtime/unknown.ts';
import { documentOf, ROOT, sectionOf } from '../support/readme.ts';

/** All but the picture of the page, which the README of the repository shows. */
const FILES = readdirSync(join(ROOT, '.deploy')).filter((name) => !name.endsWith('.png'));

function textOf(file: string): string {
  return documentOf(join('.deploy', file));
}

/** All strings in a parsed document. */
function* stringsIn(value: unknown): Generator<string> {
  if (typeof value === 'string') yield value;
  else if (Array.isArray(value)) for (const item of value) yield* stringsIn(item);
  else if (isObject(value)) for (const item of Object.values(value)) yield* stringsIn(item);
}

/** The value at that place of a parsed document. */
function at(value: unknown, ...keys: readonly (string | number)[]): unknown {
  let found = value;
  for (const key of keys) {
    assert.ok(isObject(found) || Array.isArray(found), `${keys.join('.')}: nothing at ${key}`);
    found = Reflect.get(found, key);
  }
  return found;
}

/** Options of other programs and of our verbs that the files name. */
const FOREIGN_OPTIONS =
  /^(build|from|from-literal|interval|now|retries|start-period|timeout|silent|help|session|namespace|json)$/;

test('every option and variable that the files name exists', () => {
  const flags = new Set(OPTIONS.map(({ flag }) => flag));
  const variables = new Set([
    ...[...flags].map(variableOf),
    ...['token', 'admin-token', 'url'].map(variableOf),
  ]);
  for (const file of FILES) {
    const text = textOf(file);
    for (const [, flag = ''] of text.matchAll(/(?<![\w-])--([a-z][a-z-]*[a-z])/g)) {
      const isKnown = (flags as ReadonlySet<string>).has(flag);
      assert.ok(isKnown || FOREIGN_OPTIONS.test(flag), `${file} names --${flag}`);
    }
    for (const [variable] of text.matchAll(/\bLOCKTOPUS_[A-Z_]+/g)) {
      assert.ok(variables.has(variable), `${file} names ${variable}`);
    }
    for (const [, verb] of text.matchAll(/(?:\$ |`|^)locktopus ([a-z]+)/gm)) {
      assert.ok(
        VERBS.some(({ name }) => name === verb),
        `${file} names locktopus ${verb}`,
      );
    }
  }
});

test('every metric that the dashboard and the alerts name exists, with its labels', () => {
  const labels = new Map(
    METRICS.flatMap((metric): [string, readonly string[]][] => {
      if ('label' in metric) return [[metric.name, [metric.label]]];
      if ('labels' in metric) return [[metric.name, Object.keys(metric.labels)]];
      if (metric.type !== 'histogram') return [[metric.name, []]];
      return ['_bucket', '_sum', '_count'].map((end) => [`${metric.name}${end}`, ['le']]);
    }),
  );
  const dashboard: unknown = JSON.parse(textOf('grafana.json'));
  const alerts: unknown = parse(textOf('alerts.yaml'));
  const named = new Set<string>();
  for (const text of [...stringsIn(dashboard), ...stringsIn(alerts)]) {
    for (const match of text.matchAll(/\b((?:locktopus|process|nodejs)_\w+)(?:\{([^}]*)\})?/g)) {
      const [, name = '', selector = ''] = match;
      const known = labels.get(name) ?? assert.fail(`no metric ${name}`);
      named.add(name.replace(/_(bucket|sum|count)$/, ''));
      for (const [, label = ''] of selector.matchAll(/(\w+)(?:=~|=|!=)"/g)) {
        assert.ok([...known, 'job', 'instance'].includes(label), `${name} has no label ${label}`);
      }
    }
    for (const [, codes = ''] of text.matchAll(/code=~"([^"]*)"/g)) {
      for (const code of codes.split('|')) assert.ok(code in ERROR_CODES, code);
    }
  }
  for (const name of ['locktopus_oldest_wait_seconds', 'locktopus_lock_hold_seconds']) {
    assert.ok(named.has(name), name);
  }
});

test('each alert is explained, and no other', () => {
  const rules = at(parse(textOf('alerts.yaml')), 'groups', 0, 'rules');
  assert.ok(Array.isArray(rules));
  const names = rules.map((rule) => String(at(rule, 'alert')));
  const explained = textOf('README.md').match(/`Locktopus[A-Z]\w+`/g) ?? [];
  assert.deepEqual([...new Set(explained)].sort(), names.map((name) => `\`${name}\``).sort());
});

test('promtool accepts the rules, and systemd the units', (t) => {
  const check = (command: string, ...args: string[]): string | undefined => {
    const { error, status, stdout, stderr } = spawnSync(command, args, {
      cwd: join(ROOT, '.deploy'),
      encoding: 'utf8',
    });
    if (error !== undefined && process.env.CI === undefined) {
      t.diagnostic(`${command} is not installed`);
      return undefined;
    }
    assert.equal(error, undefined);
    assert.equal(status, 0, stdout + stderr);
    return stdout;
  };
  check('promtool', 'check', 'rules', 'alerts.yaml');
  const rated = check('systemd-analyze', 'security', '--offline=true', './locktopus.service');
  if (rated === undefined) return;
  const [, exposure] = /exposure level for locktopus\.service: ([\d.]+)/.exec(rated) ?? [];
  assert.ok(Number(exposure) < 2.5, `the exposure is ${exposure}`);
});

test('the file map and the table of log events are complete', () => {
  const readme = textOf('README.md');
  const files = [...(readme.split('\n## ')[0] ?? '').matchAll(/`([\w.]+)`[,| ]/g)].map(
    ([, name]) => name,
  );
  assert.deepEqual(files.sort(), FILES.filter((name) => !/README|ignore$/.test(name)).sort());
  const events = [...sectionOf(readme, 'The log').matchAll(/^\| `(\w+)` \| (\w+) \|/gm)];
  assert.deepEqual(
    Object.fromEntries(events.map(([, event = '', level]) => [event, level])),
    LOG_EVENTS,
  );
});

/** The settings that the server makes of these arguments. */
function settingsOf(args: readonly string[]) {
  const command = readCommand(args, {});
  assert.equal(command.kind, 'serve', JSON.stringify(command));
  return command.kind === 'serve' ? command.settings : assert.fail();
}

/** The longest time that a stop takes with these arguments, in seconds. */
function stopSecondsOf(args: readonly string[]): number {
  return (settingsOf(args).drainTimeoutMs + CLOSE_TIMEOUT_MS) / 1000;
}

test('the image starts with node, as who has no rights, and checks itself by ping', () => {
  const text = textOf('Dockerfile');
  const lastOf = (instruction: string): string =>
    [...text.matchAll(new RegExp(`^${instruction} (.*)$`, 'gm'))].at(-1)?.[1] ?? assert.fail();
  const program = '/opt/locktopus/dist/bin/locktopus.js';
  assert.deepEqual(JSON.parse(lastOf('ENTRYPOINT')), ['node', program]);
  assert.deepEqual(JSON.parse(lastOf(' +CMD')), ['node', program, 'ping']);
  assert.equal(lastOf('USER'), 'node');
  assert.equal(lastOf('EXPOSE'), '9009');
  // docker stop waits for ten seconds.
  assert.ok(stopSecondsOf([]) < 10);
  const copied = [...text.matchAll(/^COPY (?!--from)(.*) \S+$/gm)].flatMap(([, names = '']) =>
    names.split(' '),
  );
  const kept = textOf('Dockerfile.dockerignore').match(/(?<=^!).*$/gm) ?? [];
  assert.deepEqual(copied.sort(), kept.sort());
});

test('Compose and Kubernetes run one server, and give it the time to stop', () => {
  const service = at(parse(textOf('compose.yaml')), 'services', 'locktopus');
  const command = at(service, 'command');
  assert.ok(Array.isArray(command));
  assert.equal(settingsOf(command).logFormat, 'json');
  assert.equal(at(service, 'container_name'), 'locktopus');
  assert.equal(at(service, 'build', 'dockerfile'), '.deploy/Dockerfile');
  const grace = Number.parseInt(String(at(service, 'stop_grace_period')), 10);
  assert.ok(stopSecondsOf(command) < grace);

  const documents = parseAllDocuments(textOf('kubernetes.yaml')).map((one): unknown => one.toJS());
  assert.deepEqual(
    documents.map((one) => at(one, 'kind')),
    ['Service', 'PersistentVolumeClaim', 'Deployment'],
  );
  const deployment = at(documents[2], 'spec');
  assert.deepEqual(
    [at(deployment, 'replicas'), at(deployment, 'strategy', 'type')],
    [1, 'Recreate'],
  );
  const pod = at(deployment, 'template', 'spec');
  assert.equal(at(pod, 'enableServiceLinks'), false);
  const container = at(pod, 'containers', 0);
  const args = at(container, 'args');
  assert.ok(Array.isArray(args));
  assert.ok(stopSecondsOf(args) < Number(at(pod, 'terminationGracePeriodSeconds')));
  // fsGroup changes the permissions of the volume itself.
  const { dataDir } = settingsOf(args);
  const mount = at(container, 'volumeMounts', 0, 'mountPath');
  assert.ok(dataDir.startsWith(`${mount}/`), dataDir);
  for (const [probe, path] of [
    ['startupProbe', '/readyz'],
    ['livenessProbe', '/livez'],
    ['readinessProbe', '/readyz'],
  ] as const) {
    assert.equal(at(container, probe, 'httpGet', 'path'), path);
  }
});

test('the unit starts the server with node, and knows its exit codes', () => {
  const text = textOf('locktopus.service');
  const setting = (key: string): string =>
    new RegExp(`^${key}=(.*)$`, 'm').exec(text)?.[1] ?? assert.fail(key);
  const [node, program, ...args] = setting('ExecStart').split(' ');
  assert.match(`${node} ${program}`, /^\/usr\/bin\/node \/\S+\/dist\/bin\/locktopus\.js$/);
  assert.ok(stopSecondsOf(args) < Number(setting('TimeoutStopSec')));
  assert.equal(setting('SuccessExitStatus'), String(ExitCode.cutOff));
  assert.equal(
    setting('RestartPreventExitStatus'),
    `${ExitCode.mistake} ${ExitCode.storeUnusable}`,
  );
  assert.match(textOf('locktopus.socket'), /^SocketMode=0660$/m);
});
