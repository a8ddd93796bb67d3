/** What a lock is requested for: the types of callers, independent of how the table keeps locks. */

/** Segments from the root of a namespace to a node; `[]` is the root. They are compared exactly. */
export type Path = readonly string[];

/** Shared access to everything at and below `path`: excludes writes there, admits other reads. */
export interface ReadResource {
  readonly type: 'read';
  readonly path: Path;
  /**
   * Makes this a *limited* read: it is admitted, in arrival order, while fewer than `limit` (an
   * integer >= 1) other limited reads of exactly this path are. Reads without a limit are not
   * counted and do not wait.
   */
  readonly limit?: number;
}

/** Exclusive access to everything at and below `path`. */
export interface WriteResource {
  readonly type: 'write';
  readonly path: Path;
}

export type Resource = ReadResource | WriteResource;

/** How much a table holds at the moment. */
export interface TableSize {
  /** Locks that are held, and locks that wait. */
  readonly acquired: number;
  readonly enqueued: number;
  /** The same, counted in resources as they were asked for. */
  readonly resourcesAcquired: number;
  readonly resourcesEnqueued: number;
  /** Nodes of the trie besides the root: paths in use, with all their prefixes. */
  readonly paths: number;
}

/**
 * The resources of one lock, sorted so that a resource that covers another comes first: writes
 * before reads, then shallow before deep, then the smaller limit. Usually they are in order
 * already.
 */
export function inPrecedence(resources: readonly Resource[]): readonly Resource[] {
  let last: Resource | undefined;
  for (const resource of resources) {
    if (last !== undefined && byPrecedence(last, resource) > 0) {
      return resources.toSorted(byPrecedence);
    }
    last = resource;
  }
  return resources;
}

function byPrecedence(a: Resource, b: Resource): number {
  if (a.type !== b.type) return a.type === 'write' ? -1 : 1;
  if (a.path.length !== b.path.length) return a.path.length - b.path.length;
  return limitOf(a) - limitOf(b);
}

function limitOf(resource: Resource): number {
  return (resource.type === 'read' ? resource.limit : undefined) ?? Number.POSITIVE_INFINITY;
}
