/**
 * Splits a byte stream into lines of text, whatever chunks it arrives in. Knows no socket.
 *
 * A line ends with LF; a CR before it is dropped. Blank lines are skipped. Bytes after the last LF
 * are kept until the rest arrives, in one buffer that grows with them and never exceeds the line
 * limit.
 *
 * Nearly all input is ASCII. Such a chunk is decoded as a whole, for all of its lines. Other chunks are
 * validated as a whole and, if they are not valid, line by line.
 */
import { Buffer, isAscii, isUtf8 } from 'node:buffer';
import { Message } from '../../runtime/message.ts';

export interface LineSink {
  /** One line that is not blank, without its line end. */
  line(message: Message): void;
  /** A line was not valid UTF-8. It is dropped; the next one is read as usual. */
  lineNotUtf8(): void;
  /**
   * A line exceeds the limit, so the start of the next one is unknown. No call follows this one.
   */
  lineTooLong(): void;
}

const LF = 0x0a;
const CR = 0x0d;
const OPENING_BRACE = 0x7b;

const NO_BYTES = Buffer.alloc(0);

export class LineSplitter {
  #maxLineBytes: number;
  readonly #sink: LineSink;
  readonly #mayKeep: (bytes: number) => boolean;
  /** The unfinished line: its first `#partialLength` bytes. */
  #partial: Buffer = NO_BYTES;
  #partialLength = 0;
  #stopped = false;
  #paused = false;

  /**
   * @param maxLineBytes bytes allowed before the LF
   * @param mayKeep asked before the buffer of an unfinished line grows to `bytes`; on false the
   *   splitter stops. Called with 0 when the buffer is freed
   */
  constructor(
    maxLineBytes: number,
    sink: LineSink,
    mayKeep: (bytes: number) => boolean = () => true,
  ) {
    this.#mayKeep = mayKeep;
    this.#maxLineBytes = maxLineBytes;
    this.#sink = sink;
  }

  /**
   * Splits the next chunk. The sink may call `stop` and `pause` meanwhile.
   *
   * @returns how many bytes were consumed: all of them unless the sink paused. The caller must push
   *   the rest again before any other chunk
   */
  push(chunk: Buffer): number {
    this.#paused = false;
    const start = this.#partialLength === 0 ? 0 : this.#completePartial(chunk);
    if (start === chunk.length || this.#paused) return start;
    const rest = start === 0 ? chunk : chunk.subarray(start);
    const taken = isAscii(rest) ? this.#takeAscii(rest) : this.#takeBytes(rest);
    if (this.#paused) return start + taken;
    if (!this.#stopped && taken < rest.length) this.#keep(rest.subarray(taken));
    return chunk.length;
  }

  /** Whether there is an unfinished line that is not blank. */
  get isInLine(): boolean {
    return this.#partial.toString('latin1', 0, this.#partialLength).trim() !== '';
  }

  /** Raises the limit, in bytes, from the next line on. It must not be lowered. */
  allow(maxLineBytes: number): void {
    this.#maxLineBytes = maxLineBytes;
  }

  /** Emits no line after the present one until the next push. */
  pause(): void {
    this.#paused = true;
  }

  /** Drops the unfinished line and ignores later input. */
  stop(): void {
    this.#stopped = true;
    this.#forgetPartial();
  }

  /** Completes the unfinished line if `chunk` has its end; returns where the next line begins. */
  #completePartial(chunk: Buffer): number {
    const end = chunk.indexOf(LF);
    if (!this.#keep(end === -1 ? chunk : chunk.subarray(0, end)) || end === -1) return chunk.length;
    const [bytes, length] = [this.#partial, this.#partialLength];
    this.#forgetPartial();
    this.#emitBytes(bytes, 0, length);
    return end + 1;
  }

  /** Emits all lines that end in `bytes`; returns where the unfinished one begins. */
  #takeAscii(bytes: Buffer): number {
    const last = bytes[bytes.length - 1] === LF ? bytes.length - 1 : bytes.lastIndexOf(LF);
    // Decoded without the last LF, so that the text of a single line is no slice.
    const text = bytes.toString('latin1', 0, last);
    let start = 0;
    while (start <= last) {
      if (this.#stopped || this.#paused) return start;
      const next = text.indexOf('\n', start);
      const end = next === -1 ? last : next;
      if (end - start > this.#maxLineBytes) this.#tooLong();
      else this.#emit(new Message(bytes, start, bytes[end - 1] === CR ? end - 1 : end, text));
      start = end + 1;
    }
    return start;
  }

  #takeBytes(bytes: Buffer): number {
    // Usually all lines are valid; then they need not be validated one by one.
    const areUtf8 = isUtf8(bytes.subarray(0, bytes.lastIndexOf(LF) + 1));
    let start = 0;
    for (let end = bytes.indexOf(LF); end !== -1; end = bytes.indexOf(LF, start)) {
      if (this.#stopped || this.#paused) return start;
      this.#emitBytes(bytes, start, end, areUtf8);
      start = end + 1;
    }
    return start;
  }

  /** Emits the line from `start` to `end`, where its LF is or was. */
  #emitBytes(bytes: Buffer, start: number, end: number, isUtf8Known = false): void {
    if (end - start > this.#maxLineBytes) {
      this.#tooLong();
      return;
    }
    const hasCr = end > start && bytes[end - 1] === CR;
    const line = new Message(bytes, start, hasCr ? end - 1 : end);
    if (isUtf8Known || isUtf8(bytes.subarray(start, line.end))) this.#emit(line);
    else this.#sink.lineNotUtf8();
  }

  #emit(line: Message): void {
    if (line.bytes[line.start] === OPENING_BRACE || line.text.trim() !== '') this.#sink.line(line);
  }

  /** Appends to the unfinished line; false, after `stop`, if that exceeds a limit. */
  #keep(bytes: Buffer): boolean {
    const length = this.#partialLength + bytes.length;
    if (length > this.#maxLineBytes) {
      this.#tooLong();
      return false;
    }
    if (length > this.#partial.length) {
      const capacity = Math.min(Math.max(length, this.#partial.length * 2), this.#maxLineBytes);
      if (!this.#mayKeep(capacity)) {
        this.stop();
        return false;
      }
      const grown = Buffer.alloc(capacity);
      this.#partial.copy(grown, 0, 0, this.#partialLength);
      this.#partial = grown;
    }
    bytes.copy(this.#partial, this.#partialLength);
    this.#partialLength = length;
    return true;
  }

  #forgetPartial(): void {
    if (this.#partial.length > 0) this.#mayKeep(0);
    this.#partial = NO_BYTES;
    this.#partialLength = 0;
  }

  #tooLong(): void {
    this.stop();
    this.#sink.lineTooLong();
  }
}
