/** How a lock request, or a lock, can end other than well: the errors that its caller gets. */
import {
  DeadlockError,
  LockLostError,
  LockTimeoutError,
  type LocktopusError,
  type LocktopusErrorCode,
  RefusedError,
  UnreachableError,
} from './errors.ts';
import type { LockTerms } from './lock-entry.ts';
import type { ReplyError } from './replies.ts';
import { inWords } from './resources.ts';

/** Why a lock is lost, where the server does not say it in its own words. */
const LOSSES = {
  expired: 'its holdMs has passed',
  evicted: 'an administrator took it away',
  missing: 'it ended while the client was disconnected',
  unconfirmed:
    'the server has not answered for so long that it may have granted the lock to another client',
  'too late': 'it was granted so long ago that its holdMs may have passed',
};

/** A lock is lost in a way that needs no words of the server's. */
export function lossOf(
  id: string,
  { resources }: LockTerms,
  kind: keyof typeof LOSSES,
): LockLostError {
  const code = kind === 'too late' ? 'expired' : kind;
  return lossBecause(id, { resources }, code, LOSSES[kind]);
}

/** A lock is lost, and `why` says how that came. */
export function lossBecause(
  id: string,
  { resources }: Pick<LockTerms, 'resources'>,
  code: LocktopusErrorCode,
  why: string,
): LockLostError {
  const message = `the lock on ${inWords(resources)} was lost: ${why}`;
  return new LockLostError(code, message, { id, resources });
}

export function timedOut({ resources, waitMs }: LockTerms): LockTimeoutError {
  return new LockTimeoutError(`${inWords(resources)} was not acquired within ${waitMs} ms`);
}

/** @param lastFailure why there is no connection, if that is known */
export function outOfReach(
  { resources, waitMs }: LockTerms,
  lastFailure: LocktopusError | undefined,
): UnreachableError {
  const what = `${inWords(resources)} was not acquired within ${waitMs} ms`;
  const why = lastFailure === undefined ? '' : `: ${lastFailure.message}`;
  return new UnreachableError(`${what}; no server is reachable${why}`, lastFailure);
}

export function refused(error: ReplyError): DeadlockError | RefusedError {
  const { code, message, cycle, cycleMore } = error;
  if (code === 'deadlock') return new DeadlockError(message, cycle, cycleMore);
  return new RefusedError(code, message);
}

/** A wait has ended without a word of the server's to this request. */
export function waitEnded({ resources }: LockTerms, code: 'evicted' | 'missing'): RefusedError {
  const why = {
    evicted: 'an administrator took it out of the queue',
    missing: 'it ended while the client was disconnected',
  };
  return new RefusedError(code, `the wait for ${inWords(resources)} ended: ${why[code]}`);
}
