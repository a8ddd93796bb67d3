/** The requests of chaos clients: drawn from a small tree, so that all clients conflict. */
import type { Resource } from '../../src/table/resource.ts';
import type { Random } from '../support/random.ts';

export const NAMESPACES = ['shop', 'depot', 'till', 'office'];
const SEGMENTS = ['a', 'b', 'c'];
/** The library takes no shorter ones. */
const LONG_ABANDON_MS = [100, 200, 500, 1500];
/** Longer than a server needs to start again. */
const PATIENT_ABANDON_MS = 10_000;
/** Of idle clients: longer than one takes to connect again. */
const IDLE_ABANDON_MS = 1000;
/** The only path with limited reads. */
const LIMITED = ['c', 'seats'];

/** A client's properties and behaviour. */
export interface Character {
  readonly kind: 'lines' | 'v2' | 'v1' | 'library' | 'library-ws';
  readonly namespace: string;
  readonly abandonMs: number;
  /** None of v1. */
  readonly heartbeatMs: number | undefined;
  readonly isBehindProxy: boolean;
  /** Whether it may leave while its last request is open. */
  readonly leavesLocks: boolean;
  readonly locks: number;
  readonly farewell: 'bye' | 'destroy' | 'halfClose';
}

/**
 * @param isPatient whether sessions outlive a server that starts again. Then clients may not leave
 *   locks behind, which would be in the way for as long
 */
export function drawCharacter(random: Random, isPatient: boolean): Character {
  const kinds = ['lines', 'lines', 'v2', 'v2', 'v1', 'library', 'library-ws'] as const;
  const kind = random.pick(kinds);
  const isLasting = isPatient && kind !== 'v1';
  const choices = isOfLibrary(kind) ? LONG_ABANDON_MS : [0, 50, ...LONG_ABANDON_MS];
  return {
    kind,
    namespace: random.pick(NAMESPACES),
    abandonMs: isLasting ? PATIENT_ABANDON_MS : random.pick(choices),
    leavesLocks: !isLasting && random.oneIn(4),
    heartbeatMs: kind === 'v1' || random.oneIn(3) ? undefined : random.pick([150, 300, 600]),
    isBehindProxy: !random.oneIn(3),
    // Many clients request one lock only.
    locks: random.oneIn(2) ? 1 : 1 + random.below(10),
    farewell: random.pick(['bye', 'bye', 'destroy', 'halfClose'] as const),
  };
}

/**
 * A client that hardly lets its server write to its store. So what the server says from memory is not
 * held back by a write that fails, or takes long, because another server owns the store.
 */
export function drawIdleCharacter(random: Random): Character {
  return {
    ...{ kind: random.pick(['lines', 'v2']), namespace: 'shop', abandonMs: IDLE_ABANDON_MS },
    ...{ heartbeatMs: 300, isBehindProxy: false, leavesLocks: false, locks: 1, farewell: 'bye' },
  };
}

export function isOfLibrary(kind: Character['kind']): boolean {
  return kind === 'library' || kind === 'library-ws';
}

export interface Terms {
  readonly waitMs?: number;
  readonly holdMs?: number;
  readonly owner?: string;
}

export function drawTerms(random: Random): Terms {
  return {
    ...(random.oneIn(4) ? { waitMs: random.pick([0, 10, 100, 500]) } : {}),
    ...(random.oneIn(6) ? { holdMs: random.pick([5, 30, 200]) } : {}),
  };
}

/** @param isLimitedToo v1 has no limited reads */
export function drawResources(random: Random, isLimitedToo: boolean): Resource[] {
  if (isLimitedToo && random.oneIn(6)) {
    return [{ type: 'read', path: LIMITED, limit: 1 + random.below(3) }];
  }
  return Array.from({ length: random.oneIn(3) ? 2 + random.below(2) : 1 }, () => {
    const length = random.oneIn(40) ? 0 : random.pick([1, 2, 2, 2]);
    const path = Array.from({ length }, () => random.pick(SEGMENTS));
    return { type: random.oneIn(3) ? 'read' : 'write', path };
  });
}

/** A counter of the guard that the lock covers, if it has a write. */
export function drawCounter(random: Random, resources: readonly Resource[]): string[] | undefined {
  const writes = resources.filter(({ type }) => type === 'write');
  if (writes.length === 0) return undefined;
  const { path } = random.pick(writes);
  const missing = Array.from({ length: 2 - path.length }, () => random.pick(SEGMENTS));
  return [...path, ...missing];
}
