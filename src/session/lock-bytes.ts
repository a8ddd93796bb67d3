/**
 * How much memory a lock takes, by estimate: one request of a few hundred kilobytes can name a hundred
 * thousand segments, and each may become a node of the table. Rather too much than too little, as
 * measured on 64-bit engines; test/session/lock-bytes.test.ts holds it to what the heap says.
 */
import type { Resource } from '../table/resource.ts';

const LOCK_BYTES = 400;
const RESOURCE_BYTES = 150;
/** A node of the table with a queue, the entry in it, and the segment itself, without its text. */
const SEGMENT_BYTES = 320;
const CHARACTER_BYTES = 2;

/** Bytes that a lock of `resources` takes as long as it is held or waits. */
export function lockBytes(resources: readonly Resource[]): number {
  let bytes = LOCK_BYTES;
  for (const { path } of resources) {
    bytes += RESOURCE_BYTES + SEGMENT_BYTES * path.length;
    for (const segment of path) bytes += CHARACTER_BYTES * segment.length;
  }
  return bytes;
}
