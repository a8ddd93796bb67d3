/**
 * The table against the brute-force model, step by step, on random sequences. Swarm weights: each
 * round draws its own vocabulary and odds, some of them zero, which reaches states that one set of
 * odds for all never would.
 */
import { test } from 'node:test';
import type { Lock } from '../../src/table/lock.ts';
import type { Resource } from '../../src/table/resource.ts';
import { CheckedTable } from '../support/checked-table.ts';
import { type Random, withSeeds } from '../support/random.ts';

const STEPS_PER_ROUND = 200;

/** What one round is made of. */
interface Swarm {
  readonly segments: readonly string[];
  readonly depth: number;
  readonly resources: number;
  readonly writesPer10: number;
  readonly limitsPer10: number;
  readonly releasesPer10: number;
  /** Whether held locks, waiters, or either are released. */
  readonly victims: 'held' | 'waiting' | 'any';
  readonly alive: number;
}

function drawSwarm(random: Random): Swarm {
  return {
    segments: ['a', 'b', 'c', 'd', ''].slice(0, 1 + random.below(5)),
    depth: random.pick([0, 1, 2, 3, 12]),
    resources: random.pick([1, 1, 2, 5]),
    writesPer10: random.pick([0, 1, 5, 9, 10]),
    limitsPer10: random.pick([0, 0, 5, 10]),
    releasesPer10: random.pick([3, 5, 6]),
    victims: random.pick(['held', 'waiting', 'any', 'any'] as const),
    alive: random.pick([4, 12, 30]),
  };
}

function drawResource(random: Random, swarm: Swarm): Resource {
  const length = random.below(swarm.depth + 1);
  const path = Array.from({ length }, () => random.pick(swarm.segments));
  if (random.below(10) < swarm.writesPer10) return { type: 'write', path };
  if (random.below(10) >= swarm.limitsPer10) return { type: 'read', path };
  return { type: 'read', path, limit: 1 + random.below(3) };
}

function drawVictim(random: Random, swarm: Swarm, alive: Lock[]): Lock {
  const state = swarm.victims === 'held' ? 'acquired' : 'enqueued';
  const preferred = swarm.victims === 'any' ? alive : alive.filter((l) => l.state === state);
  return random.pick(preferred.length > 0 ? preferred : alive);
}

function playRound(random: Random): void {
  const swarm = drawSwarm(random);
  const table = new CheckedTable();
  for (let step = 0; step < STEPS_PER_ROUND; step++) {
    const { alive } = table;
    const mustRelease = alive.length >= swarm.alive;
    if (alive.length > 0 && (mustRelease || random.below(10) < swarm.releasesPer10)) {
      table.release(drawVictim(random, swarm, alive));
    } else {
      const length = 1 + random.below(swarm.resources);
      table.lock(Array.from({ length }, () => drawResource(random, swarm)));
    }
  }
  while (table.alive.length > 0) table.release(random.pick(table.alive));
  table.checkEmpty();
}

test('random sequences agree with the brute-force model at every step', () => {
  withSeeds(1000, playRound);
});
