/**
 * Sockets that systemd has opened for the program and handed over (sd_listen_fds(3)): LISTEN_FDS of
 * them, from descriptor 3 on, if LISTEN_PID names this process.
 */

const FIRST_FD = 3;

/**
 * @param pid the number of this process
 * @returns the descriptors to listen on; none when nothing was handed over
 */
export function inheritedFds(
  env: Readonly<Record<string, string | undefined>>,
  pid: number,
): readonly number[] {
  if (env.LISTEN_PID !== String(pid)) return [];
  const count = Number(env.LISTEN_FDS);
  if (!Number.isSafeInteger(count) || count < 1) return [];
  return Array.from({ length: count }, (_, i) => FIRST_FD + i);
}
