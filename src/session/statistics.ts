/** Totals over all namespaces at this moment: for pages, logs and the end of a drain. */
import type { SessionLock } from './lock-record.ts';
import type { Namespaces } from './namespace.ts';

export interface Statistics {
  readonly namespaces: number;
  readonly sessions: { readonly open: number; readonly lost: number };
  readonly locks: { readonly acquired: number; readonly enqueued: number };
  /** Paths in use, with all their prefixes. */
  readonly paths: number;
  /** Milliseconds that the oldest waiter has waited and the oldest holder has held; 0 without one. */
  readonly oldestMs: { readonly wait: number; readonly hold: number };
}

/**
 * Takes O(sessions).
 *
 * @param nowMs the present time of the server's clock
 */
export function statisticsOf(namespaces: Namespaces, nowMs: number): Statistics {
  const sessions = { open: 0, lost: 0 };
  const locks = { acquired: 0, enqueued: 0 };
  let paths = 0;
  for (const { table, sessions: those } of namespaces) {
    locks.acquired += table.size.acquired;
    locks.enqueued += table.size.enqueued;
    paths += table.size.paths;
    for (const { isLost } of those) sessions[isLost ? 'lost' : 'open']++;
  }
  const { waiting, held } = namespaces.ages;
  const ageOf = (lock: SessionLock | null): number =>
    lock === null ? 0 : Math.max(0, nowMs - lock.context.sinceMs);
  const oldestMs = { wait: ageOf(waiting.oldest), hold: ageOf(held.oldest) };
  return { namespaces: namespaces.size, sessions, locks, paths, oldestMs };
}

/** What outlives a server that stops and has a store. */
export interface Kept {
  /** Sessions with locks. */
  readonly sessions: number;
  readonly held: number;
  readonly waiting: number;
}

/** A session that can't be resumed keeps only what it holds. Takes O(locks). */
export function countKept(namespaces: Namespaces): Kept {
  const kept = { sessions: 0, held: 0, waiting: 0 };
  for (const { sessions } of namespaces) {
    for (const { locks, key } of sessions) {
      const before = kept.held + kept.waiting;
      for (const { state } of locks) {
        if (state === 'acquired') kept.held++;
        else if (key !== undefined) kept.waiting++;
      }
      if (kept.held + kept.waiting > before) kept.sessions++;
    }
  }
  return kept;
}

/** Sessions that hold locks, lost ones included. Takes O(locks). */
export function countHolders(namespaces: Namespaces): number {
  let holders = 0;
  for (const { sessions } of namespaces) {
    for (const session of sessions) if (session.isHolder) holders++;
  }
  return holders;
}
