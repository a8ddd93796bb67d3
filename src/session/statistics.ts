/** Totals over all namespaces at this moment: for pages, logs and the end of a drain. */
import type { Namespaces } from './namespace.ts';

export interface Statistics {
  readonly namespaces: number;
  readonly sessions: { readonly open: number; readonly lost: number };
  readonly locks: { readonly acquired: number; readonly enqueued: number };
  /** Paths in use, with all their prefixes. */
  readonly paths: number;
}

/** Takes O(sessions). */
export function statisticsOf(namespaces: Namespaces): Statistics {
  const sessions = { open: 0, lost: 0 };
  const locks = { acquired: 0, enqueued: 0 };
  let paths = 0;
  for (const { table, sessions: those } of namespaces) {
    locks.acquired += table.size.acquired;
    locks.enqueued += table.size.enqueued;
    paths += table.size.paths;
    for (const { isLost } of those) sessions[isLost ? 'lost' : 'open']++;
  }
  return { namespaces: namespaces.size, sessions, locks, paths };
}

/** Sessions that hold locks, lost ones included. Takes O(locks). */
export function countHolders(namespaces: Namespaces): number {
  let holders = 0;
  for (const { sessions } of namespaces) {
    for (const session of sessions) if (session.isHolder) holders++;
  }
  return holders;
}
