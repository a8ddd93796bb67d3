/**
 * A lock table and its model in lockstep. Both take every step; after it the table's invariants are
 * verified, and the two must agree on which locks are held. So every test that uses this class
 * checks all of that, too.
 */
import assert from 'node:assert/strict';
import type { Lock } from '../../src/table/lock.ts';
import { LockTable } from '../../src/table/lock-table.ts';
import type { Resource } from '../../src/table/resource.ts';
import { LockModel } from './lock-model.ts';

export class CheckedTable {
  readonly table = new LockTable();
  readonly #model = new LockModel();
  /** Locks that are not released, in arrival order. */
  readonly #alive = new Set<Lock>();

  get alive(): Lock[] {
    return [...this.#alive];
  }

  lock(resources: readonly Resource[]): Lock {
    const lock = this.table.lock(resources, undefined);
    this.#alive.add(lock);
    this.#model.lock(lock);
    this.#check(this.#model.acquired());
    return lock;
  }

  release(lock: Lock): Lock[] {
    const waiting = this.alive.filter((other) => other !== lock && other.state === 'enqueued');
    const acquired = this.table.release(lock);
    this.#alive.delete(lock);
    this.#model.release(lock.id);
    const held = this.#model.acquired();
    assert.deepEqual(
      acquired.map((other) => other.id),
      waiting.filter((other) => held.has(other.id)).map((other) => other.id),
      'release returns exactly the locks that became held, in arrival order',
    );
    this.#check(held);
    return acquired;
  }

  /** Call it once all locks are released. */
  checkEmpty(): void {
    assert.deepEqual(this.table.size, new LockTable().size, 'nothing is left at the end');
    assert.ok(this.table.isEmpty);
  }

  #check(expected: Set<number>): void {
    this.table.verify();
    const held = this.alive.filter((lock) => lock.state === 'acquired').map((lock) => lock.id);
    assert.deepEqual(new Set(held), expected, 'the table holds what the model holds');
  }
}
