/**
 * The memory of what is kept for clients, by estimate: locks, sessions with their namespaces, and
 * watches. Little said can mean much kept: one request of a few hundred kilobytes can name a hundred
 * thousand segments, and each may become a node of the table. Rather too much than too little, as
 * measured on 64-bit engines; test/session/memory.test.ts holds each estimate to what the heap says.
 */
import type { Resource } from '../table/resource.ts';
import type { LockTerms } from './lock-record.ts';

const LOCK_BYTES = 400;
const RESOURCE_BYTES = 150;
/** A node of the table with a queue, the entry in it, and the segment itself, without its text. */
const SEGMENT_BYTES = 320;
const CHARACTER_BYTES = 2;

/** A node of the tree of watched paths. */
const WATCH_NODE_BYTES = 300;
/** One path of one watcher. */
const WATCH_BYTES = 500;

/** Bytes that a lock takes as long as it is held or waits. */
export function lockBytes(resources: readonly Resource[], _terms: LockTerms): number {
  let bytes = LOCK_BYTES;
  for (const { path } of resources) {
    bytes += RESOURCE_BYTES + SEGMENT_BYTES * path.length;
    for (const segment of path) bytes += CHARACTER_BYTES * segment.length;
  }
  return bytes;
}

/** Bytes of one node in the tree of watched paths. */
export function watchNodeBytes(segment: string): number {
  return WATCH_NODE_BYTES + CHARACTER_BYTES * segment.length;
}

/** Bytes of one path that one connection watches, beside the nodes of the path. */
export function watchBytes(): number {
  return WATCH_BYTES;
}

/**
 * The account of a server.
 *
 * Invariant: `charged` is the sum of the estimates of all that is kept; so it is 0 when nothing is.
 */
export class MemoryAccount {
  readonly #maxBytes: number;
  readonly #giveWay: () => boolean;
  #charged = 0;

  /**
   * @param maxBytes that may be charged
   * @param giveWay lets something go that can be done without; false when there is nothing
   */
  constructor(maxBytes: number, giveWay: () => boolean) {
    this.#maxBytes = maxBytes;
    this.#giveWay = giveWay;
  }

  get charged(): number {
    return this.#charged;
  }

  /** Whether `bytes` more may be charged now, after others have given way if need be. */
  hasRoom(bytes: number): boolean {
    while (this.#charged + bytes > this.#maxBytes) if (!this.#giveWay()) return false;
    return true;
  }

  /** @param bytes for which there was room */
  charge(bytes: number): void {
    this.#charged += bytes;
  }

  /** @param bytes as they were charged */
  discharge(bytes: number): void {
    this.#charged -= bytes;
  }
}
