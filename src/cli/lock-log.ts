/**
 * What the log says of locks, sessions and clients: who, what, and for how long. In words, and as
 * fields with the names that the protocol gives them.
 */
import type { ClientObserver } from '../net/listen/clients.ts';
import type { AdminObserver, Eviction } from '../protocol/channel.ts';
import { resourceFields, wordFields } from '../protocol/replies.ts';
import { plural } from '../runtime/text.ts';
import type { SessionLock } from '../session/lock-record.ts';
import type { Session } from '../session/session.ts';
import type { LockObserver, SessionObserver } from '../session/session-host.ts';
import type { SlowLock } from '../session/slow-locks.ts';
import { Budget } from '../table/budget.ts';
import type { Resource } from '../table/resource.ts';
import type { Log } from './log.ts';

/** Steps in the search for what a slow waiter waits for. */
const MAX_STEPS = 100;

/** Locks that a line about a drain names. */
const MAX_NAMED = 5;

/** For `--log-locks`. */
export function lockObserver(log: Log): LockObserver {
  return {
    enqueued: (lock) => log.add('lock_enqueued', `enqueued ${lockName(lock)}`, lockFields(lock)),
    acquired(lock, waitedMs) {
      const after = waitedMs === 0 ? '' : `; waited for ${waitedMs} ms`;
      const fields = { ...lockFields(lock), waitedMs };
      log.add('lock_acquired', `acquired ${lockName(lock)}${after}`, fields);
    },
    released(lock, cause, { wasHeld, forMs }) {
      const was = wasHeld ? 'held' : 'waited';
      const fields = { cause, ...lockFields(lock), [wasHeld ? 'heldMs' : 'waitedMs']: forMs };
      log.add('lock_ended', `${cause} ${lockName(lock)}; ${was} for ${forMs} ms`, fields);
    },
  };
}

/** For `--log-clients`. */
export function clientObservers(log: Log): {
  readonly client: ClientObserver;
  readonly session: SessionObserver;
} {
  const client: ClientObserver = {
    connected: (name, kind) =>
      log.add('client_connected', `client ${name} connected (${kind})`, { client: name, kind }),
    disconnected(name, session) {
      if (session?.isLost !== true || session.locks.size === 0) {
        log.add('client_disconnected', `client ${name} disconnected`, { client: name });
        return;
      }
      const { abandonTimeoutMs } = session;
      const kept = `${sessionName(session)} keeps ${countsText(session)}`;
      const text = `client ${name} disconnected; ${kept} for ${abandonTimeoutMs} ms unless it is resumed`;
      const fields = { ...sessionFields(session), ...countsOf(session), abandonTimeoutMs };
      log.add('client_disconnected', text, fields);
    },
  };
  const session: SessionObserver = {
    began(begun) {
      const text = `${sessionName(begun)} of ${begun.client} began in ${namespaceName(begun)}`;
      log.add('session_began', text, sessionFields(begun));
    },
    resumed(again) {
      const text = `${sessionName(again)} resumed by ${again.client}, with ${countsText(again)}`;
      log.add('session_resumed', text, { ...sessionFields(again), ...countsOf(again) });
    },
    abandoned(lost) {
      const text = `${sessionName(lost)} of ${lost.client} abandoned, with ${countsText(lost)}`;
      log.add('session_abandoned', text, { ...sessionFields(lost), ...countsOf(lost) });
    },
  };
  return { client, session };
}

export function adminObserver(log: Log): AdminObserver {
  return {
    evicted: (eviction, by) =>
      log.add('evicted', evictionLine(eviction, by), evicted(eviction, by)),
  };
}

/** An eviction, made by the administrator `by`. */
export function evictionLine({ session, lock, locks }: Eviction, by: string): string {
  if (lock !== undefined) return `${by} evicted ${lockName(lock)}`;
  const whose = `${sessionName(session)} of ${session.client} in ${namespaceName(session)}`;
  return `${by} evicted ${whose}, with ${plural(locks, 'lock')}`;
}

function evicted({ session, lock, locks }: Eviction, by: string): object {
  return { by, ...(lock === undefined ? { ...sessionFields(session), locks } : lockFields(lock)) };
}

