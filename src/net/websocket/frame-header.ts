/**
 * The header of a frame that a client sends (RFC 6455, 5.2), taken a byte at a time. It judges what the
 * header says by itself; what may come in the midst of a message, and how much, is the receiver's to
 * say.
 */
import { Buffer } from 'node:buffer';
import { MAX_CONTROL_BYTES, Opcode } from './frame.ts';

/** Two bytes, eight of length, four of mask. */
const MAX_BYTES = 14;
/** All but the rest of the length and the mask. */
const START_BYTES = 2;
export const MASK_BYTES = 4;

const NOT_SHORTEST = 'A length must be in its shortest form.';

export class FrameHeader {
  readonly #bytes = Buffer.alloc(MAX_BYTES);
  #count = 0;
  /** As far as is known. */
  #needed = START_BYTES;
  /** Known once it `isStarted`: whether the frame ends its message, and what it is. */
  isFinal = false;
  opcode = 0;
  /** Bytes of payload; known once it `isMeasured`. Not exact past 2^53, far beyond any limit. */
  length = 0;

  /** Whether no byte of it has come. */
  get isEmpty(): boolean {
    return this.#count === 0;
  }

  /** Whether its second byte has just come. */
  get isStarted(): boolean {
    return this.#count === START_BYTES;
  }

  /** Whether the last byte of the length has just come. */
  get isMeasured(): boolean {
    return this.#count === this.#needed - MASK_BYTES;
  }

  get isComplete(): boolean {
    return this.#count === this.#needed;
  }

  /** Whether it is of a control frame (5.5). */
  get isControl(): boolean {
    return (this.opcode & 0x8) !== 0;
  }

  /** The masking key, its first byte lowest; known once it `isComplete`. */
  get mask(): number {
    return this.#bytes.readUInt32LE(this.#needed - MASK_BYTES);
  }

  /** Begins anew. */
  reset(): void {
    this.#count = 0;
    this.#needed = START_BYTES;
  }

  /** Takes the next byte; returns what is wrong, as a sentence, as soon as that is certain. */
  take(byte: number): string | undefined {
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
