/** What a lock is asked on: the vocabulary of callers, free of any machinery. */

/** The way from the root of a namespace to a node. `[]` is the root. Segments are compared exactly. */
export type Path = readonly string[];

/** A share in everything at and below `path`; excludes writes there, admits other reads. */
export interface ReadResource {
  readonly type: 'read';
  readonly path: Path;
  /**
   * Makes this a *limited* read: at most `limit` (an integer >= 1) limited reads of exactly this
   * path are admitted at a time, in arrival order, each judged by its own number. Reads without a
   * limit neither count nor wait for it.
   */
  readonly limit?: number;
}

/** Everything at and below `path`, alone. */
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
 * The resources of one lock in such an order that whatever shadows another comes first: writes before
 * reads, then shallow before deep, then the smaller limit. Mostly they are in order already.
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
