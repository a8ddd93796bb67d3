/** A deadlock in words: which owners wait for which, lock by lock and path by path. */
import type { LockRecord } from '../session/lock-record.ts';
import type { Wait } from '../table/waits.ts';
import { Refusal } from './refusal.ts';

export function deadlockRefusal(cycle: readonly Wait<LockRecord>[]): Refusal {
  const names = cycle.map(({ waiter }) => JSON.stringify(waiter.context.owner?.name));
  const way = [...names, names[0]].join(' waits for ');
  return new Refusal('deadlock', `${way}: release what one of them holds, then ask again`);
}

/** One step for each owner of the cycle: what it waits for, and where the two meet. */
export function cycleOf(cycle: readonly Wait<LockRecord>[]): object[] {
  return cycle.map(({ waiter, blocker, relation, path }) => ({
    owner: waiter.context.owner?.name,
    session: waiter.context.session.label,
    id: String(waiter.id),
    waitsFor: String(blocker.id),
    relation,
    path,
  }));
}
