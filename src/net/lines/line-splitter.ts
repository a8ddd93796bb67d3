/**
 * From bytes to lines of text, cut wherever the network cut them. It knows no socket.
 *
 * A line ends with LF; a CR before it is dropped. Blank lines are passed over. What comes after the
 * last LF is kept until the rest arrives, in one buffer that grows as the bytes come: never more
 * than the limit, however many pieces a line arrives in.
 *
 * Nearly all that is ever sent is ASCII. Such a chunk becomes text at once, and its lines are slices
 * of that; only in others each line is looked at for itself.
 */
import { Buffer, isAscii, isUtf8 } from 'node:buffer';

export interface LineSink {
  /** One line that is not blank, without its end. */
  line(text: string): void;
  /** A line whose bytes are not UTF-8; it is dropped, and the next one is read as usual. */
  lineNotUtf8(): void;
  /** More bytes than the limit without an end: nothing after this can be understood. Called last. */
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
  /** The beginning of a line whose end has not come: the first `#partialLength` bytes. */
  #partial: Buffer = NO_BYTES;
  #partialLength = 0;
  #stopped = false;
  #paused = false;

  /**
   * @param maxLineBytes bytes allowed before the LF
   * @param mayKeep whether a line that has not ended may take so many bytes; otherwise nothing more is
   *   taken in. Called with 0 when it takes none any more
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
   * Takes in what arrived. The sink may call `stop` and `pause` from inside.
   *
   * @returns how many bytes were taken in: all of them unless the sink paused; then the rest is to be
   *   pushed again, before anything else
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

  /** Whether a line has begun, with more than blanks, and has no end. */
  get isInLine(): boolean {
    return this.#partial.toString('latin1', 0, this.#partialLength).trim() !== '';
  }

  /** Lines may have so many bytes from the next one on, which are no fewer than before. */
  allow(maxLineBytes: number): void {
    this.#maxLineBytes = maxLineBytes;
  }

  /** No line after this one until the next push. */
  pause(): void {
    this.#paused = true;
  }

  /** Drops what is kept and ignores what comes. */
  stop(): void {
    this.#stopped = true;
    this.#forgetPartial();
  }

  /** Ends the line that has begun, if `chunk` has its end; returns where the next one begins. */
  #completePartial(chunk: Buffer): number {
    const end = chunk.indexOf(LF);
    if (!this.#keep(end === -1 ? chunk : chunk.subarray(0, end)) || end === -1) return chunk.length;
    const line = this.#partial.subarray(0, this.#partialLength);
    this.#forgetPartial();
    this.#emitBytes(line);
    return end + 1;
  }

  /** Emits all lines that end in `bytes`; returns where the one begins that doesn't. */
  #takeAscii(bytes: Buffer): number {
    const last = bytes[bytes.length - 1] === LF ? bytes.length - 1 : bytes.lastIndexOf(LF);
    // Without the last line's end: so a line that comes alone is the text as it is, and no slice of it.
    const text = bytes.toString('latin1', 0, last);
    let start = 0;
    while (start <= last) {
      if (this.#stopped || this.#paused) return start;
      const next = text.indexOf('\n', start);
      const end = next === -1 ? last : next;
      if (end - start > this.#maxLineBytes) this.#tooLong();
      else this.#emit(text.slice(start, text.charCodeAt(end - 1) === CR ? end - 1 : end));
      start = end + 1;
    }
    return start;
  }

  #takeBytes(bytes: Buffer): number {
    let start = 0;
    for (let end = bytes.indexOf(LF); end !== -1; end = bytes.indexOf(LF, start)) {
      if (this.#stopped || this.#paused) return start;
      this.#emitBytes(bytes.subarray(start, end));
      start = end + 1;
    }
    return start;
  }

  #emitBytes(bytes: Buffer): void {
    if (bytes.length > this.#maxLineBytes) {
      this.#tooLong();
      return;
    }
    const hasCr = bytes.length > 0 && bytes[bytes.length - 1] === CR;
    const line = hasCr ? bytes.subarray(0, -1) : bytes;
    if (isUtf8(line)) this.#emit(line.toString('utf8'));
    else this.#sink.lineNotUtf8();
  }

  #emit(line: string): void {
    if (line.charCodeAt(0) === OPENING_BRACE || line.trim() !== '') this.#sink.line(line);
  }

  /** Appends to the line that has begun; false when that is too long, or too much. */
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
