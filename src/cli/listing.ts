/** Lists of locks, for people. */
import type { InspectedLock } from '../client/index.ts';
import { holderText, lockTable } from './lock-text.ts';
import type { Paper } from './text-table.ts';

/** Locks in one table; a longer list becomes several, so that its beginning is shown at once. */
const CHUNK = 1000;

/** Writes tables of `locks`. Resolves with the number of locks. */
export async function listLocks(
  locks: AsyncIterable<InspectedLock>,
  paper: Paper,
  out: (text: string) => void,
): Promise<number> {
  const holders = new Map<string, string>();
  let chunk: InspectedLock[] = [];
  let count = 0;
  const flush = (): void => {
    if (chunk.length > 0) out(lockTable(chunk, (id) => holders.get(id), paper));
    chunk = [];
  };
  for await (const lock of locks) {
    count++;
    chunk.push(lock);
    holders.set(lock.id, holderText(lock));
    if (chunk.length === CHUNK) flush();
  }
  flush();
  return count;
}
