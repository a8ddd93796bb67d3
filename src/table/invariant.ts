/**
 * The assertions of the hot path. They stay on in production: a server whose lock table is broken
 * must not go on, and ends its process. `node:assert` would cost a tenth of the time of a lock.
 */

/** @throws Error with the message `broken` if `holds` is false: a bug of the table or its caller */
export function invariant(holds: boolean, broken: string): asserts holds {
  if (!holds) fail(broken);
}

/** Throws with a stack that begins at the caller of `invariant`, the place to report. */
function fail(broken: string): never {
  const error = new Error(broken);
  Error.captureStackTrace(error, invariant);
  throw error;
}
