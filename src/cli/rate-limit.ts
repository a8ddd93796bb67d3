/** Rate-limits log lines of one kind: clients can cause any number of them. */

/** The least milliseconds between two calls that are passed on. */
export const INTERVAL_MS = 10_000;

/**
 * Passes on at most one call in `INTERVAL_MS`, the first one at once.
 *
 * @param callback its first argument is the number of calls suppressed since the last one
 * @param now milliseconds since an arbitrary origin
 */
export function rateLimit<T extends unknown[]>(
  callback: (suppressed: number, ...values: T) => void,
  now: () => number = () => performance.now(),
): (...values: T) => void {
  let lastMs = Number.NEGATIVE_INFINITY;
  let suppressed = 0;
  return (...values) => {
    const nowMs = now();
    if (nowMs - lastMs < INTERVAL_MS) {
      suppressed++;
      return;
    }
    callback(suppressed, ...values);
    lastMs = nowMs;
    suppressed = 0;
  };
}
