/**
 * Bugs that are planted in the servers of a cell, real processes over a real etcd, are found by the
 * checker of chaos; and without a bug the same faults do no harm.
 *
 * Only by command: `npm run chaos`, or `CHAOS_BUGS=n` for the runs in which a bug must be found. Each
 * bug has a fault of its own that is done to owners (see `HardFault`): the random ones of
 * chaos.test.ts come to it too seldom. And what an owner says from memory is found with clients that
 * are idle alone: any lock request that it reads before leads to a write, which fails or takes long,
 * and holds back all that is said after it.
 *
 * One bug can't be found like this: an owner that reckons from the receipt of a proof, not from its
 * sending. It takes a pause between the two, and that a process which wakes reads the answer before
 * it looks at its timers. Where a pause is by signal, libuv runs the timers first (in 8 of 8 trials):
 * they end requests that are older than 400 ms, so their answers are never read. The simulation of
 * test/cluster has both orders, and finds it.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { etcdIsMissing } from '../support/etcd.ts';
import type { CellSettings, HardFault } from './cell.ts';
import { type ChaosReport, runChaos } from './run.ts';

const RUNS = Number(process.env.CHAOS_BUGS ?? 0);
/** Owners that are replaced in each run. */
const OWNERS = 3;
/** Longer than a lost session is kept, its new owner's wait included. */
const PATIENCE_MS = 20_000;

const byCommand = {
  skip: RUNS === 0 ? 'only by npm run chaos' : etcdIsMissing,
  timeout: (RUNS * OWNERS * 20 + 120) * 1000,
};

interface Planted {
  readonly cell: CellSettings & { readonly hardFault: HardFault };
  readonly isIdle: boolean;
  readonly places: number;
  /** Rules that it breaks. */
  readonly breaks: readonly string[];
}

const PLANTED: Readonly<Record<string, Planted>> = {
  'no-sequence': {
    cell: { hardFault: 'killed, old leader woken', members: 3 },
    ...{ isIdle: false, places: 6, breaks: ['too early', 'ending', 'exclusion', 'order', 'id'] },
  },
  'stale-answers': {
    cell: { hardFault: 'paused for long' },
    ...{ isIdle: true, places: 6, breaks: ['exclusion', 'too early'] },
  },
  'timers-at-once': {
    cell: { hardFault: 'replaced while cut off' },
    ...{ isIdle: true, places: 6, breaks: ['exclusion', 'too early'] },
  },
};

function run(
  t: TestContext,
  { cell, isIdle, places }: Planted,
  imports: readonly string[],
): Promise<ChaosReport> {
  const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
  t.diagnostic(`SEED=${seed}`);
  const rest = { processes: 2, places, patienceMs: PATIENCE_MS, isIdle, imports };
  return runChaos(t, { seed, seconds: 0, kills: OWNERS, cell, ...rest });
}

for (const [bug, planted] of Object.entries(PLANTED)) {
  test(`planted and found: ${bug}`, byCommand, async (t) => {
    const imports = [fileURLToPath(new URL(`planted/${bug}.ts`, import.meta.url))];
    for (let runs = 1; runs <= RUNS; runs++) {
      const report = await run(t, planted, imports).catch((error: Error) => error);
      // A client may notice it first, or a server that reads what can't be.
      if (report instanceof Error) {
        assert.match(report.message, /unexpected|was lost|ended while|missing|can't be trusted/);
        t.diagnostic(`run ${runs}: ${report.message.slice(0, 300)}`);
        return;
      }
      const { violations, requests, acquired } = report.verdict;
      t.diagnostic(`run ${runs}: ${requests} requests, ${acquired} acquired`);
      for (const { rule, what } of violations.slice(0, 2)) t.diagnostic(`${rule}: ${what}`);
      if (violations.some(({ rule }) => planted.breaks.includes(rule))) return;
    }
    assert.fail('the bug was not found');
  });

  test(`without ${bug} the same is harmless: ${planted.cell.hardFault}`, byCommand, async (t) => {
    const { verdict, guard, server } = await run(t, planted, []);
    t.diagnostic(`${verdict.requests} requests, ${verdict.acquired} acquired`);
    assert.deepEqual(verdict.violations.slice(0, 10), []);
    assert.deepEqual(guard.lost, []);
    assert.equal(await server.stop(), 0, 'no lock is left, and a clean end');
  });
}
