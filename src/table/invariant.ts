/**
 * The assertions of the hot path. They stay on: a lock table that doubts itself must not go on, so
 * whoever runs a server lets the process end. `node:assert` would cost a tenth of a lock.
 */

/** @throws Error with `broken` when that does not hold: a bug of the table or its caller */
export function invariant(holds: boolean, broken: string): asserts holds {
  if (!holds) fail(broken);
}

/** The stack begins at whoever called `invariant`: that is the place to be told. */
function fail(broken: string): never {
  const error = new Error(broken);
  Error.captureStackTrace(error, invariant);
  throw error;
}
