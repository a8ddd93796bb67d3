/** Resources to lock: `write('orders', 17)`, `read('prices')`, `limited(4, 'reports')`. */
import type { Path, ReadResource, Resource, WriteResource } from '../table/resource.ts';

export type { Path, ReadResource, Resource, WriteResource };

/** One segment of a path. A number must be a safe integer and stands for its decimal digits. */
export type Segment = string | number;

/** One resource, or several that are to be held together. */
export type Resources = Resource | readonly Resource[];

/** Exclusive access to everything at and below a path. Without segments: the whole namespace. */
export function write(...path: readonly Segment[]): WriteResource {
  return { type: 'write', path: toPath(path) };
}

/** Shared access to everything at and below a path. */
export function read(...path: readonly Segment[]): ReadResource {
  return { type: 'read', path: toPath(path) };
}

/**
 * A semaphore: at most `limit` such reads of exactly that path are held at a time.
 *
 * @param limit an integer, 1 or more
 */
export function limited(limit: number, ...path: readonly Segment[]): ReadResource {
  checkLimit(limit);
  return { type: 'read', path: toPath(path), limit };
}

/** Throws a TypeError if a segment is neither a string nor an integer. */
function toPath(segments: readonly Segment[]): Path {
  return segments.map((segment, i) => {
    if (typeof segment === 'string') return segment;
    if (Number.isSafeInteger(segment)) return String(segment);
    // An undefined by mistake must not become a lock on something else.
    throw new TypeError(
      `segment ${i} of a path must be a string or an integer, not ${String(segment)}`,
    );
  });
}

/** Throws a TypeError if a segment is not a string. */
export function checkPath(path: Path): void {
  for (let i = 0; i < path.length; i++) {
    if (typeof path[i] !== 'string') {
      throw new TypeError(`segment ${i} of a path must be a string, not ${String(path[i])}`);
    }
  }
}

function checkLimit(limit: number): void {
  if (Number.isSafeInteger(limit) && limit >= 1) return;
  throw new TypeError(`limit must be an integer of at least 1, not ${String(limit)}`);
}

/** As an array. Throws a TypeError if it is empty, or for an invalid path or limit. */
export function toResources(resources: Resources): readonly Resource[] {
  const list = 'type' in resources ? [resources] : [...resources];
  if (list.length === 0) {
    throw new TypeError("nothing to lock: name at least one resource, such as write('orders', 17)");
  }
  for (const resource of list) {
    checkPath(resource.path);
    if (resource.type === 'read' && resource.limit !== undefined) checkLimit(resource.limit);
  }
  return list;
}

/** For messages: `write orders/17, read prices`. */
export function describe(resources: readonly Resource[]): string {
  return resources
    .map((resource) => {
      const limit = resource.type === 'read' ? resource.limit : undefined;
      const type = limit === undefined ? resource.type : `limited(${limit})`;
      return `${type} ${resource.path.join('/') || '(everything)'}`;
    })
    .join(', ');
}
