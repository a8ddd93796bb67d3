/**
 * From a parsed JSON value to the resources of a lock, or to an error that names the field. Both
 * protocols ask for locks in the same words; they differ in what they do with fields they don't know.
 *
 * What has been parsed belongs to us alone, so the value itself becomes the lock's resources: an
 * object is made anew only if it says more or says it otherwise than a `Resource` does.
 */
import { Buffer } from 'node:buffer';
import type { Limits } from '../runtime/limits.ts';
import type { Resource } from '../table/resource.ts';
import { RequestError } from './errors.ts';
import { isLongerThan, isObject, unknownField } from './fields.ts';

/** `v1` ignores fields that it doesn't know, limits among them, as the Go server does. */
export type Dialect = 'v1' | 'session';

const RESOURCE_FIELDS = new Set(['type', 'path', 'limit']);

/** @param value fresh from the parser; it is kept, and its elements may be replaced */
export function decodeResources(
  value: unknown,
  limits: Limits,
  dialect: Dialect,
): readonly Resource[] | RequestError {
  if (!Array.isArray(value) || value.length === 0) {
    return new RequestError('bad_request', 'resources must be an array of at least one resource');
  }
  if (value.length > limits.maxResourcesPerLock) {
    return new RequestError(
      'too_many_resources',
      `resources has ${value.length} elements; at most ${limits.maxResourcesPerLock} are allowed`,
    );
  }
  for (let i = 0; i < value.length; i++) {
    const resource = decodeResource(value[i], i, limits, dialect);
    if (resource instanceof RequestError) return resource;
    value[i] = resource;
  }
  return value;
}

function decodeResource(
  value: unknown,
  index: number,
  limits: Limits,
  dialect: Dialect,
): Resource | RequestError {
  const where = `resources[${index}]`;
  if (!isObject(value)) return new RequestError('bad_request', `${where} must be an object`);
  if (dialect === 'session') {
    const unknown = unknownField(value, RESOURCE_FIELDS, `${where}.`);
    if (unknown !== undefined) return unknown;
  }
  const type = decodeType(value.type);
  if (type === undefined) {
    return new RequestError('bad_request', `${where}.type must be "read" or "write"`);
  }
  const path = decodePath(value.path, `${where}.path`, limits);
  if (path instanceof RequestError) return path;
  const limit = dialect === 'session' ? value.limit : undefined;
  if (limit === undefined) {
    const isAsSaid = dialect === 'session' && value.type === type;
    return isAsSaid ? (value as unknown as Resource) : { type, path };
  }
  if (type === 'write') {
    return new RequestError('bad_request', `${where}.limit goes with reads only: a write is alone`);
  }
  if (!Number.isSafeInteger(limit) || (limit as number) < 1) {
    return new RequestError('bad_request', `${where}.limit must be an integer of at least 1`);
  }
  return { type, path, limit: limit as number };
}

function decodeType(value: unknown): 'read' | 'write' | undefined {
  if (value === 'write' || value === 'read') return value;
  if (typeof value !== 'string') return undefined;
  switch (value.toLowerCase()) {
    case 'w':
    case 'write':
      return 'write';
    case 'r':
    case 'read':
      return 'read';
    default:
      return undefined;
  }
}

/** @param where the name of the field, for the error */
export function decodePath(value: unknown, where: string, limits: Limits): string[] | RequestError {
  if (!Array.isArray(value)) {
    return new RequestError(
      'bad_request',
      `${where} must be an array of strings; [] is the whole namespace`,
    );
  }
  if (value.length > limits.maxSegmentsPerPath) {
    return new RequestError(
      'path_too_long',
      `${where} has ${value.length} segments; at most ${limits.maxSegmentsPerPath} are allowed`,
    );
  }
  for (let i = 0; i < value.length; i++) {
    const segment: unknown = value[i];
    if (typeof segment !== 'string') {
      return new RequestError('bad_request', `${where}[${i}] must be a string`);
    }
    if (isLongerThan(segment, limits.maxSegmentBytes)) {
      return new RequestError(
        'segment_too_long',
        `${where}[${i}] has ${Buffer.byteLength(segment)} bytes; at most ${limits.maxSegmentBytes} are allowed`,
      );
    }
  }
  return value;
}

/** A path that may be left out, for the whole namespace; `null` is not left out. */
export function decodePathOrRoot(value: unknown, limits: Limits): string[] | RequestError {
  return value === undefined ? [] : decodePath(value, 'path', limits);
}
