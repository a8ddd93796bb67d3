/** Damage to bytes without regard to their structure, and to the headers of frames. */
import { Buffer } from 'node:buffer';
import type { Random } from '../support/random.ts';

/** `bytes` with a few bits, bytes or ranges changed, inserted, deleted, or taken from `others`. */
export function damaged(random: Random, bytes: Buffer, others: readonly Buffer[]): Buffer {
  let result = Buffer.from(bytes);
  for (let count = 1 + random.below(4); count > 0; count--) {
    result = Buffer.from(damagedOnce(random, result, others));
  }
  return result;
}

function damagedOnce(random: Random, bytes: Buffer, others: readonly Buffer[]): Buffer {
  const at = random.below(bytes.length + 1);
  const head = bytes.subarray(0, at);
  const tail = bytes.subarray(at);
  switch (random.below(7)) {
    case 0:
    case 1:
      if (tail.length > 0) tail[0] = (tail[0] ?? 0) ^ (1 << random.below(8));
      return bytes;
    case 2:
      if (tail.length > 0)
        tail[0] = random.pick([0, 9, 10, 13, 32, 34, 92, 123, 125, 127, 128, 255]);
      return bytes;
    case 3:
      return Buffer.concat([head, randomBytes(random, 1 + random.below(6)), tail]);
    case 4:
      return Buffer.concat([head, tail.subarray(1 + random.below(20))]);
    case 5:
      return Buffer.concat([head, tail.subarray(0, random.below(40)), tail]);
    default: {
      const other = others.length > 0 ? random.pick(others) : bytes;
      return Buffer.concat([head, other.subarray(random.below(other.length + 1))]);
    }
  }
}

export function randomBytes(random: Random, length: number): Buffer {
  return Buffer.from(Array.from({ length }, () => random.below(256)));
}

/** A client's frame with one thing about its header wrong. */
export function crookedFrame(random: Random, frame: Buffer): Buffer {
  const bytes = Buffer.from(frame);
  switch (random.below(6)) {
    case 0: // FIN, a reserved bit, or the opcode
      bytes[0] = (bytes[0] ?? 0) ^ (1 << random.below(8));
      return bytes;
    case 1: // the mask bit, or the length
      bytes[1] = (bytes[1] ?? 0) ^ (1 << random.below(8));
      return bytes;
    case 2: // a length in 16 bits
      return Buffer.concat([bytes.subarray(0, 1), length16(random), bytes.subarray(2)]);
    case 3: // a length in 64 bits
      return Buffer.concat([bytes.subarray(0, 1), length64(random), bytes.subarray(2)]);
    case 4:
      return bytes.subarray(0, random.below(bytes.length));
    default:
      return Buffer.concat([bytes, bytes.subarray(random.below(bytes.length))]);
  }
}

function length16(random: Random): Buffer {
  const bytes = Buffer.from([0xfe, 0, 0]);
  bytes.writeUInt16BE(random.pick([0, 125, 126, 200, 65_535]), 1);
  return bytes;
}

function length64(random: Random): Buffer {
  const bytes = Buffer.alloc(9, 0xff);
  bytes.writeBigUInt64BE(
    random.pick([0n, 65_535n, 65_536n, 2n ** 32n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n]),
    1,
  );
  return bytes;
}
