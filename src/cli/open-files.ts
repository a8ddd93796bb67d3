/**
 * How many connections the open-file limit allows. At the limit, new connections are dropped
 * without an answer. So the server stops accepting before it, where it can still answer and log
 * why.
 */
import { MAX_REJECTED } from '../net/listen/acceptor.ts';
import { isObject } from '../runtime/unknown.ts';

/** Descriptors for everything else: Node's own, listeners, files that are reloaded. */
const FILES_OF_ITS_OWN = 64;

/** The open-file limit of this process (soft); infinite if there is none, or it can't be read. */
export function openFilesLimit(): number {
  const report: unknown = process.report.getReport();
  if (!isObject(report) || !isObject(report.userLimits)) return Number.POSITIVE_INFINITY;
  const { open_files: limit } = report.userLimits;
  return isObject(limit) && typeof limit.soft === 'number' ? limit.soft : Number.POSITIVE_INFINITY;
}

/**
 * The most connections at a time within `openFiles`: all but those reserved, and at least half.
 */
export function connectionsWithin(openFiles: number): number {
  return Math.max(openFiles - FILES_OF_ITS_OWN - MAX_REJECTED, Math.floor(openFiles / 2));
}

/** Fewer connections than this are worth a warning even if --max-connections is not set. */
const FEW_CONNECTIONS = 1000;

/**
 * Whether to warn at start that the open-file limit allows only `allowed` connections: only if the
 * operator set --max-connections, or if it allows few. The default is above the limit of most
 * systems.
 */
export function isWorthSaying(allowed: number, configured: number, isChosen: boolean): boolean {
  return allowed < configured && (isChosen || allowed < FEW_CONNECTIONS);
}
