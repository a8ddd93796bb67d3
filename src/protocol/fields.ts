/** Looking at parsed JSON from outside: objects, and fields that nobody knows. */
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

/** Text from outside, short enough to be repeated in a sentence. */
export function shorten(text: string): string {
  return text.length <= 64 ? text : `${text.slice(0, 64)}...`;
}
