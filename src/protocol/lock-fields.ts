/** What people are told of a lock, by `inspect` and by `watch`, in the same words. */
import type { SessionLock } from '../session/lock-record.ts';
import type { Resource } from '../table/resource.ts';

/** Of one lock, the resources and the waits that are spelled out. */
export const MAX_LISTED = 10;

/** The first of the resources, and how many more there are. */
export function resourceFields(resources: readonly Resource[]): object {
  const more = resources.length - MAX_LISTED;
  return {
    resources: resources.slice(0, MAX_LISTED),
    moreResources: more > 0 ? more : undefined,
  };
}

/** The words that clients gave for the session, the lock and its owner. */
export function wordFields({ context: { session, terms } }: SessionLock): object {
  return { session: session.label, label: terms.label, owner: terms.owner };
}
