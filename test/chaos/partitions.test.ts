/**
 * The owner of an etcd is partitioned from etcd, from its clients, and from both, for longer and for
 * shorter than its lease: in network namespaces, and judged by the clients' histories.
 *
 * Three partitions, `CHAOS_PARTITIONS=n` for more. Needs root and `ip`, and is skipped where it can't
 * have namespaces.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { nodeArgs } from '../support/compiled.ts';
import { etcdIsMissing } from '../support/etcd.ts';
import { inNamespace, makeSites, namespacesAreMissing } from './namespaces.ts';

const PARTITIONS = Number(process.env.CHAOS_PARTITIONS ?? 3);

test('an owner partitioned from etcd, clients or both: no lock is held twice or lost', {
  skip: etcdIsMissing || namespacesAreMissing(),
  timeout: (PARTITIONS * 20 + 120) * 1000,
}, async (t) => {
  const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
  const orders = { seed, partitions: PARTITIONS, sites: makeSites(t, 2) };
  const [file = '', ...args] = [
    ...inNamespace(orders.sites[0]?.hub ?? ''),
    ...[process.execPath, ...nodeArgs('test/chaos/partitions.ts'), JSON.stringify(orders)],
  ];
  // It is no file of the runner that runs this one.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const child = spawn(file, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  t.after(() => child.kill('SIGKILL'));
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  }
  await once(child, 'exit');
  assert.equal(child.exitCode, 0, `SEED=${seed}: ${output}`);
  t.diagnostic(`SEED=${seed}: ${/\d+ locks, .*/.exec(output)?.[0]}`);
});
