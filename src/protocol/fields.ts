/**
 * Decoders for the fields of untrusted messages. Each returns the value, `undefined` for an
 * optional field that was left out, or an error that names the field and says what it must be.
 */
import { Buffer } from 'node:buffer';
import { type Limits, MAX_NAME_LENGTH } from '../runtime/limits.ts';
import { isInteger, isObject, type JsonObject } from '../runtime/unknown.ts';
import type { Ref } from '../session/lock-record.ts';
import { RequestError } from './errors.ts';

/**
 * Refuses fields that aren't `known`: a misspelt `limit` must not become a lock without one, and a
 * field of a later version must not be ignored silently.
 *
 * @param prefix put before the field's name, such as `resources[0].`
 */
export function unknownField(
  object: JsonObject,
  known: ReadonlySet<string>,
  prefix: string,
): RequestError | undefined {
  for (const field in object) {
    if (known.has(field)) continue;
    return new RequestError(
      'bad_request',
      `${prefix}${shorten(field)} is not a known field; known are ${[...known].join(', ')}`,
    );
  }
  return undefined;
}

/**
 * A message of this many characters or more may be costly to parse, so its connection yields its
 * turn. At worst, with deeply nested JSON, a megabyte takes 130 ms to parse, and this length 2 ms.
 */
export const COSTLY_LENGTH = 16 * 1024;

/** Untrusted text, cut to 64 characters for an error message. */
export function shorten(text: string): string {
  return text.length <= 64 ? text : `${text.slice(0, 64)}...`;
}

/**
 * Parses `text` as a JSON object, for both protocols.
 *
 * @param limits bound the number of values: a megabyte of brackets takes a hundred times as long to
 *   parse as a megabyte of text
 * @param example a valid message, for the error
 */
export function parseObject(
  text: string,
  limits: Limits,
  example = '{"action":"help"}',
): JsonObject | RequestError {
  const maxParts = MAX_OTHER_PARTS + PARTS_PER_RESOURCE * limits.maxResourcesPerLock;
  if (text.length >= COSTLY_LENGTH && hasMoreParts(text, maxParts)) {
    if (!text.trimStart().startsWith('{')) return noObject(example);
    const message = `a message may have at most ${maxParts} objects, arrays and fields`;
    return new RequestError('bad_request', message);
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return new RequestError('bad_json', `bad JSON: ${reason}`);
  }
  return isObject(value) ? value : noObject(example);
}

function noObject(example: string): RequestError {
  return new RequestError('bad_json', `a message must be one JSON object, such as ${example}`);
}

/** An object, an array, and three fields. */
const PARTS_PER_RESOURCE = 5;
/** For everything but resources, with a margin for fields that v1 ignores. */
const MAX_OTHER_PARTS = 1000;

const QUOTE = 0x22;
const COLON = 0x3a;
const OPENING_BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const OPENING_BRACE = 0x7b;

/** Whether `text` has more brackets, braces and colons outside of its strings than `maxParts`. */
function hasMoreParts(text: string, maxParts: number): boolean {
  let parts = 0;
  let isInString = false;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (isInString) {
      if (code === BACKSLASH) i++;
      else isInString = code !== QUOTE;
    } else if (code === QUOTE) {
      isInString = true;
    } else if (code === COLON || code === OPENING_BRACKET || code === OPENING_BRACE) {
      if (++parts > maxParts) return true;
    }
  }
  return false;
}

export function decodeRef(value: unknown): Ref | undefined | RequestError {
  if (value === undefined || Number.isSafeInteger(value)) return value as number | undefined;
  if (typeof value === 'string' && value.length <= MAX_NAME_LENGTH) return value;
  return new RequestError(
    'bad_request',
    `ref must be an integer below 2^53 or a string of at most ${MAX_NAME_LENGTH} characters`,
  );
}

/** @param field the name of the field, for the error */
export function decodeNamespace(
  value: unknown,
  limits: Limits,
  field = 'namespace',
): string | undefined | RequestError {
  if (value === undefined) return undefined;
  if (typeof value !== 'string' || value === '') {
    return new RequestError('bad_request', `${field} must be a string that is not empty`);
  }
  return namespaceTooLong(value, limits, field) ?? value;
}

/** The error for a namespace name that is too long; undefined if it is not. */
export function namespaceTooLong(
  name: string,
  limits: Limits,
  field = 'namespace',
): RequestError | undefined {
  if (!isLongerThan(name, limits.maxSegmentBytes)) return undefined;
  return new RequestError(
    'segment_too_long',
    `${field} is too long: at most ${limits.maxSegmentBytes} bytes are allowed`,
  );
}

/**
 * The error for an abandon timeout above the limit; undefined if it is not.
 *
 * @param field the name of the field or query parameter
 */
export function abandonTooLong(
  ms: number,
  field: string,
  limits: Limits,
): RequestError | undefined {
  const { maxAbandonTimeoutMs } = limits;
  if (ms <= maxAbandonTimeoutMs) return undefined;
  return new RequestError(
    'bad_request',
    `${field} may be at most ${maxAbandonTimeoutMs} on this server`,
  );
}

/** @param min the least value in milliseconds */
export function decodeMs(
  value: unknown,
  field: string,
  min: number,
): number | undefined | RequestError {
  if (value === undefined) return undefined;
  if (isInteger(value, min)) return value;
  return new RequestError(
    'bad_request',
    `${field} must be an integer of milliseconds, ${min} or more`,
  );
}

export function decodeName(value: unknown, field: string): string | undefined | RequestError {
  if (value === undefined) return undefined;
  if (typeof value === 'string' && value.length <= MAX_NAME_LENGTH) return value;
  return new RequestError(
    'bad_request',
    `${field} must be a string of at most ${MAX_NAME_LENGTH} characters`,
  );
}

/** Whether `text` has more than `maxBytes` in UTF-8; short texts are not scanned. */
export function isLongerThan(text: string, maxBytes: number): boolean {
  // A UTF-16 code unit takes at most three bytes.
  return text.length * 3 > maxBytes && Buffer.byteLength(text) > maxBytes;
}
