/** What people are told of a lock, by `inspect` and by `watch`, in the same words. */
import type { SessionLock } from '../session/lock-record.ts';
import type { Path, Resource } from '../table/resource.ts';

/** Of the resources or the waits of a lock, or the links of a deadlock, so many are spelled out. */
const MAX_LISTED = 10;
/**
 * A list ends after so many characters of paths, however few items it has by then: a path may have a
 * hundred thousand, and those who ask need not have sent it.
 */
const MAX_LISTED_CHARACTERS = 4096;

/** The first of `items`, one at least, and whether there are more. */
export function firstOf<T extends { readonly path: Path }>(
  items: Iterable<T>,
): { readonly listed: T[]; readonly hasMore: boolean } {
  const listed: T[] = [];
  let characters = 0;
  for (const item of items) {
    if (listed.length === MAX_LISTED || characters > MAX_LISTED_CHARACTERS) {
      return { listed, hasMore: true };
    }
    listed.push(item);
    for (const segment of item.path) characters += segment.length;
  }
  return { listed, hasMore: false };
}

/** The first of the resources, and how many more there are. */
export function resourceFields(resources: readonly Resource[]): object {
  const { listed } = firstOf(resources);
  const more = resources.length - listed.length;
  return { resources: listed, moreResources: more > 0 ? more : undefined };
}

/** The words that clients gave for the session, the lock and its owner. */
export function wordFields({ context: { session, terms } }: SessionLock): object {
  return { session: session.label, label: terms.label, owner: terms.owner };
}
