/** The errors with which a lock request fails or a lock is lost. */
import {
  DeadlockError,
  LockLostError,
  LockTimeoutError,
  type LocktopusError,
  type LocktopusErrorCode,
  RefusedError,
  UnreachableError,
} from './errors.ts';
import type { LockTerms } from './options.ts';
import type { ReplyError } from './replies.ts';
import { describe } from './resources.ts';

/** Why a lock was lost, where the server sends no message. */
const LOSSES = {
  expired: 'its holdMs has passed',
  evicted: 'an administrator took it away',
  missing: 'it ended while the client was disconnected',
  unconfirmed:
    'the server has not answered for so long that it may have granted the lock to another client',
  'too late': 'it was granted so long ago that its holdMs may have passed',
};

/** A lock was lost for one of these reasons. */
export function lossOf(
  id: string,
  { resources }: LockTerms,
  kind: keyof typeof LOSSES,
): LockLostError {
  const code = kind === 'too late' ? 'expired' : kind;
  return lossBecause(id, { resources }, code, LOSSES[kind]);
}

/** A lock was lost; `why` completes the message. */
export function lossBecause(
  id: string,
  { resources }: Pick<LockTerms, 'resources'>,
  code: LocktopusErrorCode,
  why: string,
): LockLostError {
  const message = `the lock on ${describe(resources)} was lost: ${why}`;
  return new LockLostError(code, message, { id, resources });
}

export function timedOut({ resources, waitMs }: LockTerms): LockTimeoutError {
  return new LockTimeoutError(`${describe(resources)} was not acquired within ${waitMs} ms`);
}

/** @param lastFailure why there is no connection, if that is known */
export function outOfReach(
  { resources, waitMs }: LockTerms,
  lastFailure: LocktopusError | undefined,
): UnreachableError {
  const what = `${describe(resources)} was not acquired within ${waitMs} ms`;
  const why = lastFailure === undefined ? '' : `: ${lastFailure.message}`;
  return new UnreachableError(`${what}; no server is reachable${why}`, lastFailure);
}

export function refused(error: ReplyError): DeadlockError | RefusedError {
  const { code, message, cycle, cycleMore } = error;
  if (code === 'deadlock') return new DeadlockError(message, cycle, cycleMore);
  return new RefusedError(code, message);
}

/** A wait has ended without an error from the server. */
export function waitEnded({ resources }: LockTerms, code: 'evicted' | 'missing'): RefusedError {
  const why = {
    evicted: 'an administrator took it out of the queue',
    missing: 'it ended while the client was disconnected',
  };
  return new RefusedError(code, `the wait for ${describe(resources)} ended: ${why[code]}`);
}
