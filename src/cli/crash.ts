/**
 * The end of a server that can't trust itself: an error that nobody expected, a broken invariant.
 * Some change may be half made, so there is no going on and no tidy stop: it would tell clients of
 * locks that are in doubt. One line, and the process is gone; the connections end with it.
 */
import { writeSync } from 'node:fs';
import { VERSION } from '../version.ts';

/** EX_SOFTWARE of sysexits.h: an error in the program itself. */
const CRASHED = 70;
const STDERR = 2;
const MAX_MESSAGE_CHARS = 500;

/** Says what happened and ends the process, at once. */
export function crash(error: unknown): never {
  try {
    // Not through the stream, which may write later: there is no later.
    writeSync(STDERR, `${new Date().toISOString()} ${crashLine(error)}\n`);
  } catch {
    // Nobody can be told. That it must end is none the less true.
  }
  process.exit(CRASHED);
}

/** What happened, where, and what follows from it, in one line. */
export function crashLine(error: unknown): string {
  const message = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  const short = message.replace(/\s+/g, ' ').trim().slice(0, MAX_MESSAGE_CHARS);
  const where = frameOf(error) ?? 'unknown place';
  return `crashed: ${short} (${where}, Locktopus ${VERSION}, Node ${process.version}). The lock table is in doubt, so all locks are gone; please report this as a bug`;
}

/** The innermost call that is not Node's own. */
function frameOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const frames = (error.stack ?? '').split('\n').filter((line) => line.startsWith('    at '));
  return frames.find((frame) => frame.includes('/') && !frame.includes('node:'))?.trim();
}
