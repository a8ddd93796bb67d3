/** The lines typed in earlier shells, in a file of this user. Without the file there is no history. */
import { appendFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';

/** Lines that are kept. */
export const HISTORY_LINES = 1000;

/** Where the XDG base directories put state. */
export function historyFile(env: Readonly<Record<string, string | undefined>>): string {
  const { XDG_STATE_HOME = '', HOME = homedir() } = env;
  const folder = XDG_STATE_HOME.startsWith('/') ? XDG_STATE_HOME : join(HOME, '.local', 'state');
  return join(folder, 'locktopus', 'shell_history');
}

/** The kept lines, newest first. Shortens a file that has grown long. */
export function readHistory(file: string): string[] {
  try {
    const lines = readFileSync(file, 'utf8')
      .split('\n')
      .filter((line) => line !== '');
    const kept = lines.slice(-HISTORY_LINES);
    if (lines.length > 2 * HISTORY_LINES) writeFileSync(file, `${kept.join('\n')}\n`);
    return kept.reverse();
  } catch {
    return [];
  }
}

/** Appends a line, unless it may contain a secret. */
export function appendHistory(file: string, line: string): void {
  if (line.trim() === '' || /"(token|session)"/.test(line)) return;
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    appendFileSync(file, `${line}\n`, { mode: 0o600 });
  } catch {
    // A shell without a history is better than none.
  }
}
