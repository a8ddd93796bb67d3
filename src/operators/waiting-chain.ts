/** Why a lock waits: what it waits for, what that waits for, down to the locks that are held. */
import { RefusedError } from '../client/errors.ts';
import type { Blocker, InspectedLock } from '../client/inspect.ts';
import { blockersOf } from './lock-text.ts';

/** Resolves with the lock of that id, or with undefined if there is none any more. */
export type FindLock = (id: string) => Promise<InspectedLock | undefined>;

export interface ChainStep {
  readonly lock: InspectedLock;
  /** How many locks away from the first one. */
  readonly depth: number;
  /** Where it blocks the one before it; undefined for the first lock. */
  readonly blocks: Blocker | undefined;
  /** The lock that waits for it; undefined for the first lock. */
  readonly waiter: string | undefined;
}

/** Locks that are looked at for one answer. */
export const MAX_CHAIN = 1000;

/**
 * The lock, then each lock that it waits for directly or through others: each once, and always first
 * what leads to the oldest. As a lock waits for earlier ones only, that is a lock that is held. At
 * most `MAX_CHAIN`.
 */
export async function* waitingChain(
  first: InspectedLock,
  find: FindLock,
): AsyncGenerator<ChainStep, void, undefined> {
  const seen = new Set([first.id]);
  const start = { lock: first, depth: 0, blocks: undefined, waiter: undefined };
  yield start;
  const toVisit = stepsBehind(start);
  for (let step = toVisit.pop(); step !== undefined; step = toVisit.pop()) {
    const { blocks } = step;
    if (seen.has(blocks.id)) continue;
    if (seen.size === MAX_CHAIN) return;
    seen.add(blocks.id);
    const lock = await find(blocks.id);
    if (lock === undefined) continue;
    const found = { ...step, lock };
    yield found;
    toVisit.push(...stepsBehind(found));
  }
}

/** The oldest last, where it is taken from. */
function stepsBehind({ lock, depth }: Pick<ChainStep, 'lock' | 'depth'>): {
  readonly depth: number;
  readonly blocks: Blocker;
  readonly waiter: string;
}[] {
  return blockersOf(lock)
    .map((blocks) => ({ depth: depth + 1, blocks, waiter: lock.id }))
    .reverse();
}

/** The lock that `inspect` with an id answers; undefined if there is none, or none any more. */
export async function onlyLock(
  locks: AsyncIterable<InspectedLock>,
): Promise<InspectedLock | undefined> {
  try {
    for await (const lock of locks) return lock;
  } catch (error) {
    if (!(error instanceof RefusedError) || error.code !== 'no_such_lock') throw error;
  }
  return undefined;
}
