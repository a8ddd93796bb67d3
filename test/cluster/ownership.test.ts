/** Who owns a cell, in simulated time; the bugs that would be likely are planted, and found. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Ownership } from '../../src/cluster/ownership.ts';
import type { Claimed, OwnershipOptions } from '../../src/cluster/ownership-options.ts';
import { Random } from '../support/random.ts';
import { type Faults, TTL_MS, World } from './world.ts';

const QUIET: Faults = { isRough: false };

async function quietWorld(): Promise<World> {
  const world = new World(new Random(1), QUIET);
  await world.run(1000);
  return world;
}

function proofAges(world: World): (number | undefined)[] {
  return world.servers.map(({ ownership }) => ownership.snapshot().proofAgeMs);
}

test('one of two owns; the other one waits and knows its address', async () => {
  const world = await quietWorld();
  assert.deepEqual(
    world.servers.map(({ ownership }) => ownership.state),
    ['owning', 'waiting'],
  );
  const [first, second] = world.servers;
  assert.equal(first?.ownership.ownerAddress, undefined);
  assert.equal(second?.ownership.ownerAddress, 'other:9009');
  assert.equal(second?.ownership.maySpeak(), false);
  await world.run(10 * TTL_MS);
  assert.equal(world.takeovers.length, 1);
  assert.equal(first?.ownership.state, 'owning');
  const [age = Number.NaN] = proofAges(world);
  assert.ok(age < TTL_MS / 2, `${age}`);
});

test('a hand-over takes a moment; the death of an owner the time of its lease', async () => {
  const world = await quietWorld();
  const [first, second] = world.servers;
  void first?.ownership.release();
  assert.equal(first?.ownership.maySpeak(), false);
  await world.run(200);
  assert.equal(second?.ownership.state, 'owning');
  first?.begin();
  await world.run(TTL_MS);
  assert.equal(first?.ownership.state, 'waiting');
  if (second !== undefined) second.isKilled = true;
  await world.run(TTL_MS + 500);
  assert.equal(first?.ownership.state, 'owning');
  assert.equal(world.takeovers.length, 3);
});

test('one that waits stops at once, also while its claim is under way', async () => {
  const world = await quietWorld();
  const [first, second] = world.servers;
  const waiting = second?.ownership;
  const released = waiting?.release();
  await world.run(100);
  await released;
  assert.equal(waiting?.state, 'released');
  // Its claim takes effect, and is given up again.
  await Promise.all([first?.ownership.release(), world.run(200)]);
  const claiming = second?.begin();
  await world.run(50);
  await Promise.all([claiming?.release(), world.run(200)]);
  assert.equal(world.owner, undefined);
});

/** Runs rough worlds. */
async function rough(faults: Omit<Faults, 'isRough'>, seeds: number): Promise<World[]> {
  const worlds: World[] = [];
  for (let seed = 1; seed <= seeds; seed++) {
    const world = new World(new Random(seed), { ...faults, isRough: true });
    await world.run(120_000);
    worlds.push(world);
  }
  return worlds;
}

test('pauses, suspends, partitions, lost answers, clocks apart: an old owner is silent in time', async () => {
  const worlds = await rough({}, 20);
  const sum = (of: (world: World) => number): number =>
    worlds.reduce((total, world) => total + of(world), 0);
  // It is a rough world, and the cell is served most of the time all the same.
  assert.ok(sum(({ takeovers }) => takeovers.length) > 60);
  assert.ok(
    sum(({ servers }) => servers.reduce((losses, server) => losses + server.losses, 0)) > 20,
  );
  const spoke = sum(({ servers }) => servers.reduce((times, server) => times + server.spoke, 0));
  assert.ok(spoke > 20_000, `${spoke} of 48,000`);
});

/** Counts from when the answer was received. */
class ReckonsFromReceipt extends Ownership {
  override sending(): () => void {
    return () => super.sending()();
  }
}

/** Takes an answer to a keepalive for a proof. */
function trustsKeepAlive(options: OwnershipOptions): Ownership {
  const { cell } = options;
  const keepAlive = async (claimed: Claimed): Promise<boolean> => {
    const proved = ownership.sending();
    const isAlive = await cell.keepAlive(claimed);
    if (isAlive) proved();
    return isAlive;
  };
  const ownership: Ownership = new Ownership({
    ...options,
    cell: {
      owner: () => cell.owner(),
      claim: () => cell.claim(),
      prove: () => new Promise(() => {}),
      resign: (claimed) => cell.resign(claimed),
      keepAlive,
    },
  });
  return ownership;
}

const PLANTED: Readonly<Record<string, Omit<Faults, 'isRough'>>> = {
  'timers that start at once': { graceFactor: 0 },
  'reckoning from receipt': { make: (options) => new ReckonsFromReceipt(options) },
  'a keepalive as proof': { make: trustsKeepAlive },
  'one clock, which stands still in suspend': { isMonotonicOnly: true },
};

for (const [bug, faults] of Object.entries(PLANTED)) {
  test(`planted and found: ${bug}`, async () => {
    await assert.rejects(rough(faults, 60), /an owner speaks that was replaced/);
  });
}
