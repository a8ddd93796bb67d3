/**
 * TCP may cut a stream of bytes anywhere, and the result of a reader must not depend on it. These
 * are the cuts that the tests of readers use. Pieces are copies, as a reader may write into its
 * input.
 */
import { Buffer } from 'node:buffer';
import type { Random } from './random.ts';

/** Bytes in each piece; the last is the whole. */
export const CHUNK_SIZES = [1, 2, 3, 7, Number.POSITIVE_INFINITY];

/** `bytes` in pieces of `size`, the last one shorter. */
export function piecesOf(bytes: Buffer, size: number): Buffer[] {
  const pieces: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += size) {
    pieces.push(Buffer.from(bytes.subarray(at, at + size)));
  }
  return pieces;
}

/** `bytes` cut in two, at every position. */
export function everyCut(bytes: Buffer): [Buffer, Buffer][] {
  const cuts: [Buffer, Buffer][] = [];
  for (let at = 1; at < bytes.length; at++) {
    cuts.push([Buffer.from(bytes.subarray(0, at)), Buffer.from(bytes.subarray(at))]);
  }
  return cuts;
}

/** `bytes` in pieces of 1 to `maxSize` bytes, chosen by `random`. */
export function randomPieces(bytes: Buffer, maxSize: number, random: Random): Buffer[] {
  const pieces: Buffer[] = [];
  let at = 0;
  while (at < bytes.length) {
    const end = at + 1 + random.below(maxSize);
    pieces.push(Buffer.from(bytes.subarray(at, end)));
    at = end;
  }
  return pieces;
}
