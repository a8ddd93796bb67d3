/** What gathers for a batch: sessions and locks, and the records that they make. */
import type { SessionLock } from '../session/lock-record.ts';
import type { Session } from '../session/session.ts';
import { deleteLockRecord, deleteSessionRecord, lockRecord, sessionRecord } from './record.ts';

/** Changes of one batch; those that cancel out are taken out by the caller. */
export class Gathering {
  readonly newSessions = new Set<Session>();
  readonly newLocks = new Set<SessionLock>();
  /** Locks of earlier batches with other terms. */
  readonly changedLocks = new Set<SessionLock>();
  /** Ids of locks and sessions of earlier batches. */
  readonly endedLocks: number[] = [];
  readonly endedSessions: number[] = [];

  get isEmpty(): boolean {
    return this.size === 0;
  }

  /** How much has gathered. */
  get size(): number {
    return (
      this.newLocks.size +
      this.endedLocks.length +
      this.newSessions.size +
      this.changedLocks.size +
      this.endedSessions.length
    );
  }

  records(): string[] {
    const records: string[] = [];
    for (const session of this.newSessions) records.push(sessionPut(session));
    for (const lock of this.newLocks) records.push(lockPut(lock));
    for (const lock of this.changedLocks) records.push(lockPut(lock));
    for (const id of this.endedLocks) records.push(deleteLockRecord(id));
    for (const id of this.endedSessions) records.push(deleteSessionRecord(id));
    return records;
  }
}

/** The record that puts `session`. */
export function sessionPut({ id, namespace, abandonTimeoutMs, label, key }: Session): string {
  return sessionRecord({ id, namespace: namespace.name, abandonTimeoutMs, label, key });
}

/** The record that puts `lock`. */
export function lockPut({ id, state, resources, context }: SessionLock): string {
  const { session, ref, terms, sinceMs } = context;
  return lockRecord({
    id,
    session: session.id,
    resources,
    ref,
    terms,
    wasHeld: state === 'acquired',
    sinceMs,
  });
}
