/**
 * Chaos with an owner that is partitioned from etcd, from its clients, from both. Runs in the
 * namespace that is the hub of the sites on the command line: see partitions.test.ts.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Site, type SiteNames } from './namespaces.ts';
import { runChaos } from './run.ts';

interface Orders {
  readonly seed: number;
  readonly partitions: number;
  readonly sites: readonly SiteNames[];
}

const { seed, partitions, sites }: Orders = JSON.parse(process.argv[2] ?? '{}');

test('partitions', async (t) => {
  const report = await runChaos(t, {
    ...{ seed, seconds: 0, processes: 2, places: 20, patienceMs: 30_000 },
    kills: partitions,
    cell: { sites: sites.map((names) => new Site(names)) },
  });
  const { verdict, guard, faults, resumes, server } = report;
  t.diagnostic(`${verdict.acquired} locks, ${resumes} sessions resumed: ${JSON.stringify(faults)}`);
  assert.deepEqual(verdict.violations.slice(0, 10), []);
  assert.ok(verdict.acquired > 0);
  assert.deepEqual(guard.lost, []);
  assert.equal(guard.sums.values, guard.sums.accepted);
  assert.equal(await server.stop(), 0, 'no lock is left, and a clean end');
});
