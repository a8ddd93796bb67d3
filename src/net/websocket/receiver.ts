/**
 * Reads what a WebSocket client sends: bytes in, messages out (RFC 6455, 5 and 8.1). Knows no
 * socket and no clock; what to answer is the sink's concern.
 *
 * Bytes may be cut anywhere: the events are the same for every cut, and an offence is told as soon
 * as the bytes that prove it are here. Of a frame at most its header is kept, of a message its
 * bytes, so what a peer makes the receiver hold is bounded by `maxMessageBytes`, and grows with the
 * bytes that came, not with the length that was declared.
 *
 *     push -> #takeHeader, a byte at a time -> #takePayload -> #finishFrame -> the next header
 *
 * A short message that comes whole in one chunk, the usual case, is taken at once, header and all;
 * what is told is the same.
 */
import { Buffer } from 'node:buffer';
import { Assembly } from './assembly.ts';
import { CloseCode, isValidCloseCode, Opcode } from './frame.ts';
import { FrameHeader, MASK_BYTES } from './frame-header.ts';
import { unmask } from './masking.ts';
import { decodeUtf8 } from './utf8.ts';

export interface ReceiverLimits {
  /** Payload bytes in one message, over all its fragments; below 2^29, so that it fits a string. */
  readonly maxMessageBytes: number;
  /** Frames in one message, empty ones too; at least 1. */
  readonly maxFragments: number;
  /**
   * Whether a message that has not ended may take so many bytes; otherwise nothing more is read. Called
   * with 0 when it takes none any more. Without it, it may.
   */
  readonly mayKeep?: (bytes: number) => boolean;
}

/** Where the events go. Each call comes after the receiver's own state is settled. */
export interface ReceiverSink {
  text(message: string): void;
  /** `message` is to be copied if it is kept: it may be a part of the chunk that brought it. */
  binary(message: Buffer): void;
  /** `payload` is a byte string of at most 125 bytes. */
  ping(payload: string): void;
  pong(payload: string): void;
  /** The peer closes, with a valid code or none. Nothing follows. */
  close(code: number | undefined, reason: string): void;
  /** The peer broke the protocol; `reason` is a sentence for a person. Nothing follows. */
  fail(code: number, reason: string): void;
}

/** The first byte of a frame that is a text by itself, and the bit that says that a frame is masked. */
const WHOLE_TEXT = 0x80 | Opcode.text;
const MASKED = 0x80;
/** The longest payload whose length is in the second byte alone. */
const MAX_SHORT_BYTES = 125;

export class Receiver {
  readonly #limits: ReceiverLimits;
  readonly #sink: ReceiverSink;
  #finished = false;
  #paused = false;

  readonly #header = new FrameHeader();
  /** How many bytes of the frame's payload have come. */
  #frameTaken = 0;
  /** The payload of a control frame so far, a byte string. */
  #control = '';

  /** Outlives the control frames in its midst. */
  readonly #message: Assembly;

  constructor(limits: ReceiverLimits, sink: ReceiverSink) {
    this.#limits = limits;
    this.#sink = sink;
    this.#message = new Assembly(limits.maxMessageBytes, limits.mayKeep ?? (() => true));
  }

  /**
   * Takes the next bytes from the peer, any number. They are unmasked in place.
   *
   * @returns how many were taken: all of them unless the sink paused; then the rest is to be pushed
   *   again, before anything else
   */
  push(chunk: Buffer): number {
    this.#paused = false;
    let at = 0;
    while (at < chunk.length && !this.#finished && !this.#paused) {
      const next = this.#header.isEmpty ? this.#takeShort(chunk, at) : at;
      if (next > at) at = next;
      else if (this.#header.isComplete) at = this.#takePayload(chunk, at);
      else this.#takeHeader(chunk[at++] ?? 0);
    }
    return this.#finished ? chunk.length : at;
  }

  /** Nothing more is told until the next push. */
  pause(): void {
    this.#paused = true;
  }

  /**
   * Takes a frame that is a text by itself, short enough to need no longer length, if one begins at
   * `at` and ends in this chunk.
   *
   * @returns where it ends; `at` when that is not so, and nothing has been done
   */
  #takeShort(chunk: Buffer, at: number): number {
    const length = (chunk[at + 1] ?? 0) - MASKED;
    if (chunk[at] !== WHOLE_TEXT || length < 0 || length > MAX_SHORT_BYTES) return at;
    const start = at + 2 + MASK_BYTES;
    const end = start + length;
    if (end > chunk.length || length > this.#limits.maxMessageBytes || this.#message.begun) {
      return at;
    }
    const bitsSeen = unmask(chunk, start, end, chunk.readUInt32LE(at + 2), 0);
    this.#tellText(chunk, start, end, bitsSeen);
    return end;
  }

