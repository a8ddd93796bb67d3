/**
 * Many clients, the conversations of a server and a bad network on one driven clock, from a seed: at no
 * time do two clients trust conflicting locks. `SEED=n` replays a round, `ROUNDS=n` plays more.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { Unanswered } from '../../src/client/requests.ts';
import { withSeedsInTurn } from '../support/random.ts';
import { World } from './sim-world.ts';

test('no two clients trust conflicting locks, whatever the network does', async (t: TestContext) => {
  let [grants, losses, connects] = [0, 0, 0];
  const rounds = await withSeedsInTurn(20, async (random) => {
    const world = new World(random);
    await world.play();
    grants += world.clients.grants;
    losses += world.clients.losses;
    connects += world.connects;
  });
  t.diagnostic(
    `${rounds} rounds: ${grants} locks, ${losses} of them lost, ${connects} connections`,
  );
  assert.ok(grants > 0);
});

test('the simulation finds a client that counts from the answer instead of the sending', async () => {
  const { answer } = Unanswered.prototype;
  const [round, rounds] = [{ nowMs: () => 0 }, 200];
  Unanswered.prototype.answer = function countsFromReceipt(reply, confirm) {
    const receivedAt = { monotonicMs: round.nowMs(), wallMs: Number.POSITIVE_INFINITY };
    return answer.call(this, reply, () => confirm(receivedAt));
  };
  let isFound = false;
  try {
    await withSeedsInTurn(rounds, async (random) => {
      if (isFound) return;
      const world = new World(random);
      round.nowMs = () => world.clock.now();
      try {
        await world.play();
      } catch (error) {
        assert.match(String(error), /^AssertionError.*(conflict at|limit of)/);
        isFound = true;
      }
    });
  } finally {
    Unanswered.prototype.answer = answer;
  }
  assert.ok(isFound, `not in ${rounds} rounds`);
});
