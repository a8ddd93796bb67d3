/**
 * The assertions of the hot path. They stay on: a lock table that doubts itself must not go on, so
 * whoever runs a server lets the process end. `node:assert` would cost a tenth of a lock.
 */

/** @throws Error with `invariant` when that does not hold: a bug of the table or its caller */
export function ensure(holds: boolean, invariant: string): asserts holds {
  if (!holds) fail(invariant);
}

/** The stack begins at whoever called `ensure`: that is the place to be told. */
function fail(invariant: string): never {
  const error = new Error(invariant);
  Error.captureStackTrace(error, ensure);
  throw error;
}
