/**
 * What the system says of this process, for metrics. Each figure costs microseconds, however many
 * files are open: none lists a directory, and nothing is measured in between.
 */
import { readFileSync, statSync } from 'node:fs';

export interface ProcessFigures {
  readonly userCpuSeconds: number;
  readonly systemCpuSeconds: number;
  /** When the process started, in seconds since 1970. */
  readonly startSeconds: number;
  readonly residentBytes: number;
  readonly heapTotalBytes: number;
  readonly heapUsedBytes: number;
  readonly externalBytes: number;
  /** Undefined where the system does not count them: Linux does since 6.2. */
  readonly openFiles: number | undefined;
  /** The soft limit; undefined where there is none, or it can't be read. */
  readonly maxOpenFiles: number | undefined;
}

export function processFigures(): ProcessFigures {
  const { user, system } = process.cpuUsage();
  const { rss, heapTotal, heapUsed, external } = process.memoryUsage();
  return {
    userCpuSeconds: user / 1e6,
    systemCpuSeconds: system / 1e6,
    startSeconds: performance.timeOrigin / 1000,
    residentBytes: rss,
    heapTotalBytes: heapTotal,
    heapUsedBytes: heapUsed,
    externalBytes: external,
    openFiles: openFiles(),
    maxOpenFiles: maxOpenFiles(),
  };
}

/** Listing the folder instead would take a tenth of a second with 100,000 connections. */
function openFiles(): number | undefined {
  const size = statSync('/proc/self/fd', { throwIfNoEntry: false })?.size ?? 0;
  return size === 0 ? undefined : size;
}

function maxOpenFiles(): number | undefined {
  try {
    const [, soft] =
      /^Max open files +(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? [];
    return soft === undefined ? undefined : Number(soft);
  } catch {
    // Not Linux; or no more file can be opened, which must not fail the page.
    return undefined;
  }
}
