/** Shorthands for resources. The arguments are the path; without any it is the root. */
import type { ReadResource, WriteResource } from '../../src/table/resource.ts';

export function read(...path: string[]): ReadResource {
  return { type: 'read', path };
}

export function write(...path: string[]): WriteResource {
  return { type: 'write', path };
}

export function limited(limit: number, ...path: string[]): ReadResource {
  return { type: 'read', path, limit };
}
