/** Removes the masking of clients' frames (RFC 6455, 5.3). */
import type { Buffer } from 'node:buffer';

/**
 * Unmasks `bytes` from `start` to `end` in place.
 *
 * @param mask the frame's masking key, little-endian
 * @param taken how many bytes of the frame's payload were unmasked before these
 * @returns all unmasked bytes ORed together: below 0x80 if they are ASCII
 */
export function unmask(
  bytes: Buffer,
  start: number,
  end: number,
  mask: number,
  taken: number,
): number {
  let rest = rotated(mask, taken);
  const [key0, key1, key2, key3] = [
    rest & 0xff,
    (rest >>> 8) & 0xff,
    (rest >>> 16) & 0xff,
    rest >>> 24,
  ];
  let seen = 0;
  let i = start;
  for (; i + 3 < end; i += 4) {
    const byte0 = byteAt(bytes, i) ^ key0;
    const byte1 = byteAt(bytes, i + 1) ^ key1;
    const byte2 = byteAt(bytes, i + 2) ^ key2;
    const byte3 = byteAt(bytes, i + 3) ^ key3;
    bytes[i] = byte0;
    bytes[i + 1] = byte1;
    bytes[i + 2] = byte2;
    bytes[i + 3] = byte3;
    seen |= byte0 | byte1 | byte2 | byte3;
  }
  for (; i < end; i++) {
    const byte = byteAt(bytes, i) ^ (rest & 0xff);
    bytes[i] = byte;
    seen |= byte;
    rest >>>= 8;
  }
  return seen;
}

/** The mask for the byte that follows `taken` bytes of payload. */
function rotated(mask: number, taken: number): number {
  const bits = 8 * (taken & 3);
  return (mask >>> bits) | (mask << (32 - bits));
}

/** `bytes[index]`, which the caller knows to be in range. */
function byteAt(bytes: Buffer, index: number): number {
  return bytes[index] ?? 0;
}