/** @param suppressed slow locks since the last such line that were not logged */
export function logSlowLock(log: Log, { lock, state, forMs }: SlowLock, suppressed: number): void {
  const behind = state === 'enqueued' ? firstAhead(lock) : undefined;
  const what = state === 'enqueued' ? 'has waited' : 'has been held';
  const why = behind === undefined ? '' : `, behind ${lockName(behind)}`;
  const more = suppressed === 0 ? '' : `; ${plural(suppressed, 'more slow lock')} not logged`;
  const times = state === 'enqueued' ? { waitedMs: forMs } : { heldMs: forMs };
  log.add('slow_lock', `warning: ${lockName(lock)} ${what} for ${forMs} ms${why}${more}`, {
    ...lockFields(lock),
    state,
    ...times,
    ...(behind === undefined ? {} : { behind: lockFields(behind) }),
    ...(suppressed === 0 ? {} : { suppressed }),
  });
}

function firstAhead(lock: SessionLock): SessionLock | undefined {
  const { table } = lock.context.session.namespace;
  for (const { blocker } of table.waitsOf(lock, new Budget(MAX_STEPS))) return blocker;
  return undefined;
}

/**
 * The progress of a drain: what is still held, and by whom.
 *
 * @param sessions how many hold locks
 * @param locks how many are held
 * @param oldest those held longest, in that order
 */
export function drainLine(
  sessions: number,
  locks: number,
  oldest: Iterable<SessionLock>,
): { readonly text: string; readonly fields: object } {
  const named = [...firstFew(oldest)];
  const verb = sessions === 1 ? 'holds' : 'hold';
  const names = named.map(lockName).join('; ');
  const more = locks > named.length ? `; and ${locks - named.length} more` : '';
  const text = `draining: ${plural(sessions, 'session')} ${verb} ${plural(locks, 'lock')}: ${names}${more}`;
  return { text, fields: { sessions, locks, oldest: named.map(lockFields) } };
}

function* firstFew(locks: Iterable<SessionLock>): Generator<SessionLock> {
  let count = 0;
  for (const lock of locks) {
    yield lock;
    if (++count === MAX_NAMED) return;
  }
}

/** A lock in a log line: its client, session, namespace and resources. */
export function lockName({ id, context: { session, terms }, resources }: SessionLock): string {
  const label = terms.label === undefined ? '' : ` ${JSON.stringify(terms.label)}`;
  const what = resourceFields(resources);
  const more = what.moreResources === undefined ? '' : ` and ${what.moreResources} more`;
  const paths = what.resources.map(resourceName).join(', ');
  const whose = `${session.client} (${sessionName(session)}) in ${namespaceName(session)}`;
  return `lock ${id}${label} of ${whose}: ${paths}${more}`;
}

function lockFields(lock: SessionLock): object {
  const { client, id, namespace } = lock.context.session;
  return {
    id: String(lock.id),
    namespace: namespace.name,
    ...resourceFields(lock.resources),
    client,
    sessionId: String(id),
    ...wordFields(lock),
  };
}

function sessionName({ id, label }: Session): string {
  return `session ${id}${label === undefined ? '' : ` ${JSON.stringify(label)}`}`;
}

function sessionFields({ id, label, client, namespace }: Session): object {
  return { namespace: namespace.name, client, sessionId: String(id), session: label };
}

function namespaceName({ namespace }: Session): string {
  return JSON.stringify(namespace.name);
}

function countsOf({ locks }: Session): { readonly held: number; readonly waiting: number } {
  let held = 0;
  for (const { state } of locks) if (state === 'acquired') held++;
  return { held, waiting: locks.size - held };
}

function countsText(session: Session): string {
  const { held, waiting } = countsOf(session);
  return `${plural(held, 'lock')} held and ${waiting} waiting`;
}

function resourceName(resource: Resource): string {
  const limit =
    resource.type === 'read' && resource.limit !== undefined ? ` limit ${resource.limit}` : '';
  return `${resource.type} ${JSON.stringify(resource.path)}${limit}`;
}
