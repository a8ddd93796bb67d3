/**
 * Accounts for the memory that clients use, by estimate: locks, sessions with their namespaces, and
 * watches. A small request can use much memory: a few hundred kilobytes can name a hundred thousand
 * segments, and each may become a node of the table. The estimates err on the high side for 64-bit
 * engines; test/session/memory-heap.test.ts compares each with the heap.
 */

import { type Limits, MAX_NAME_LENGTH } from '../runtime/limits.ts';
import type { Path, Resource } from '../table/resource.ts';
import type { LockTerms, Ref } from './lock-record.ts';
import type { SessionSettings } from './session-host.ts';

/** A lock in the table, with its record and its links in the indexes of its session. */
const LOCK_BYTES = 450;
/** A resource, with its share of a node that other resources of the lock use too. */
const RESOURCE_BYTES = 260;
/** A node of the table with a queue, an entry in it, and the segment without its text. */
const SEGMENT_BYTES = 320;
/** A segment whose node and entry already exist for the preceding resource. */
const SHARED_SEGMENT_BYTES = 50;
const CHARACTER_BYTES = 2;
/** A string without its characters. */
const STRING_BYTES = 24;
/** An owner; charged to each of its locks, though they share it. */
const OWNER_BYTES = 300;
/** A timer with a delay that no other timer shares. */
const TIMER_BYTES = 650;
/** A session with its secret name and its abandon timer. */
const SESSION_BYTES = 1250;
const NAMESPACE_BYTES = 900;
/** A node in the tree of watched paths, without the text of its segment. */
const WATCH_NODE_BYTES = 330;
/** A watch of one path by one connection, without the nodes of the path. */
export const WATCH_BYTES = 500;

/** Bytes of a lock as long as it is held or enqueued. */
export function lockBytes(
  resources: readonly Resource[],
  terms: LockTerms,
  ref: Ref | undefined,
): number {
  let bytes = LOCK_BYTES + termsBytes(terms);
  if (typeof ref === 'string') bytes += stringBytes(ref.length);
  let last: Path = [];
  for (const { path } of resources) {
    const shared = commonLength(last, path);
    bytes +=
      RESOURCE_BYTES + SHARED_SEGMENT_BYTES * shared + SEGMENT_BYTES * (path.length - shared);
    for (const segment of path) bytes += CHARACTER_BYTES * segment.length;
    last = path;
  }
  return bytes;
}

/** Bytes of a session as long as it is open or lost, without its namespace. */
export function sessionBytes({ label }: Pick<SessionSettings, 'label'>): number {
  return SESSION_BYTES + (label === undefined ? 0 : stringBytes(label.length));
}

export function namespaceBytes(name: string): number {
  return NAMESPACE_BYTES + stringBytes(name.length);
}

/** Most bytes of a new session, with a new namespace. */
export function maxSessionBytes({ maxSegmentBytes }: Limits): number {
  return (
    SESSION_BYTES + stringBytes(MAX_NAME_LENGTH) + NAMESPACE_BYTES + stringBytes(maxSegmentBytes)
  );
}

/** Bytes of one node in the tree of watched paths. */
export function watchNodeBytes(segment: string): number {
  return WATCH_NODE_BYTES + CHARACTER_BYTES * segment.length;
}

/** Bytes of the terms of a lock, as a part of `lockBytes`. */
export function termsBytes({ waitMs, holdMs, owner, label }: LockTerms): number {
  let bytes = 0;
  if (owner !== undefined) bytes += OWNER_BYTES + stringBytes(owner.length);
  if (label !== undefined) bytes += stringBytes(label.length);
  // Only one of the two timers runs at a time.
  if (waitMs !== undefined || holdMs !== undefined) bytes += TIMER_BYTES;
  return bytes;
}

function stringBytes(length: number): number {
  return STRING_BYTES + CHARACTER_BYTES * length;
}

/** The length of the common prefix of the two paths. */
function commonLength(a: Path, b: Path): number {
  let length = 0;
  while (length < a.length && length < b.length && a[length] === b[length]) length++;
  return length;
}

/** Most steps of reclaiming for one request, so that it does not block the others. */
const MAX_RECLAIM_STEPS = 1000;

/** Memory that is charged but can be reclaimed. */
export interface Spare {
  /** How many bytes can be reclaimed; an upper bound. */
  bytes(): number;
  /** Reclaims a part of it; false if there is none. */
  giveWay(): boolean;
}

/**
 * The memory account of a server.
 *
 * Invariant: `charged` is the sum of the estimates of everything that exists; it is 0 without
 * clients.
 */
export class MemoryAccount {
  readonly #maxBytes: number;
  readonly #spare: Spare;
  #charged = 0;

  /** @param maxBytes the most that may be charged */
  constructor(maxBytes: number, spare: Spare) {
    this.#maxBytes = maxBytes;
    this.#spare = spare;
  }

  get charged(): number {
    return this.#charged;
  }

  /**
   * Whether `bytes` more may be charged. Reclaims memory if that is necessary and sufficient. Always
   * if it is none: what a store had may exceed the limit of this server.
   */
  hasRoom(bytes: number): boolean {
    if (bytes <= 0) return true;
    // Nothing is reclaimed if it would not be enough.
    if (this.#charged + bytes - this.#spare.bytes() > this.#maxBytes) return false;
    let given = 0;
    while (this.#charged + bytes > this.#maxBytes) {
      if (given++ === MAX_RECLAIM_STEPS || !this.#spare.giveWay()) return false;
    }
    return true;
  }

  /** @param bytes for which `hasRoom` was true; below 0 for a charge that becomes smaller */
  charge(bytes: number): void {
    this.#charged += bytes;
  }

  /** @param bytes the same number as was charged */
  discharge(bytes: number): void {
    this.#charged -= bytes;
  }
}
