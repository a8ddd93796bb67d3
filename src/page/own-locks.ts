/** What a connection of the playground knows of its own locks, by what the server replied. Pure. */
import type { Reply } from '../client/replies.ts';

export type OwnState =
  | 'asked'
  | 'held'
  | 'waiting'
  | 'released'
  | 'timeout'
  | 'expired'
  | 'evicted'
  | 'abandoned'
  | 'deadlock'
  | 'refused'
  | 'lost';

export interface OwnLock {
  readonly ref: number;
  id: string | undefined;
  /** Its resources. */
  readonly text: string;
  state: OwnState;
  /** Why it was refused, by the server's own words. */
  reason: string | undefined;
}

/** Changes the lock that a message is about. Returns it if its state is another one. */
export function applyReply(locks: readonly OwnLock[], reply: Reply): OwnLock | undefined {
  const { action, id, state, error, fields } = reply;
  if (action !== 'lock' && action !== 'release') return undefined;
  const lock = locks.findLast(
    (own) => (id !== undefined && own.id === id) || (action === 'lock' && own.ref === fields.ref),
  );
  if (lock === undefined) return undefined;
  const before = lock.state;
  if (action === 'lock' && error !== undefined) {
    lock.state = error.code === 'deadlock' ? 'deadlock' : 'refused';
    lock.reason = error.message;
  } else if (state !== undefined) {
    lock.id = id;
    lock.state = state === 'acquired' ? 'held' : state === 'enqueued' ? 'waiting' : state;
  }
  return lock.state === before ? undefined : lock;
}
