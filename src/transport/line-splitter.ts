/**
 * From bytes to lines of text, cut wherever the network cut them. It knows no socket.
 *
 * A line ends with LF; a CR before it is dropped. Blank lines are passed over. What comes after the
 * last LF is kept until the rest arrives, in one buffer that grows as the bytes come: never more
 * than the limit, however many pieces a line arrives in.
 */
import { Buffer, isUtf8 } from 'node:buffer';

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

export class LineSplitter {
  readonly #maxLineBytes: number;
  readonly #sink: LineSink;
  /** The beginning of a line whose end has not come: the first `#partialLength` bytes. */
  #partial: Buffer = Buffer.alloc(0);
  #partialLength = 0;
  #stopped = false;

  /** @param maxLineBytes bytes allowed before the LF */
  constructor(maxLineBytes: number, sink: LineSink) {
    this.#maxLineBytes = maxLineBytes;
    this.#sink = sink;
  }

  /** Takes in what arrived. The sink may call `stop` from inside. */
  push(chunk: Buffer): void {
    let start = 0;
    for (let end = chunk.indexOf(LF); end !== -1; end = chunk.indexOf(LF, start)) {
      if (this.#stopped) return;
      if (this.#partialLength > 0) {
        if (!this.#keep(chunk.subarray(start, end))) return;
        const line = this.#partial.subarray(0, this.#partialLength);
        this.#partialLength = 0;
        this.#emit(line);
      } else {
        this.#emit(chunk.subarray(start, end));
      }
      start = end + 1;
    }
    if (!this.#stopped && start < chunk.length) this.#keep(chunk.subarray(start));
    if (this.#partialLength === 0 && this.#partial.length > 0) this.#partial = Buffer.alloc(0);
  }

  /** Drops what is kept and ignores what comes. */
  stop(): void {
    this.#stopped = true;
    this.#partial = Buffer.alloc(0);
    this.#partialLength = 0;
  }

  #emit(bytes: Buffer): void {
    if (bytes.length > this.#maxLineBytes) {
      this.#tooLong();
      return;
    }
    const hasCr = bytes.length > 0 && bytes[bytes.length - 1] === CR;
    const line = hasCr ? bytes.subarray(0, -1) : bytes;
    if (!isUtf8(line)) {
      this.#sink.lineNotUtf8();
      return;
    }
    const text = line.toString('utf8');
    if (text.trim() !== '') this.#sink.line(text);
  }

  /** Appends to the line that has begun; false when that is too long. */
  #keep(bytes: Buffer): boolean {
    const length = this.#partialLength + bytes.length;
    if (length > this.#maxLineBytes) {
      this.#tooLong();
      return false;
    }
    if (length > this.#partial.length) {
      const grown = Buffer.alloc(
        Math.min(Math.max(length, this.#partial.length * 2), this.#maxLineBytes),
      );
      this.#partial.copy(grown, 0, 0, this.#partialLength);
      this.#partial = grown;
    }
    bytes.copy(this.#partial, this.#partialLength);
    this.#partialLength = length;
    return true;
  }

  #tooLong(): void {
    this.stop();
    this.#sink.lineTooLong();
  }
}
