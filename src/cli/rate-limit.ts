/** Rate-limits log lines of one kind: clients can cause any number of them. */

/** The least milliseconds between two calls that are passed on. */
export const INTERVAL_MS = 10_000;

/**
 * Passes on at most `most` calls in `INTERVAL_MS`, the first ones at once.
 *
 * @param callback its first argument is the number of calls suppressed since the last one
 * @param now milliseconds since an arbitrary origin
 */
export function rateLimit<T extends unknown[]>(
  callback: (suppressed: number, ...values: T) => void,
  now: () => number = () => performance.now(),
  most = 1,
): (...values: T) => void {
  let sinceMs = Number.NEGATIVE_INFINITY;
  let passed = 0;
  let suppressed = 0;
  return (...values) => {
    const nowMs = now();
    if (nowMs - sinceMs >= INTERVAL_MS) {
      sinceMs = nowMs;
      passed = 0;
    }
    if (passed === most) {
      suppressed++;
      return;
    }
    passed++;
    callback(suppressed, ...values);
    suppressed = 0;
  };
}
