/**
 * A message as it lies in the input. Most are requests of which only a few short strings are kept, so
 * the text as a whole is made on demand only, and the bytes are compared where they are: an element
 * of a buffer is read in a third of the time of a character of a string.
 */
import type { Buffer } from 'node:buffer';

export class Message {
  /**
   * The message is what they are from `start` to `end`: valid UTF-8. They may be overwritten once the
   * call that delivers the message has returned.
   */
  readonly bytes: Buffer;
  readonly start: number;
  readonly end: number;
  /** All of `bytes` as text, if known and ASCII: then both have the same indices. */
  readonly #ascii: string | undefined;

  /** @param ascii see there */
  constructor(bytes: Buffer, start = 0, end = bytes.length, ascii?: string) {
    this.bytes = bytes;
    this.start = start;
    this.end = end;
    this.#ascii = ascii;
  }

  /** In bytes. */
  get length(): number {
    return this.end - this.start;
  }

  get text(): string {
    const { start, end } = this;
    return this.#ascii?.slice(start, end) ?? this.bytes.toString('utf8', start, end);
  }

  /** The text from `start` to `end`, which are indices of bytes. It may be kept. */
  slice(start: number, end: number): string {
    if (this.#ascii === undefined) return this.bytes.toString('utf8', start, end);
    if (end - start < MIN_SHARED_LENGTH) return this.#ascii.slice(start, end);
    return this.bytes.toString('latin1', start, end);
  }
}

/**
 * The engine makes slices of this length or more by reference. What is kept of a message lives as
 * long as its lock, so such a slice would keep all of the text alive.
 */
const MIN_SHARED_LENGTH = 13;
