/**
 * The memory of what is kept for clients, by estimate: locks, sessions with their namespaces, and
 * watches. Little said can mean much kept: one request of a few hundred kilobytes can name a hundred
 * thousand segments, and each may become a node of the table. Rather too much than too little, as
 * measured on 64-bit engines; test/session/memory.test.ts holds each estimate to what the heap says.
 */

import { type Limits, MAX_NAME_LENGTH } from '../runtime/limits.ts';
import type { Path, Resource } from '../table/resource.ts';
import type { LockTerms, Ref } from './lock-record.ts';
import type { SessionSettings } from './session-host.ts';

/** A lock in the table, its record, and its places in the indexes of its session. */
const LOCK_BYTES = 450;
/** With what a resource has at its node beside another of the same lock. */
const RESOURCE_BYTES = 260;
/** A node of the table with a queue, the entry in it, and the segment itself, without its text. */
const SEGMENT_BYTES = 320;
/** A segment whose node and entry the resource before it has made. */
const SHARED_SEGMENT_BYTES = 50;
const CHARACTER_BYTES = 2;
/** A string without its text. */
const STRING_BYTES = 24;
/** An owner; each lock pays for one, though several may share it. */
const OWNER_BYTES = 300;
/** A timer with a delay that no other has. */
const TIMER_BYTES = 650;
/** A session with its secret name and the timer that runs once it is lost. */
const SESSION_BYTES = 1150;
const NAMESPACE_BYTES = 900;
/** A node of the tree of watched paths. */
const WATCH_NODE_BYTES = 300;
/** One path of one connection, beside the nodes of the path. */
export const WATCH_BYTES = 500;

/** Bytes that a lock takes as long as it is held or waits. */
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

/** Bytes that a new session takes at most, with a namespace of its own. */
export function maxSessionBytes({ maxSegmentBytes }: Limits): number {
  return (
    SESSION_BYTES + stringBytes(MAX_NAME_LENGTH) + NAMESPACE_BYTES + stringBytes(maxSegmentBytes)
  );
}

/** Bytes of one node in the tree of watched paths. */
export function watchNodeBytes(segment: string): number {
  return WATCH_NODE_BYTES + CHARACTER_BYTES * segment.length;
}

function termsBytes({ waitMs, holdMs, owner, label }: LockTerms): number {
  let bytes = 0;
  if (owner !== undefined) bytes += OWNER_BYTES + stringBytes(owner.length);
  if (label !== undefined) bytes += stringBytes(label.length);
  // Of the two one runs at a time.
  if (waitMs !== undefined || holdMs !== undefined) bytes += TIMER_BYTES;
  return bytes;
}

function stringBytes(length: number): number {
  return STRING_BYTES + CHARACTER_BYTES * length;
}

/** How many segments the two have in common from the first on. */
function commonLength(a: Path, b: Path): number {
  let length = 0;
  while (length < a.length && length < b.length && a[length] === b[length]) length++;
  return length;
}

/** So many give way for one request at most: it must not hold up the others. */
const MAX_GIVING_WAY = 1000;

/** What is charged and can be done without. */
export interface Spare {
  /** Bytes of it, or more. */
  readonly bytes: number;
  /** Lets a part of it go; false when there is nothing. */
  giveWay(): boolean;
}

/**
 * The account of a server.
 *
 * Invariant: `charged` is the sum of the estimates of all that is kept; so it is 0 when nothing is.
 */
export class MemoryAccount {
  readonly #maxBytes: number;
  readonly #spare: Spare;
  #charged = 0;

  /** @param maxBytes that may be charged */
  constructor(maxBytes: number, spare: Spare) {
    this.#maxBytes = maxBytes;
    this.#spare = spare;
  }

  get charged(): number {
    return this.#charged;
  }

  /** Whether `bytes` more may be charged now, after others have given way if need be. */
  hasRoom(bytes: number): boolean {
    // Where that would not be enough, nothing gives way in vain.
    if (this.#charged + bytes - this.#spare.bytes > this.#maxBytes) return false;
    let given = 0;
    while (this.#charged + bytes > this.#maxBytes) {
      if (given++ === MAX_GIVING_WAY || !this.#spare.giveWay()) return false;
    }
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
