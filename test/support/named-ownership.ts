/** An ownership that only gives a server its address: without a store nothing more is asked of it. */
import { systemClocks } from '../../src/cluster/clocks.ts';
import { Ownership } from '../../src/cluster/ownership.ts';
import type { Cell } from '../../src/cluster/ownership-options.ts';

const unused = (): Promise<never> => Promise.reject(new Error('without a store there is no cell'));

const cell: Cell = {
  owner: unused,
  claim: unused,
  keepAlive: unused,
  prove: unused,
  resign: unused,
};

export function ownershipOf(address: string): Ownership {
  return new Ownership({ cell, clocks: systemClocks, ttlMs: 10_000, address: () => address });
}
