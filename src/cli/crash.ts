/**
 * The end of a server that can't trust its state: after an unexpected error or a broken invariant.
 * A change may be half made, so the server neither continues nor stops in order: either would
 * report locks that are in doubt. It writes one line and ends the process, and all connections with
 * it.
 */
import { writeSync } from 'node:fs';
import { VERSION } from '../version.ts';

/** EX_SOFTWARE of sysexits.h: an error in the program itself. */
const CRASHED = 70;
const STDERR = 2;
const MAX_MESSAGE_CHARS = 500;

/** Writes the line to standard error and ends the process at once. */
export function crash(error: unknown): never {
  fail(CRASHED, crashLine(error));
}

/** Writes `line` to standard error and ends the process at once. */
export function fail(exitCode: number, line: string): never {
  try {
    // Synchronous: the stream might write only after the process has ended.
    writeSync(STDERR, `${new Date().toISOString()} ${line}\n`);
  } catch {
    // Standard error can't be written to. The process must end all the same.
  }
  process.exit(exitCode);
}

/** What happened, where, and what follows from it, in one line. */
export function crashLine(error: unknown): string {
  const message = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  const short = message.replace(/\s+/g, ' ').trim().slice(0, MAX_MESSAGE_CHARS);
  const where = frameOf(error) ?? 'unknown place';
  return `crashed: ${short} (${where}, Locktopus ${VERSION}, Node ${process.version}). The lock table is in doubt, so the process ends, and without a data directory all locks are gone; please report this as a bug`;
}

/** The innermost call that is not Node's own. */
function frameOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const frames = (error.stack ?? '').split('\n').filter((line) => line.startsWith('    at '));
  return frames.find((frame) => frame.includes('/') && !frame.includes('node:'))?.trim();
}
