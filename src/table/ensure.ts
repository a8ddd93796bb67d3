/**
 * The assertions of the hot path. They stay on: a lock table that doubts itself must not go on, so
 * whoever runs a server lets the process end. `node:assert` would cost a tenth of a lock.
 */

/** @throws Error with `invariant` when that does not hold: a bug of the table or its caller */
export function ensure(holds: boolean, invariant: string): asserts holds {
  if (!holds) throw new Error(invariant);
}
