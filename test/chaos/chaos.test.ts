/**
 * All faults at once on real processes, checked by the clients' histories.
 *
 * `npm run chaos` runs for a minute, `CHAOS_SECONDS=600` for longer; `SEED=n` draws the same
 * clients and faults again (not the same timing: that is the machine's).
 */
import assert from 'node:assert/strict';
import { after, type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type ChaosReport, runChaos } from './run.ts';

const SECONDS = Number(process.env.CHAOS_SECONDS ?? 3);
/** Clients at a time in each process. */
const PLACES = Number(process.env.CHAOS_PLACES ?? 20);
/** Longer than any abandon timeout, wait or hold of the clients. */
const PATIENCE_MS = 20_000;

/** Reports what keeps this process alive at the end, rather than waiting for it. */
after(() => {
  const tell = (): never => {
    console.error('still open:', process.getActiveResourcesInfo());
    process.exit(1);
  };
  setTimeout(tell, 10_000).unref();
});

function seedFor(t: TestContext): number {
  const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
  t.diagnostic(`SEED=${seed}`);
  return seed;
}

function tell(t: TestContext, { verdict, guard, clients, faults }: ChaosReport): void {
  const { requests, acquired, endings } = verdict;
  t.diagnostic(`${clients} clients, ${requests} lock requests, ${acquired} acquired`);
  t.diagnostic(`endings: ${JSON.stringify(endings)}`);
  t.diagnostic(`faults: ${JSON.stringify(faults)}`);
  t.diagnostic(`guard: ${guard.sums.accepted} writes, ${guard.rejected} rejected`);
}

test('whatever breaks, no lock is held twice, overtaken or forgotten, and no update is lost', {
  timeout: (SECONDS + 120) * 1000,
}, async (t) => {
  const options = { seed: seedFor(t), seconds: SECONDS, processes: 3, places: PLACES };
  const report = await runChaos(t, { ...options, patienceMs: PATIENCE_MS });
  tell(t, report);
  const { verdict, guard } = report;
  assert.deepEqual(verdict.violations.slice(0, 10), []);
  assert.ok(verdict.acquired > 0);
  assert.deepEqual(guard.lost, []);
  assert.equal(guard.sums.values, guard.sums.accepted);
  assert.equal(await report.stop(), 0, 'all gauges at zero, and a clean end');
});

/** A short run against a server with that bug; returns the rules that found it. */
async function rulesBrokenBy(t: TestContext, bug: string): Promise<Set<string>> {
  const imports = [fileURLToPath(new URL(`planted/${bug}.ts`, import.meta.url))];
  const options = { seed: seedFor(t), seconds: 1, processes: 1, places: 20, isCalm: true };
  // Longer than any lost client keeps a lock, so that a lock still waiting waits for none.
  const report = await runChaos(t, { ...options, patienceMs: 2500, imports });
  tell(t, report);
  for (const { what } of report.verdict.violations.slice(0, 2)) t.diagnostic(what);
  return new Set(report.verdict.violations.map(({ rule }) => rule));
}

test('finds a planted bug that grants a lock early', async (t) => {
  const rules = await rulesBrokenBy(t, 'early-grant');
  // The conflicting lock may be held, or may wait itself.
  assert.ok(rules.has('exclusion') || rules.has('order'), [...rules].join());
});

test('finds a planted bug that forgets a wake-up', async (t) => {
  assert.deepEqual(await rulesBrokenBy(t, 'forgotten-wake-up'), new Set(['ending']));
});
