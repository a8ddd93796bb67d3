/**
 * Two servers of a cell, a simulated etcd, the real client, and one driven clock, from a seed: at no
 * time do two clients trust conflicting locks, and ids rise, over any number of owners. `SEED=n`
 * replays a round, `ROUNDS=n` plays more.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { Unanswered } from '../../src/client/requests.ts';
import { Ownership } from '../../src/cluster/ownership.ts';
import { Random, withSeedsInTurn } from '../support/random.ts';
import { CellWorld } from './cell-world.ts';
import type { Bugs } from './sim-server.ts';

test('no two clients trust conflicting locks, whichever server owns them', async (t: TestContext) => {
  let [grants, lost, takeovers, losses] = [0, 0, 0, 0];
  const rounds = await withSeedsInTurn(6, async (random) => {
    const world = new CellWorld(random);
    await world.play();
    grants += world.clients.grants;
    lost += world.clients.losses;
    takeovers += world.etcd.takeovers;
    losses += world.losses;
  });
  t.diagnostic(
    `${rounds} rounds: ${takeovers} owners, ${losses} replaced unawares; ${grants} locks, ${lost} of them lost`,
  );
  assert.ok(grants > 0);
});

/** Counts from when the answer was received. */
class ReckonsFromReceipt extends Ownership {
  override sending(): () => void {
    return () => super.sending()();
  }
}

/** A guard that compares the owner key alone. */
function withoutSequence(body: object): object {
  const { compare, ...rest } = body as { compare: unknown[] };
  return { ...rest, compare: compare.slice(0, 1) };
}

interface Planted {
  readonly bugs: Bugs;
  /** What is found. */
  readonly finding: RegExp;
  /** The bug is found soon from there on. */
  readonly firstSeed: number;
}

const CONFLICT = /conflict at|limit of|out of order|was asked for after/;

const PLANTED: Readonly<Record<string, Planted>> = {
  'a guard without the sequence': {
    bugs: { spoil: withoutSequence },
    finding: /can't be trusted|conflict at|limit of|out of order|was asked for after/,
    firstSeed: 29,
  },
  'an owner that answers from memory whether it is the owner or not': {
    bugs: { isLoud: true },
    finding: CONFLICT,
    firstSeed: 6,
  },
  'timers that start at once': { bugs: { graceFactor: 0 }, finding: CONFLICT, firstSeed: 10 },
  'a server that reckons from receipt': {
    bugs: { makeOwnership: (options) => new ReckonsFromReceipt(options) },
    finding: CONFLICT,
    // The rarest: the server must be paused between an answer and its last word.
    firstSeed: 190,
  },
};

/** In which a bug must be found: most are in ten, the rarest in a hundred. */
const MAX_ROUNDS = 200;

/** Plays rounds until one fails. */
async function find({ bugs, finding, firstSeed }: Planted, begun = (_: CellWorld) => {}) {
  for (let seed = firstSeed; seed < firstSeed + MAX_ROUNDS; seed++) {
    const world = new CellWorld(new Random(seed), bugs);
    begun(world);
    try {
      await world.play();
    } catch (error) {
      assert.match(String(error), finding);
      return seed;
    }
  }
  return assert.fail('the bug was not found');
}

for (const [bug, planted] of Object.entries(PLANTED)) {
  test(`planted and found: ${bug}`, async (t) => {
    t.diagnostic(`by seed ${await find(planted)}`);
  });
}

test('planted and found: a client that reckons from receipt', async (t) => {
  const { answer } = Unanswered.prototype;
  let nowMs = (): number => 0;
  Unanswered.prototype.answer = function reckonsFromReceipt(reply, confirm) {
    const receivedAt = { monotonicMs: nowMs(), wallMs: Number.POSITIVE_INFINITY };
    return answer.call(this, reply, () => confirm(receivedAt));
  };
  try {
    const seed = await find({ bugs: {}, finding: CONFLICT, firstSeed: 2 }, ({ clock }) => {
      nowMs = () => clock.now();
    });
    t.diagnostic(`by seed ${seed}`);
  } finally {
    Unanswered.prototype.answer = answer;
  }
});
