/** `release`: ends a lock of this session, held or enqueued. */
import type { Ref, SessionLock } from '../../session/lock-record.ts';
import type { Session } from '../../session/session.ts';
import { RequestError } from '../errors.ts';
import { decodeId } from '../ids.ts';
import type { ActionDefinition } from '../requests.ts';

export interface ReleaseRequest {
  readonly action: 'release';
  readonly ref: Ref | undefined;
  /** May be left out if the session has only one lock. */
  readonly id: number | undefined;
}

export const release: ActionDefinition<ReleaseRequest> = {
  fields: ['id'],
  decode(message, ref) {
    const id = decodeId(message.id, 'id');
    return id instanceof RequestError ? id : { action: 'release', ref, id };
  },
  answer(context, request) {
    const session = context.session();
    const lock = findLock(session, request);
    if (lock instanceof RequestError) {
      context.replies.error(request, lock);
      return;
    }
    // The answer comes first: the release may grant another lock of this session.
    context.replies.state(request, lock.id, 'released');
    session.release(lock);
  },
  help: [
    {
      example: { action: 'release' },
      does: 'releases the lock, held or enqueued; add its "id" if there are several',
    },
  ],
};

/**
 * The lock with the `id` of the request or, without an id, the only lock of the session.
 *
 * @param action completes the error message
 */
export function findLock(
  session: Session,
  { action, id }: { readonly action: 'release' | 'extend'; readonly id: number | undefined },
): SessionLock | RequestError {
  if (id !== undefined) {
    const lock = session.locks.get(id);
    if (lock !== undefined) return lock;
    return new RequestError(
      'no_such_lock',
      `this session has no lock ${id}; it may be released already`,
    );
  }
  const count = session.locks.size;
  if (count === 0) return new RequestError('no_such_lock', `this session has no lock to ${action}`);
  const { only } = session.locks;
  if (only !== undefined) return only;
  return new RequestError(
    'id_needed',
    `this session has ${count} locks: add the "id" of the one to ${action}`,
  );
}
