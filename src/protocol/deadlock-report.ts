/**
 * A deadlock in words: which owners wait for which, lock by lock and path by path. A circle may have
 * thousands of owners with long names and paths that others have sent: the first links are told.
 */
import type { LockRecord } from '../session/lock-record.ts';
import type { Wait } from '../table/waits.ts';
import { RequestError } from './errors.ts';
import { shorten } from './fields.ts';
import { firstOf } from './lock-fields.ts';

export function deadlockError(cycle: readonly Wait<LockRecord>[]): RequestError {
  const { listed } = firstOf(cycle);
  const names = listed.map(({ waiter }) => nameOf(waiter.context));
  const more = cycle.length - listed.length;
  const back = more > 0 ? `${more} more, the last of which waits for ${names[0]}` : names[0];
  const way = [...names, back].join(' waits for ');
  return new RequestError('deadlock', `${way}: release what one of them holds, then ask again`);
}

/**
 * The fields of the error: a link for each of the first owners of the cycle, with what it waits for
 * and where the two meet, and how many links more there are.
 */
export function cycleFields(cycle: readonly Wait<LockRecord>[]): object {
  const { listed } = firstOf(cycle);
  const more = cycle.length - listed.length;
  const links = listed.map(({ waiter, blocker, relation, path }) => ({
    owner: waiter.context.owner?.name,
    session: waiter.context.session.label,
    id: String(waiter.id),
    waitsFor: String(blocker.id),
    relation,
    path,
  }));
  return { cycle: links, cycleMore: more > 0 ? more : undefined };
}

function nameOf({ owner }: LockRecord): string {
  return JSON.stringify(shorten(owner?.name ?? ''));
}
