/** Whether the program runs in a terminal whose end, which SIGHUP reports, should be its own. */
import { closeSync, constants, openSync } from 'node:fs';
import { isatty } from 'node:tty';

const STANDARD_STREAMS = [0, 1, 2];

const terminals = STANDARD_STREAMS.filter((fd) => isatty(fd));

/**
 * True when the process has a controlling terminal and uses it. To be asked at start: when the
 * terminal is closed, the process has none any more.
 *
 * A daemon, or what setsid started, has no controlling terminal. What nohup started has one, but none
 * of its streams is a terminal; that nohup ignored the signal can't be known, since Node undoes that.
 */
export function hasTerminal(): boolean {
  // Windows sends it when the console window is closed, and ends the process soon after.
  if (process.platform === 'win32') return true;
  return terminals.length > 0 && canOpenTerminal();
}

/**
 * To be called as the last thing before the process ends. Node gives its terminals back as it found
 * them, and aborts where that fails, as it does for one that is closed: it leaves out what is not open.
 */
export function leaveClosedTerminals(): void {
  // A terminal that is closed is none any more.
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
