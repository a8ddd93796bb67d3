/** A lock as callers see it, and as the table keeps it. */
import type { Entry } from './queue.ts';
import type { Resource } from './resource.ts';

/** enqueued -> acquired -> released, or enqueued -> released. */
export type LockState = 'enqueued' | 'acquired' | 'released';

/**
 * An atomic set of resources, held or waited for together. `C` is the type of the caller's data.
 */
export interface Lock<C = void> {
  /** Rises with arrival: of two conflicting locks, the one acquired later has the larger id. */
  readonly id: number;
  readonly resources: readonly Resource[];
  readonly context: C;
  readonly state: LockState;
}

/** A lock with the table's fields. Kept small: clients decide how many there are. */
export class TableLock<C> implements Lock<C> {
  readonly id: number;
  readonly resources: readonly Resource[];
  readonly context: C;
  /** How many of its entries are not ready. */
  pending = 0;
  /** The first of its entries; the others follow by `sibling`. Null once released. */
  entries: Entry<C> | null = null;

  constructor(id: number, resources: readonly Resource[], context: C) {
    this.id = id;
    this.resources = resources;
    this.context = context;
  }

  get state(): LockState {
    if (this.entries === null) return 'released';
    return this.pending === 0 ? 'acquired' : 'enqueued';
  }
}
