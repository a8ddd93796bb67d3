/**
 * How many connections the system lets this process have. Each is an open file; when there are no
 * more of those, the system's way is to cut newcomers off without a word, and without one in the
 * log. So the server stops short of that, where it can still say why.
 */
import { MAX_REJECTED } from '../net/listen/acceptor.ts';
import { isObject } from '../protocol/fields.ts';

/** Files for everything else: the process itself, listening, files read again. */
const FILES_OF_ITS_OWN = 64;

/** How many files this process may have open; infinite if there is no limit, or none to be learnt. */
export function openFilesLimit(): number {
  const report: unknown = process.report.getReport();
  if (!isObject(report) || !isObject(report.userLimits)) return Number.POSITIVE_INFINITY;
  const { open_files: limit } = report.userLimits;
  return isObject(limit) && typeof limit.soft === 'number' ? limit.soft : Number.POSITIVE_INFINITY;
}

/** The connections that there may be at a time with so many open files: most of them, or half. */
export function connectionsWithin(openFiles: number): number {
  return Math.max(openFiles - FILES_OF_ITS_OWN - MAX_REJECTED, Math.floor(openFiles / 2));
}

/** Fewer connections than this may be too few for anyone. */
const FEW_CONNECTIONS = 1000;

/**
 * Whether it is worth a line at start that there is room for fewer connections than may be: where a
 * person has chosen how many, or there are few. The default is more than most systems have room for.
 */
export function isWorthSaying(room: number, wanted: number, isChosen: boolean): boolean {
  return room < wanted && (isChosen || room < FEW_CONNECTIONS);
}
