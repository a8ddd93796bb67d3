/** What it means that none of the addresses of a server could be used. */
import { type LocktopusError, ProtocolError, RefusedError, UnreachableError } from './errors.ts';
import { type Address, indexOfPlace } from './url.ts';

/** Errors of `hello` that a retry won't change. */
const FINAL_CODES: ReadonlySet<string> = new Set([
  'unauthorized',
  'forbidden',
  'bad_request',
  'segment_too_long',
  'message_too_long',
  'unknown_action',
]);

/** Why none of the addresses can be used, and whether a retry won't change that. */
export function connectFailure(failures: readonly LocktopusError[]): {
  readonly error: LocktopusError;
  readonly isFinal: boolean;
} {
  const final = failures.find(({ code }) => FINAL_CODES.has(code));
  if (final !== undefined) return { error: final, isFinal: true };
  const [first] = failures;
  if (failures.length === 1 && first instanceof ProtocolError) {
    return { error: first, isFinal: false };
  }
  const reasons = failures.map(({ message }) => message).join('; ');
  const isReached = failures.some((failure) => failure instanceof RefusedError);
  const message = `no lock server ${isReached ? 'serves here' : 'is reachable'}: ${reasons}`;
  return { error: new UnreachableError(message, failures.at(-1)), isFinal: false };
}

/** Whether a server has said that it, or another one of `addresses`, will serve in a moment. */
export function isPassing(
  failures: readonly LocktopusError[],
  addresses: readonly Address[],
): boolean {
  return failures.some((failure) => {
    if (failure.code === 'restarting') return true;
    if (!(failure instanceof RefusedError) || failure.code !== 'not_owner') return false;
    // Otherwise a server serves that the client was not given.
    return failure.owner === undefined || indexOfPlace(addresses, failure.owner) !== -1;
  });
}
