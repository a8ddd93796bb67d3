/** Lists of locks, for people. */
import type { InspectedLock } from '../client/index.ts';
import { holderText } from '../operators/lock-text.ts';
import { lockTable } from './lock-text.ts';
import { type Paper, writeTables } from './text-table.ts';

/** Writes tables of `locks`. Resolves with the number of locks. */
export function listLocks(
  locks: AsyncIterable<InspectedLock>,
  paper: Paper,
  out: (text: string) => void,
): Promise<number> {
  // A lock waits for earlier ones, which may be in a table before its own.
  const holders = new Map<string, string>();
  const table = (chunk: readonly InspectedLock[]): string => {
    for (const lock of chunk) holders.set(lock.id, holderText(lock));
    return lockTable(chunk, (id) => holders.get(id), paper);
  };
  return writeTables(locks, table, out);
}
