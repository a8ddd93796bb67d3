/**
 * Sockets that systemd has opened for the program and handed over (sd_listen_fds(3)): LISTEN_FDS of
 * them, from descriptor 3 on, if LISTEN_PID names this process.
 */

const FIRST_FD = 3;

/** More sockets than anybody means to listen on. */
const MAX_FDS = 1000;

/**
 * @param pid the number of this process
 * @returns the descriptors to listen on; none when nothing was handed over, or to another process; what
 *   is wrong, in words, when that can't be told
 */
export function inheritedFds(
  env: Readonly<Record<string, string | undefined>>,
  pid: number,
): readonly number[] | string {
  const { LISTEN_PID, LISTEN_FDS } = env;
  if (LISTEN_PID !== String(pid) || LISTEN_FDS === undefined) return [];
  const count = Number(LISTEN_FDS);
  if (String(count) !== LISTEN_FDS || !Number.isInteger(count) || count < 1 || count > MAX_FDS) {
    return `LISTEN_FDS must be a whole number from 1 to ${MAX_FDS}, not "${LISTEN_FDS}": it is the number of inherited sockets`;
  }
  return Array.from({ length: count }, (_, i) => FIRST_FD + i);
}
