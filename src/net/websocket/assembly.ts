/**
 * Assembles a message from its fragments, and from pieces of fragments (RFC 6455, 5.4). Keeps the
 * bytes in one block, never in a list of pieces; the block grows with the bytes received, up to the
 * limit. Text is validated as it arrives (8.1).
 *
 * The receiver checks the limits before it adds anything.
 */
import { Buffer } from 'node:buffer';
import { Opcode } from './frame.ts';
import { Utf8Judge } from './utf8.ts';

const NO_BYTES = Buffer.alloc(0);
const MIN_CAPACITY = 1024;

export class Assembly {
  readonly #maxBytes: number;
  readonly #mayKeep: (bytes: number) => boolean;
  /** `Opcode.text` or `Opcode.binary`, or `Opcode.continuation` between messages. */
  #opcode: number = Opcode.continuation;
  #fragments = 0;
  /** Its first `#length` bytes are the message so far. */
  #block = NO_BYTES;
  #length = 0;
  /** Undefined until there is text to validate. */
  #judge: Utf8Judge | undefined;

  /**
   * @param maxBytes bytes that are added to one message, at most
   * @param mayKeep asked before the block grows to `bytes`; called with 0 when it is freed
   */
  constructor(maxBytes: number, mayKeep: (bytes: number) => boolean) {
    this.#maxBytes = maxBytes;
    this.#mayKeep = mayKeep;
  }

  /** Whether a message has begun and is not yet taken. */
  get begun(): boolean {
    return this.#opcode !== Opcode.continuation;
  }

  get isText(): boolean {
    return this.#opcode === Opcode.text;
  }

  /** Bytes added so far. */
  get length(): number {
    return this.#length;
  }

  /** Frames begun so far. */
  get fragments(): number {
    return this.#fragments;
  }

  /** A frame of the message begins: `Opcode.continuation` for any but the first. */
  beginFragment(opcode: number): void {
    if (opcode !== Opcode.continuation) this.#opcode = opcode;
    this.#fragments++;
  }

  /** Grows the block for `count` more bytes; false if they may not be kept. */
  reserve(count: number): boolean {
    const length = this.#length + count;
    return length <= this.#block.length || this.#grow(length);
  }

  /**
   * Appends `bytes`, after `reserve`; false if the message is text and they are not valid UTF-8.
   */
  add(bytes: Buffer): boolean {
    if (this.isText) {
      this.#judge ??= new Utf8Judge();
      if (!this.#judge.accepts(bytes)) return false;
    }
    bytes.copy(this.#block, this.#length);
    this.#length += bytes.length;
    return true;
  }

  /** Whether the message may end here: if it is text, not inside a character. */
  mayEnd(): boolean {
    return this.#judge === undefined || this.#judge.acceptsEnd();
  }

  /** Returns the message, which the caller may keep, and resets. */
  take(): Buffer {
    const bytes = this.#block.subarray(0, this.#length);
    this.reset();
    return bytes;
  }

  /** Drops the message. */
  reset(): void {
    this.#opcode = Opcode.continuation;
    this.#fragments = 0;
    if (this.#block.length > 0) this.#mayKeep(0);
    this.#block = NO_BYTES;
    this.#length = 0;
    this.#judge = undefined;
  }

  /** Doubles the block, so that the cost of copying stays proportional to the message. */
  #grow(length: number): boolean {
    const doubled = Math.max(length, 2 * this.#block.length, MIN_CAPACITY);
    const capacity = Math.min(doubled, this.#maxBytes);
    if (!this.#mayKeep(capacity)) return false;
    const grown = Buffer.alloc(capacity);
    this.#block.copy(grown, 0, 0, this.#length);
    this.#block = grown;
    return true;
  }
}
