/** Answers in pages: how many lines a client may ask for, and when an answer ends before that. */
import { isInteger } from '../runtime/unknown.ts';
import { RequestError } from './errors.ts';

/** Most lines in one answer: by default, and at all. */
const DEFAULT_PAGE = 100;
const MAX_PAGE = 1000;

/**
 * Characters after which an answer ends, though there is more: some 300 locks. Others wait for so long,
 * and one that asks for more pages hardly notices.
 */
export const MAX_ANSWER_LENGTH = 64 * 1024;

/** Decodes the field `max`. */
export function decodeMax(value: unknown): number | RequestError {
  if (value === undefined) return DEFAULT_PAGE;
  if (isInteger(value, 1) && value <= MAX_PAGE) return value;
  return new RequestError('bad_request', `max must be an integer from 1 to ${MAX_PAGE}`);
}
