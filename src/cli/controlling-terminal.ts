/**
 * Whether the program runs in a terminal, so that SIGHUP, which reports its end, stops the program.
 */
import { closeSync, constants, openSync } from 'node:fs';
import { isatty } from 'node:tty';

const STANDARD_STREAMS = [0, 1, 2];

const terminals = STANDARD_STREAMS.filter((fd) => isatty(fd));

/**
 * True if the process has a controlling terminal and uses it. Call it at start: once the terminal
 * is closed, the process has none.
 *
 * A daemon, or a program that setsid started, has no controlling terminal. A program that nohup
 * started has one, but none of its streams is a terminal. That nohup ignores the signal can't be
 * seen, since Node resets the signal's disposition.
 */
export function hasTerminal(): boolean {
  // Windows sends SIGHUP when the console window is closed, and ends the process soon after.
  if (process.platform === 'win32') return true;
  return terminals.length > 0 && canOpenTerminal();
}

/**
 * True if the process looks as one that nohup has started: it has a controlling terminal, and none of
 * its streams is one. Its work goes on after the end of the terminal. Call it at start, as `hasTerminal`.
 */
export function isLikeNohup(): boolean {
  return process.platform !== 'win32' && terminals.length === 0 && canOpenTerminal();
}

/**
 * Closes the descriptors of terminals that are gone; to be called last before the process ends. On
 * exit Node restores the state of its terminals and aborts if that fails, as it does for a closed
 * terminal. It skips descriptors that are not open.
 */
export function leaveClosedTerminals(): void {
  // isatty is false for a terminal that was closed.
  for (const fd of terminals) if (!isatty(fd)) closeQuietly(fd);
}

function closeQuietly(fd: number): void {
  try {
    closeSync(fd);
  } catch {
    // Closed already.
  }
}

function canOpenTerminal(): boolean {
  try {
    closeSync(openSync('/dev/tty', constants.O_RDONLY | constants.O_NOCTTY));
    return true;
  } catch {
    return false;
  }
}
