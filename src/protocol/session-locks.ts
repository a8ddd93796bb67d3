/** Questions about the locks of a session that its conversation asks. */
import type { SessionLock } from '../session/lock-record.ts';
import type { Session } from '../session/session.ts';
import type { Resource } from '../table/resource.ts';
import { RequestError } from './errors.ts';

/** The lock that a release means: the one with that `id` or, without an id, the only one. */
export function findLock(session: Session, id: number | undefined): SessionLock | RequestError {
  if (id !== undefined) {
    const lock = session.locks.get(id);
    if (lock !== undefined) return lock;
    return new RequestError(
      'no_such_lock',
      `this session has no lock ${id}; it may be released already`,
    );
  }
  const count = session.locks.size;
  if (count === 0) return new RequestError('no_such_lock', 'this session has no lock to release');
  const { only } = session.locks;
  if (only !== undefined) return only;
  return new RequestError(
    'id_needed',
    `this session has ${count} locks; say which one by its "id"`,
  );
}

/** The state of a lock that is not released. */
export function stateOf(lock: SessionLock): 'acquired' | 'enqueued' {
  return lock.state === 'acquired' ? 'acquired' : 'enqueued';
}

/** Whether both ask for the same, in the same order. */
export function isSameRequest(a: readonly Resource[], b: readonly Resource[]): boolean {
  return a.length === b.length && a.every((resource, i) => isSame(resource, b[i]));
}

function isSame(a: Resource, b: Resource | undefined): boolean {
  if (a.type !== b?.type || limitOf(a) !== limitOf(b)) return false;
  return a.path.length === b.path.length && a.path.every((segment, i) => segment === b.path[i]);
}

function limitOf(resource: Resource): number | undefined {
  return resource.type === 'read' ? resource.limit : undefined;
}
