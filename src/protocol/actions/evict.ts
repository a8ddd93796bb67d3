/**
 * `evict`: an administrator takes one lock, held or enqueued, or ends a whole session. Who is an
 * administrator is decided in auth.ts; here the lock or session is found, reported and taken.
 */
import type { Ref } from '../../session/lock-record.ts';
import type { Namespace } from '../../session/namespace.ts';
import type { Eviction } from '../channel.ts';
import { RequestError } from '../errors.ts';
import { decodeId } from '../ids.ts';
import type { ActionDefinition } from '../requests.ts';

/** Takes away one lock, or ends one session: one of the two ids is there. */
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
        'evict needs the id of a lock or a sessionId, one of the two',
      );
    }
    return { action: 'evict', ref, id, sessionId };
  },
  answer(context, request) {
    const { host, channel, replies } = context;
    const { namespace } = context.session();
    // The lock or session is looked for among all there is.
    channel.yieldTurn();
    const eviction = context.isAdmin
      ? findEviction(request, namespace)
      : new RequestError('forbidden', host.auth.forbiddenMessage);
    if (eviction instanceof RequestError) {
      replies.error(request, eviction);
      return;
    }
    // The answer comes first: what this lets through may be a lock of this session.
    replies.fields(request, evictionFields(eviction));
    host.adminObserver?.evicted(eviction, channel.client);
    carryOut(eviction);
  },
  help: [
    {
      example: { action: 'evict', id: '1795475605972001' },
      does: 'administrators: takes a lock from its client',
    },
  ],
};

/** What `request` is about, if there is such a thing in that namespace. Changes nothing. */
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

/** The answer, as fields to be put after its action and ref. */
function evictionFields({ session, lock, locks }: Eviction): object {
  return lock === undefined
    ? { sessionId: String(session.id), locks }
    : { id: String(lock.id), locks };
}

/** Does it: the victim is told, then those who get what it had. */
function carryOut({ session, lock }: Eviction): void {
  if (lock === undefined) session.evict();
  else session.evictLock(lock);
}
