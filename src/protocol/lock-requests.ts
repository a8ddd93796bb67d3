/** What is done for `lock` and `release`, and what is answered. */
import type { Limits } from '../runtime/limits.ts';
import type { Ref, SessionLock } from '../session/lock-record.ts';
import type { Session } from '../session/session.ts';
import type { LockError } from '../session/session-host.ts';
import type { Answers } from './answers.ts';
import type { Channel } from './channel.ts';
import { cycleFields, deadlockError } from './deadlock-report.ts';
import { limitError, RequestError } from './errors.ts';
import type { LockRequest, ReleaseRequest } from './requests.ts';
import { findLock, isSameRequest, stateOf } from './session-locks.ts';

export function answerLock(
  session: Session,
  request: LockRequest,
  limits: Limits,
  channel: Channel,
  answers: Answers,
): void {
  const { resources, terms } = request;
  const known = terms.ref === undefined ? undefined : session.locks.getByRef(terms.ref);
  if (known !== undefined) {
    repeat(known, request, answers);
    return;
  }
  const lock = session.lock(resources, terms);
  if (mayHaveSearched(lock)) channel.yieldTurn();
  if ('code' in lock) refuse(lock, terms.ref, limits, answers);
  else answers.lock(lock, stateOf(lock));
}

/** Whether a deadlock has been looked for among many: not for an owner without other locks. */
function mayHaveSearched(lock: SessionLock | LockError): boolean {
  if ('code' in lock) return lock.code === 'deadlock';
  const { owner } = lock.context;
  return owner !== undefined && owner.locks.size > 1 && lock.state === 'enqueued';
}

export function answerRelease(
  session: Session,
  { ref, id }: ReleaseRequest,
  answers: Answers,
): void {
  const lock = findLock(session, id);
  if (lock instanceof RequestError) {
    answers.error('release', ref, lock);
    return;
  }
  // The answer comes first: what this release lets through may be another lock of this session.
  answers.state('release', ref, lock.id, 'released');
  session.release(lock);
}

function refuse(error: LockError, ref: Ref | undefined, limits: Limits, answers: Answers): void {
  if (error.code === 'timeout') {
    answers.state('lock', ref, error.id, 'timeout');
  } else if (error.code === 'deadlock') {
    const details = cycleFields(error.cycle);
    answers.error('lock', ref, deadlockError(error.cycle), details);
  } else {
    answers.error('lock', ref, limitError(error.code, limits));
  }
}

/** A `ref` that is in use: a retry of the same request hears how that stands. */
function repeat(known: SessionLock, { resources, terms }: LockRequest, answers: Answers): void {
  if (isSameRequest(known.resources, resources)) {
    answers.lock(known, stateOf(known));
    return;
  }
  const message = `this ref belongs to lock ${known.id}, which has other resources; choose another ref or release that lock first`;
  answers.error('lock', terms.ref, new RequestError('ref_in_use', message));
}
