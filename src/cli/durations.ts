/** Durations as people write them: `500ms`, `10s`, `2m`, `1h`. */

const UNITS_MS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 } as const;

/** The longest duration, in milliseconds: 1,000 days. */
const MAX_MS = 86_400_000_000;

/**
 * Milliseconds, a whole number; or what is wrong with `text`, as the end of a sentence.
 *
 * @param minMs the shortest duration that makes sense, in milliseconds
 */
export function parseDuration(text: string, minMs = 0): number | string {
  const [, digits = '', unit = ''] = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(text) ?? [];
  if (text !== '0' && digits === '') {
    return `must be a duration, such as 500ms, 10s, 2m or 1h, not "${text}"`;
  }
  const unitMs = UNITS_MS[unit as keyof typeof UNITS_MS] ?? 0;
  const ms = Math.round(Number(digits) * unitMs);
  if (ms < minMs) return `must be at least ${durationText(minMs)}, not ${text}`;
  if (ms > MAX_MS) return `must be at most ${durationText(MAX_MS)}, not ${text}`;
  return ms;
}

/** A whole number of milliseconds as `parseDuration` reads it, in the largest unit that fits. */
export function durationText(ms: number): string {
  const units = Object.entries(UNITS_MS).reverse();
  const [unit, unitMs] = units.find(([, size]) => ms >= size && ms % size === 0) ?? ['ms', 1];
  return `${ms / unitMs}${unit}`;
}
