/**
 * Decodes the resources of a lock from a parsed JSON value, or returns an error that names the
 * field. Both protocols share the format; they differ in how they treat unknown fields.
 *
 * Nothing else refers to the parsed value, so the value itself becomes the lock's resources. An
 * object is replaced only if it differs from a `Resource`, by additional fields or another
 * spelling.
 */
import { Buffer } from 'node:buffer';
import type { Limits } from '../runtime/limits.ts';
import { isInteger, isObject } from '../runtime/unknown.ts';
import type { Resource } from '../table/resource.ts';
import { RequestError } from './errors.ts';
import { isLongerThan, unknownField } from './fields.ts';

/** `v1` ignores unknown fields, `limit` among them, as the Go server does. */
export type Dialect = 'v1' | 'session';

const RESOURCE_FIELDS = new Set(['type', 'path', 'limit']);

/** @param value fresh from the parser; it is kept and may be modified */
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
    return new RequestError(
      'bad_request',
      `${where}.limit is for reads only: a write is exclusive`,
    );
  }
  if (!isInteger(limit, 1)) {
    return new RequestError('bad_request', `${where}.limit must be an integer of at least 1`);
  }
  return { type, path, limit };
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

/** An optional path: undefined is the whole namespace, `null` is an error. */
export function decodePathOrRoot(value: unknown, limits: Limits): string[] | RequestError {
  return value === undefined ? [] : decodePath(value, 'path', limits);
}
