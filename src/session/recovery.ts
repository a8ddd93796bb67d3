/**
 * Makes sessions and locks anew from what a store kept. To their clients a crash is what a broken
 * connection is: a session can be resumed until its abandon timeout, which begins anew.
 *
 * The state of the table is a function of the live locks in order of arrival. So each lock is
 * entered in that order, and is held or enqueued as it was.
 */
import { nextTurn, type Turns } from '../runtime/clock.ts';
import type { IdCounter } from '../runtime/id-counter.ts';
import type { SessionLock } from './lock-record.ts';
import { Session } from './session.ts';
import type { SessionHost } from './session-host.ts';
import type { StoredLock, StoredSession } from './stored.ts';

/** Sessions or locks that are restored in one go; then other work has its turn. */
const RESTORED_TOGETHER = 1000;

/** The address of a client that has not come back since the restart. */
const NO_CLIENT = 'unknown';

/**
 * Restores `sessions` and `locks`. No timer runs until `goOn`, then `recovered`, is called on each
 * session.
 *
 * @param ids counts the locks of the tables; it has given out no id above that of the first lock
 * @param locks in order of arrival; the session of each is among `sessions`
 */
export async function restore(
  host: SessionHost & { readonly clock: Turns },
  ids: IdCounter,
  sessions: readonly StoredSession[],
  locks: readonly StoredLock[],
): Promise<readonly Session[]> {
  const byId = new Map<number, Session>();
  for (const slice of slicesOf(sessions)) {
    for (const { id, ...settings } of slice) {
      const session = new Session(host, { ...settings, client: NO_CLIENT }, undefined, id);
      byId.set(id, session);
    }
    await nextTurn(host.clock);
  }
  const restored: SessionLock[] = [];
  for (const slice of slicesOf(locks)) {
    const nowMs = Math.ceil(host.clock.now());
    for (const lock of slice) {
      const session = byId.get(lock.session);
      if (session === undefined) throw new Error(`lock ${lock.id} has no session`);
      ids.skipTo(lock.id - 1);
      restored.push(session.restore(lock, nowMs));
    }
    await nextTurn(host.clock);
  }
  host.registry.ages.restore(restored);
  return [...byId.values()];
}

function* slicesOf<T>(items: readonly T[]): Generator<readonly T[]> {
  for (let at = 0; at < items.length; at += RESTORED_TOGETHER) {
    yield items.slice(at, at + RESTORED_TOGETHER);
  }
}
