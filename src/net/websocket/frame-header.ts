/**
 * Parses the header of a client's frame (RFC 6455, 5.2), one byte at a time. Validates the header
 * by itself; the receiver checks fragmentation and message size.
 */
import { Buffer } from 'node:buffer';
import { MAX_CONTROL_BYTES, Opcode } from './frame.ts';

/** Two bytes, eight of length, four of mask. */
const MAX_BYTES = 14;
/** The bytes before the extended length and the mask. */
const START_BYTES = 2;
export const MASK_BYTES = 4;

const NOT_SHORTEST = 'A length must be in its shortest form.';

const NOTHING = Buffer.alloc(0);

export class FrameHeader {
  /** Made for the first header that is parsed here: many clients send short frames only. */
  #bytes: Buffer = NOTHING;
  #count = 0;
  /** Bytes of the header, as far as known. */
  #needed = START_BYTES;
  /** Whether the frame ends its message, and its opcode; both known once it `isStarted`. */
  isFinal = false;
  opcode = 0;
  /** Payload bytes; known once it `isMeasured`. Inexact above 2^53, far beyond any limit. */
  length = 0;

  /** Whether no byte of it has arrived. */
  get isEmpty(): boolean {
    return this.#count === 0;
  }

  /** Whether its second byte has just arrived. */
  get isStarted(): boolean {
    return this.#count === START_BYTES;
  }

  /** Whether the last byte of the length has just arrived. */
  get isMeasured(): boolean {
    return this.#count === this.#needed - MASK_BYTES;
  }

  get isComplete(): boolean {
    return this.#count === this.#needed;
  }

  /** Whether it belongs to a control frame (5.5). */
  get isControl(): boolean {
    return (this.opcode & 0x8) !== 0;
  }

  /** The masking key, little-endian; known once it `isComplete`. */
  get mask(): number {
    return this.#bytes.readUInt32LE(this.#needed - MASK_BYTES);
  }

  /** Starts the next header. */
  reset(): void {
    this.#count = 0;
    this.#needed = START_BYTES;
  }

  /**
   * Takes the next byte; returns a sentence that says what is wrong, as soon as that is certain.
   */
  take(byte: number): string | undefined {
    if (this.#bytes === NOTHING) this.#bytes = Buffer.alloc(MAX_BYTES);
    this.#bytes[this.#count++] = byte;
    const fault = this.isStarted ? this.#start() : undefined;
    if (fault !== undefined) return fault;
    return this.isMeasured ? this.#measure() : undefined;
  }

  #start(): string | undefined {
    const [first = 0, second = 0] = this.#bytes;
    const shortLength = second & 0x7f;
    this.isFinal = (first & 0x80) !== 0;
    this.opcode = first & 0x0f;
    if ((first & 0x70) !== 0) return 'The reserved bits must be zero: no extension was agreed on.';
    if ((second & 0x80) === 0) return 'A client must mask its frames.';
    if (this.opcode > (this.isControl ? Opcode.pong : Opcode.binary)) {
      return `Opcode ${this.opcode} is reserved.`;
    }
    if (this.isControl && !this.isFinal) return 'A control frame cannot be fragmented.';
    if (this.isControl && shortLength > MAX_CONTROL_BYTES) {
      return `A control frame carries at most ${MAX_CONTROL_BYTES} bytes.`;
    }
    const lengthBytes = shortLength === 127 ? 8 : shortLength === 126 ? 2 : 0;
    this.#needed = START_BYTES + lengthBytes + MASK_BYTES;
    return undefined;
  }

  #measure(): string | undefined {
    const [, second = 0] = this.#bytes;
    this.length = second & 0x7f;
    if (this.length === 126) {
      this.length = this.#bytes.readUInt16BE(START_BYTES);
      return this.length < 126 ? NOT_SHORTEST : undefined;
    }
    if (this.length !== 127) return undefined;
    const upper = this.#bytes.readUInt32BE(START_BYTES);
    if (upper > 0x7fffffff) return 'The top bit of a length must be zero.';
    this.length = upper * 2 ** 32 + this.#bytes.readUInt32BE(START_BYTES + 4);
    return this.length < 0x10000 ? NOT_SHORTEST : undefined;
  }
}
