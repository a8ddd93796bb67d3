/** A lock as its holder sees it, and the part of it that only the table touches. */
import type { LockTable } from './lock-table.ts';
import type { Entry } from './queue.ts';
import type { Resource } from './resource.ts';

/** enqueued -> acquired -> released, or enqueued -> released. */
export type LockState = 'enqueued' | 'acquired' | 'released';

/** An atomic set of resources, held or waited for together. `C` is whatever the caller attached. */
export interface Lock<C = void> {
  /** Rises with arrival: of two conflicting locks, the one acquired later has the larger id. */
  readonly id: number;
  readonly resources: readonly Resource[];
  readonly context: C;
  readonly state: LockState;
}

/**
 * Invariant: `state` is 'acquired' exactly when the lock has entries and `pending`, the number of
 * those that are not ready, is 0. A released lock has no entries.
 */
export class TableLock<C> implements Lock<C> {
  readonly id: number;
  readonly resources: readonly Resource[];
  readonly context: C;
  readonly table: LockTable<C>;
  state: LockState = 'enqueued';
  pending = 0;
  /** The first of the lock's entries, one or two a node; the others follow by `sibling`. */
  entries: Entry<C> | null = null;

  constructor(table: LockTable<C>, id: number, resources: readonly Resource[], context: C) {
    this.table = table;
    this.id = id;
    this.resources = resources;
    this.context = context;
  }
}
