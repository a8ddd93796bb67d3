/**
 * Sockets that systemd opened and passed to the program (sd_listen_fds(3)): LISTEN_FDS of them,
 * from descriptor 3 on, if LISTEN_PID is this process.
 */

const FIRST_FD = 3;

/** A larger LISTEN_FDS is taken for a mistake. */
const MAX_FDS = 1000;

/**
 * @param pid the id of this process
 * @returns the descriptors to listen on, none if systemd passed none to this process; or a sentence
 *   that says what is wrong with LISTEN_FDS
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
