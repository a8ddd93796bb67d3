/**
 * Lock ids on the wire: decimal strings, for clients whose numbers are not exact to 2^53. Both ways
 * are gone for every lock and every release, so they are spelled out: the engine's own conversions
 * of numbers beyond 2^31 take several times as long.
 */
import { Refusal } from './refusal.ts';

/** Digits of the largest id, 2^53 - 1. */
const MAX_DIGITS = 16;
/** An id is written as two halves, each a small integer; the lower one has eight digits. */
const HALF = 1e8;

let lastUpper = 0;
let lastUpperText = '0';

/** @param id a safe integer above 0 */
export function idText(id: number): string {
  if (id < HALF) return String(id);
  const upper = Math.floor(id / HALF);
  if (upper !== lastUpper) {
    lastUpper = upper;
    lastUpperText = String(upper);
  }
  // With a digit put before it and taken away again, the lower half keeps its zeros.
  return lastUpperText + String(HALF + (id - upper * HALF)).slice(1);
}

/**
 * @param field the name of the field, and what it is the id of, for the refusal
 * @returns undefined for a field that was left out
 */
export function decodeId(
  value: unknown,
  field: string,
  of: 'lock' | 'session' = 'lock',
): number | undefined | Refusal {
  if (value === undefined) return undefined;
  const id = typeof value === 'string' ? numberOf(value) : 0;
  if (id > 0 && id <= Number.MAX_SAFE_INTEGER) return id;
  return new Refusal(
    'bad_request',
    `${field} must be the id of a ${of} as the server told it: a string of decimal digits`,
  );
}

/** The number that `text` writes in the one way an id is written, or 0. */
function numberOf(text: string): number {
  if (text.length > MAX_DIGITS || text.charCodeAt(0) === 0x30) return 0;
  let number = 0;
  for (let i = 0; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 0x30;
    if (digit < 0 || digit > 9) return 0;
    number = number * 10 + digit;
  }
  return number;
}
