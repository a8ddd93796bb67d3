/** The JSON of etcd's gateway: keys, values and numbers as it writes them. */
import { Buffer } from 'node:buffer';
import { isObject, type JsonObject } from '../runtime/unknown.ts';

/** Undefined if `text` is no JSON object. */
export function parseObject(text: string): JsonObject | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** A key or value as the gateway wants it. */
export function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}

/** A key or value of an answer; left out, it is empty. */
export function textOf(value: unknown): string {
  return typeof value === 'string' ? Buffer.from(value, 'base64').toString() : '';
}

/** A 64-bit integer of an answer, as its digits; left out, it is zero. */
export function int64(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : '0';
}

/** The `kvs` of a range. */
export function keyValues(range: JsonObject): readonly JsonObject[] {
  return Array.isArray(range.kvs) ? range.kvs.filter(isObject) : [];
}

/** The range in the first response of a transaction. */
export function firstRange(answer: JsonObject): JsonObject {
  const [first] = Array.isArray(answer.responses) ? answer.responses : [];
  const range: unknown = isObject(first) ? first.response_range : undefined;
  return isObject(range) ? range : {};
}

/** The end of the range of all keys that begin with `prefix`, which ends in ASCII. */
export function prefixEnd(prefix: string): string {
  const last = prefix.length - 1;
  return prefix.slice(0, last) + String.fromCharCode(prefix.charCodeAt(last) + 1);
}
