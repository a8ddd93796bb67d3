/**
 * Reading the fields of messages from outside: each function returns the value, `undefined` where a
 * field was left out, or the error that names the field and says what it must be.
 */
import { Buffer } from 'node:buffer';
import { type Limits, MAX_NAME_LENGTH } from '../runtime/limits.ts';
import type { Ref } from '../session/lock-record.ts';
import { RequestError } from './errors.ts';

export type JsonObject = Readonly<Record<string, unknown>>;

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * Refuses a field that isn't `known`: a misspelt `limit` must not become a lock without one, and a
 * field of a later version must not be passed over in silence.
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
 * Characters from which on a message is costly to take apart, whatever is in it: one megabyte of JSON
 * that is nested as deeply as it goes takes 130 ms, and this some 2 ms of that. After one the client
 * yields its turn.
 */
export const COSTLY_LENGTH = 16 * 1024;

/** Text from outside, short enough to be repeated in a sentence. */
export function shorten(text: string): string {
  return text.length <= 64 ? text : `${text.slice(0, 64)}...`;
}

/**
 * The JSON object that `text` is, or an error. Also what v1 begins with.
 *
 * @param limits bound what may be in it: a megabyte of brackets takes a hundred times as long to parse
 *   as one of text
 * @param example what else could be sent, for the error of something that is no object
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

/** The object of a resource, its path, and its fields. */
const PARTS_PER_RESOURCE = 5;
/** For all that a message has beside resources, and for fields that v1 ignores. */
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

export function decodeNamespace(value: unknown, limits: Limits): string | undefined | RequestError {
  if (value === undefined) return undefined;
  if (typeof value !== 'string' || value === '') {
    return new RequestError('bad_request', 'namespace must be a string that is not empty');
  }
  return namespaceTooLong(value, limits) ?? value;
}

/** The error of a namespace with too long a name; of use to v1 as well. */
export function namespaceTooLong(name: string, limits: Limits): RequestError | undefined {
  if (!isLongerThan(name, limits.maxSegmentBytes)) return undefined;
  return new RequestError(
    'segment_too_long',
    `namespace is too long: at most ${limits.maxSegmentBytes} bytes are allowed`,
  );
}

/**
 * The error of an abandon timeout that is longer than may be; of use to the query of a handshake, too.
 *
 * @param field what it is called where it stands
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

/** @param min milliseconds, the least there may be */
export function decodeMs(
  value: unknown,
  field: string,
  min: number,
): number | undefined | RequestError {
  if (value === undefined) return undefined;
  if (Number.isSafeInteger(value) && (value as number) >= min) return value as number;
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

/** Whether `text` takes more than `maxBytes` of UTF-8; looks at the text only when it might. */
export function isLongerThan(text: string, maxBytes: number): boolean {
  // A UTF-16 code unit takes at most three bytes.
  return text.length * 3 > maxBytes && Buffer.byteLength(text) > maxBytes;
}
