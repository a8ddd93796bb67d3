/**
 * Simulates the whole server from a seed. `SEED=n` replays a round, `ROUNDS=n npm run simulate`
 * plays more of them.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { withSeeds } from '../support/random.ts';
import { World } from './world.ts';

test('clients that lock, disconnect, resume, stall and send nonsense get what the reference says', (t: TestContext) => {
  const startMs = performance.now();
  let steps = 0;
  let told = 0;
  let firstSeed: number | undefined;
  withSeeds(80, (random) => {
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
