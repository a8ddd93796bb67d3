/**
 * What an administrator takes from others: one lock, held or enqueued, or a whole session. Whether
 * somebody is an administrator is decided in access.ts; here it is found, told and done.
 */
import type { SessionLock } from '../session/lock-record.ts';
import type { Namespace } from '../session/namespace.ts';
import type { Session } from '../session/session.ts';
import type { Answers } from './answers.ts';
import type { Channel } from './channel.ts';
import type { ProtocolHost } from './conversation-host.ts';
import { RequestError } from './errors.ts';
import type { EvictRequest } from './requests.ts';

export interface Eviction {
  readonly session: Session;
  /** The one lock that is taken; without it, the session is ended. */
  readonly lock: SessionLock | undefined;
  /** How many locks go, held and enqueued. */
  readonly locks: number;
}

/** Hears what administrators do to others, before it is done. It must not throw or touch anything. */
export interface AdminObserver {
  /** @param by the client that asked for it, as people know it: an address */
  evicted(eviction: Eviction, by: string): void;
}

/** @param isAdmin whether whoever asks may do so */
export function answerEvict(
  request: EvictRequest,
  namespace: Namespace,
  isAdmin: boolean,
  { auth, adminObserver }: ProtocolHost,
  channel: Channel,
  answers: Answers,
): void {
  // Whatever it is about is looked for among all there is.
  channel.yieldTurn();
  const eviction = isAdmin
    ? findEviction(request, namespace)
    : new RequestError('forbidden', auth.forbiddenMessage);
  if (eviction instanceof RequestError) {
    answers.error('evict', request.ref, eviction);
    return;
  }
  // The answer comes first: what this lets through may be a lock of this session.
  answers.fields('evict', request.ref, evictionFields(eviction));
  adminObserver?.evicted(eviction, channel.client);
  evict(eviction);
}

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
function evict({ session, lock }: Eviction): void {
  if (lock === undefined) session.evict();
  else session.evictLock(lock);
}
