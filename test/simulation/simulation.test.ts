/**
 * Simulates the whole server from a seed. `SEED=n` replays a round, `ROUNDS=n npm run simulate`
 * plays more of them.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { withSeeds, withSeedsInTurn } from '../support/random.ts';
import { StoredWorld } from './stored-world.ts';
import { World } from './world.ts';

test('clients that lock, disconnect, resume, stall and send nonsense get what the reference says', (t: TestContext) => {
  const startMs = performance.now();
  let steps = 0;
  let told = 0;
  let firstSeed: number | undefined;
  withSeeds(50, (random) => {
    firstSeed ??= random.seed;
    const world = new World(random);
    world.play();
    steps += world.steps;
    told += world.ledger.entered;
  });
  const seconds = (performance.now() - startMs) / 1000;
  t.diagnostic(
    `${steps} steps from SEED=${firstSeed} in ${seconds.toFixed(1)} s, ${Math.round(steps / seconds)} a second; ${told} times a client was told that it holds a lock`,
  );
  assert.ok(told > 0, 'clients hold locks');
});

test('with a store, a crash at any moment is to clients what a lost connection is', async (t: TestContext) => {
  const startMs = performance.now();
  let steps = 0;
  let restarts = 0;
  let told = 0;
  await withSeedsInTurn(15, async (random) => {
    const stored = new StoredWorld(random);
    await stored.play();
    steps += stored.world.steps;
    restarts += stored.restarts;
    told += stored.world.ledger.entered;
  });
  const seconds = (performance.now() - startMs) / 1000;
  t.diagnostic(
    `${steps} steps with ${restarts} restarts in ${seconds.toFixed(1)} s; ${told} times a client was told that it holds a lock`,
  );
  assert.ok(told > 0 && restarts > 0, 'clients hold locks, and servers restart');
});
