/**
 * Decodes ids: decimal strings, for clients whose numbers are not exact to 2^53. By hand, because
 * the engine takes several times as long for numbers beyond 2^31.
 */
import { RequestError } from './errors.ts';

/** Digits of the largest id, 2^53 - 1. */
const MAX_DIGITS = 16;

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
