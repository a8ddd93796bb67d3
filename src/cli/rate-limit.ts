/**
 * Events that may come in floods, on their way to the log: one line of a kind in ten seconds says as much
 * as a thousand.
 */

/** Milliseconds between two that are passed on. */
export const INTERVAL_MS = 10_000;

/**
 * Passes on one call in ten seconds at most, the first one at once.
 *
 * @param callback is told how many were kept back since the last one
 * @param now milliseconds since an arbitrary origin
 */
export function rateLimit<T extends unknown[]>(
  callback: (untold: number, ...values: T) => void,
  now: () => number = () => performance.now(),
): (...values: T) => void {
  let lastMs = Number.NEGATIVE_INFINITY;
  let untold = 0;
  return (...values) => {
    const nowMs = now();
    if (nowMs - lastMs < INTERVAL_MS) {
      untold++;
      return;
    }
    callback(untold, ...values);
    lastMs = nowMs;
    untold = 0;
  };
}
