/**
 * `evict`: an administrator takes away one lock, held or enqueued, or ends a session. auth.ts
 * decides who is an administrator; this file finds the lock or session, reports the eviction and
 * does it.
 */
import type { Ref } from '../../session/lock-record.ts';
import type { Namespace } from '../../session/namespace.ts';
import type { Eviction } from '../channel.ts';
import { RequestError } from '../errors.ts';
import { decodeId } from '../ids.ts';
import type { ActionDefinition } from '../requests.ts';

/** Exactly one of `id` and `sessionId` is set. */
export interface EvictRequest {
  readonly action: 'evict';
  readonly ref: Ref | undefined;
  readonly id: number | undefined;
  readonly sessionId: number | undefined;
}

export const evict: ActionDefinition<EvictRequest> = {
  fields: ['id', 'sessionId'],
  decode(message, ref) {
    const id = decodeId(message.id, 'id');
    if (id instanceof RequestError) return id;
    const sessionId = decodeId(message.sessionId, 'sessionId', 'session');
    if (sessionId instanceof RequestError) return sessionId;
    if ((id === undefined) === (sessionId === undefined)) {
      return new RequestError(
        'bad_request',
        'evict needs exactly one of id (of a lock) and sessionId',
      );
    }
    return { action: 'evict', ref, id, sessionId };
  },
  answer(context, request) {
    const { host, channel, replies } = context;
    const { namespace } = context.session();
    // The search is linear in the sessions of the namespace.
    channel.yieldTurn();
    const eviction = context.isAdmin
      ? findEviction(request, namespace)
      : new RequestError('forbidden', host.auth.forbiddenMessage);
    if (eviction instanceof RequestError) {
      replies.error(request, eviction);
      return;
    }
    // The answer comes first: the eviction may grant a lock of this session.
    replies.fields(request, evictionFields(eviction));
    host.adminObserver?.evicted(eviction, channel.client);
    carryOut(eviction);
  },
  help: [
    {
      example: { action: 'evict', id: '1795475605972001' },
      does: 'administrators only: takes a lock away from its client',
    },
  ],
};

/** The lock or session that `request` names in that namespace. Changes nothing. */
function findEviction(request: EvictRequest, namespace: Namespace): Eviction | RequestError {
  const { id, sessionId } = request;
  if (id !== undefined) {
    const lock = namespace.lockById(id);
    if (lock !== undefined) return { session: lock.context.session, lock, locks: 1 };
    return new RequestError('no_such_lock', `this namespace has no lock ${id}`);
  }
  const session = sessionId === undefined ? undefined : namespace.sessionById(sessionId);
  if (session !== undefined) return { session, lock: undefined, locks: session.locks.size };
  return new RequestError('no_such_session', `this namespace has no session ${sessionId}`);
}

/** The fields of the answer after its action and ref. */
function evictionFields({ session, lock, locks }: Eviction): object {
  return lock === undefined
    ? { sessionId: String(session.id), locks }
    : { id: String(lock.id), locks };
}

/** The client that loses the lock is notified before the clients that are granted it. */
function carryOut({ session, lock }: Eviction): void {
  if (lock === undefined) session.evict();
  else session.evictLock(lock);
}