  #takeHeader(byte: number): void {
    const header = this.#header;
    const fault = header.take(byte);
    if (fault !== undefined) {
      this.#offence(fault);
      return;
    }
    if (!header.isControl) {
      if (header.isStarted && !this.#judgeFragment()) return;
      // The length is here, the payload is not: the time to refuse what is too much (10.4).
      if (header.isMeasured && !this.#beginFragment()) return;
    }
    if (header.isComplete && header.length === 0) this.#finishFrame();
  }

  /** Forgets what is kept, and ignores what comes. */
  stop(): void {
    this.#finished = true;
    this.#message.reset();
  }

  /** RFC 6455, 5.4. */
  #judgeFragment(): boolean {
    if (this.#header.opcode === Opcode.continuation) {
      return this.#message.begun || this.#offence('There is no message to continue.');
    }
    return (
      !this.#message.begun ||
      this.#offence('A message began before the one before it was complete.')
    );
  }

  #beginFragment(): boolean {
    const { maxMessageBytes, maxFragments } = this.#limits;
    if (this.#header.length > maxMessageBytes - this.#message.length) return this.#tooBig();
    if (this.#message.fragments === maxFragments) {
      const reason = `A message has at most ${maxFragments} fragments.`;
      return this.#fail(CloseCode.policyViolation, reason);
    }
    this.#message.beginFragment(this.#header.opcode);
    return true;
  }

  /** Takes what `chunk` has of the frame's payload from `start` on; returns where that ends. */
  #takePayload(chunk: Buffer, start: number): number {
    const { length, mask, isControl } = this.#header;
    const end = Math.min(chunk.length, start + length - this.#frameTaken);
    const bitsSeen = unmask(chunk, start, end, mask, this.#frameTaken);
    this.#frameTaken += end - start;
    if (isControl) {
      this.#control += chunk.toString('latin1', start, end);
    } else if (this.#isWholeMessage(end - start)) {
      this.#deliverWhole(chunk, start, end, bitsSeen);
      return end;
    } else if (!this.#message.reserve(end - start)) {
      this.stop();
      return end;
    } else if (!this.#message.add(chunk.subarray(start, end))) {
      this.#notText();
      return end;
    }
    if (this.#frameTaken === length) this.#finishFrame();
    return end;
  }

  /** Whether `count` bytes of payload, just come, are a message by themselves. */
  #isWholeMessage(count: number): boolean {
    const { isFinal, opcode, length } = this.#header;
    return isFinal && opcode !== Opcode.continuation && count === length;
  }

  #deliverWhole(chunk: Buffer, start: number, end: number, bitsSeen: number): void {
    const isText = this.#message.isText;
    this.#nextFrame();
    this.#message.reset();
    if (isText) this.#tellText(chunk, start, end, bitsSeen);
    else this.#sink.binary(chunk.subarray(start, end));
  }

  #tellText(chunk: Buffer, start: number, end: number, bitsSeen: number): void {
    if (bitsSeen < 0x80) {
      // ASCII, which Latin-1 and UTF-8 share: the former is far cheaper to read.
      this.#sink.text(chunk.toString('latin1', start, end));
    } else {
      this.#deliverText(decodeUtf8(chunk.subarray(start, end)));
    }
  }

  /** All of a frame is here. */
  #finishFrame(): void {
    const { isControl, isFinal, opcode } = this.#header;
    this.#nextFrame();
    if (isControl) {
      const payload = this.#control;
      this.#control = '';
      if (opcode === Opcode.ping) this.#sink.ping(payload);
      else if (opcode === Opcode.pong) this.#sink.pong(payload);
      else this.#takeClose(payload);
    } else if (isFinal) {
      if (this.#message.isText) this.#deliverText(this.#message.takeText());
      else this.#sink.binary(this.#message.takeBinary());
    }
  }

  #deliverText(text: string | undefined): void {
    if (text === undefined) this.#notText();
    else this.#sink.text(text);
  }

  /** A close frame's payload is nothing, or a code and a reason (5.5.1). */
  #takeClose(payload: string): void {
    if (payload === '') {
      this.#close(undefined, '');
      return;
    }
    if (payload.length === 1) {
      this.#offence('A close code has two bytes.');
      return;
    }
    const code = payload.charCodeAt(0) * 256 + payload.charCodeAt(1);
    const reason = decodeUtf8(Buffer.from(payload.slice(2), 'latin1'));
    if (!isValidCloseCode(code)) this.#offence(`The close code ${code} may not be sent.`);
    else if (reason === undefined) this.#notText();
    else this.#close(code, reason);
  }

  #nextFrame(): void {
    this.#header.reset();
    this.#frameTaken = 0;
  }

  #close(code: number | undefined, reason: string): void {
    this.#finished = true;
    this.#message.reset();
    this.#sink.close(code, reason);
  }

  /** Ends the reading; false, for the judge that found the fault to return. */
  #fail(code: number, reason: string): false {
    this.#finished = true;
    this.#message.reset();
    this.#sink.fail(code, reason);
    return false;
  }

  #offence(reason: string): false {
    return this.#fail(CloseCode.protocolError, reason);
  }

  #tooBig(): false {
    const { maxMessageBytes } = this.#limits;
    return this.#fail(CloseCode.messageTooBig, `A message has at most ${maxMessageBytes} bytes.`);
  }

  #notText(): false {
    return this.#fail(CloseCode.invalidText, 'Text must be valid UTF-8.');
  }
}
