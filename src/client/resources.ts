/** What is asked for: `write('orders', 17)`, `read('prices')`, `limited(4, 'reports')`. */
import type { Path, ReadResource, Resource, WriteResource } from '../table/resource.ts';

export type { Path, ReadResource, Resource, WriteResource };

/** One step of a path. A number, which must be a safe integer, stands for its decimal digits. */
export type Segment = string | number;

/** One resource, or several that are to be held together. */
export type Resources = Resource | readonly Resource[];

/** Everything at and below a path, alone. Without segments: the whole namespace. */
export function write(...path: readonly Segment[]): WriteResource {
  return { type: 'write', path: toPath(path) };
}

/** A share in everything at and below a path, beside other readers. */
export function read(...path: readonly Segment[]): ReadResource {
  return { type: 'read', path: toPath(path) };
}

/**
 * One of `limit` places at a path, a semaphore: at most so many such reads of exactly that path are
 * held at a time.
 *
 * @param limit an integer, 1 or more
 */
export function limited(limit: number, ...path: readonly Segment[]): ReadResource {
  if (!Number.isSafeInteger(limit) || limit < 1) {
    throw new TypeError(`limit must be an integer of at least 1, not ${String(limit)}`);
  }
  return { type: 'read', path: toPath(path), limit };
}

/** The path that `segments` stand for. Throws a TypeError when one is neither string nor integer. */
export function toPath(segments: readonly Segment[]): Path {
  return segments.map((segment, i) => {
    if (typeof segment === 'string') return segment;
    if (Number.isSafeInteger(segment)) return String(segment);
    // An undefined here is a mistake, and must not become a lock on something else.
    throw new TypeError(
      `segment ${i} of a path must be a string or an integer, not ${String(segment)}`,
    );
  });
}

/** As an array. Throws a TypeError when there is none. */
export function toResources(resources: Resources): readonly Resource[] {
  const list = 'type' in resources ? [resources] : [...resources];
  if (list.length === 0) {
    throw new TypeError("nothing to lock: name at least one resource, such as write('orders', 17)");
  }
  return list;
}

/** For messages: `write orders/17, read prices`. */
export function inWords(resources: readonly Resource[]): string {
  return resources
    .map((resource) => {
      const limit = resource.type === 'read' ? resource.limit : undefined;
      const type = limit === undefined ? resource.type : `limited(${limit})`;
      return `${type} ${resource.path.join('/') || '(everything)'}`;
    })
    .join(', ');
}
