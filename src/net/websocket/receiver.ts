/**
 * Parses the input of a WebSocket: bytes in, messages out (RFC 6455, 5 and 8.1). Knows no socket
 * and no clock; the sink responds.
 *
 * Input may be split anywhere: the events don't depend on it, and a violation is reported as soon
 * as the bytes that prove it have arrived. Only the header of a frame and the bytes of a message
 * are kept, so memory is bounded by `maxMessageBytes`, and grows with the bytes received, not with
 * the declared length.
 *
 *     push -> #takeHeader, a byte at a time -> #takePayload -> #finishFrame -> the next header
 *
 * A short message that arrives whole in one chunk, the usual case, is parsed at once by
 * `#takeShort`, with the same events.
 */
import { Buffer, isUtf8 } from 'node:buffer';
import { Message } from '../../runtime/message.ts';
import { Assembly } from './assembly.ts';
import { CloseCode, isValidCloseCode, Opcode } from './frame.ts';
import { FrameHeader, MASK_BYTES } from './frame-header.ts';
import { unmask } from './masking.ts';
import { decodeUtf8 } from './utf8.ts';

export interface ReceiverLimits {
  /** Payload bytes of one message, all fragments included; below 2^29, so that it fits a string. */
  readonly maxMessageBytes: number;
  /** Frames in one message, empty ones too; at least 1. */
  readonly maxFragments: number;
  /**
   * Asked before the buffer of an unfinished message grows to `bytes`; on false the receiver stops.
   * Called with 0 when the buffer is freed. Default: always true.
   */
  readonly mayKeep?: (bytes: number) => boolean;
}

/** Receives the events. Each call is made when the receiver's own state is consistent. */
export interface ReceiverSink {
  text(message: Message): void;
  /** `message` must be copied if it is kept: it may be a part of the pushed chunk. */
  binary(message: Buffer): void;
  /** `payload` is a byte string of at most 125 bytes. */
  ping(payload: string): void;
  pong(payload: string): void;
  /** The peer closes, with a valid code or none. No call follows. */
  close(code: number | undefined, reason: string): void;
  /** The peer violated the protocol; `reason` is a sentence for people. No call follows. */
  fail(code: number, reason: string): void;
}

/** The first byte of an unfragmented text frame, and the bit that marks a masked frame. */
const WHOLE_TEXT = 0x80 | Opcode.text;
const MASKED = 0x80;
/** The longest payload whose length fits the second byte. */
const MAX_SHORT_BYTES = 125;

export class Receiver {
  readonly #limits: ReceiverLimits;
  readonly #sink: ReceiverSink;
  #finished = false;
  #paused = false;

  readonly #header = new FrameHeader();
  /** How many bytes of the frame's payload have arrived. */
  #frameTaken = 0;
  /** The payload of a control frame so far, a byte string. */
  #control = '';

  /** Control frames may arrive between its fragments. */
  readonly #message: Assembly;

  constructor(limits: ReceiverLimits, sink: ReceiverSink) {
    this.#limits = limits;
    this.#sink = sink;
    this.#message = new Assembly(limits.maxMessageBytes, limits.mayKeep ?? (() => true));
  }

  /**
   * Parses the next bytes, any number of them. They are unmasked in place.
   *
   * @returns how many were consumed: all of them unless the sink paused. The caller must push the
   *   rest again before any other bytes
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

  /** Makes no more calls to the sink until the next push. */
  pause(): void {
    this.#paused = true;
  }

  /**
   * Parses an unfragmented text frame of at most `MAX_SHORT_BYTES`, if one begins at `at` and ends
   * in this chunk.
   *
   * @returns where it ends; `at` if there is none, and nothing has changed
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
    this.#takeText(chunk, start, end, bitsSeen);
    return end;
  }

  #takeHeader(byte: number): void {
    const header = this.#header;
    const fault = header.take(byte);
    if (fault !== undefined) {
      this.#violation(fault);
      return;
    }
    if (!header.isControl) {
      if (header.isStarted && !this.#checkFragment()) return;
      // Reject a message that is too large by its declared length, before its payload arrives
      // (10.4).
      if (header.isMeasured && !this.#beginFragment()) return;
    }
    if (header.isComplete && header.length === 0) this.#finishFrame();
  }

  /** Drops the unfinished message and ignores later input. */
  stop(): void {
    this.#finished = true;
    this.#message.reset();
  }

  /** Whether the frame may follow the previous one (RFC 6455, 5.4); fails if not. */
  #checkFragment(): boolean {
    if (this.#header.opcode === Opcode.continuation) {
      return this.#message.begun || this.#violation('There is no message to continue.');
    }
    return (
      !this.#message.begun ||
      this.#violation('A new message began before the previous one was complete.')
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

  /**
   * Takes the part of the frame's payload that `chunk` has from `start` on; returns where it ends.
   */
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
      this.#invalidText();
      return end;
    }
    if (this.#frameTaken === length) this.#finishFrame();
    return end;
  }

  /** Whether the `count` payload bytes just received are a whole message. */
  #isWholeMessage(count: number): boolean {
    const { isFinal, opcode, length } = this.#header;
    return isFinal && opcode !== Opcode.continuation && count === length;
  }

  #deliverWhole(chunk: Buffer, start: number, end: number, bitsSeen: number): void {
    const isText = this.#message.isText;
    this.#nextFrame();
    this.#message.reset();
    if (isText) this.#takeText(chunk, start, end, bitsSeen);
    else this.#sink.binary(chunk.subarray(start, end));
  }

  #takeText(chunk: Buffer, start: number, end: number, bitsSeen: number): void {
    const isText = bitsSeen < 0x80 || isUtf8(chunk.subarray(start, end));
    if (isText) this.#sink.text(new Message(chunk, start, end));
    else this.#invalidText();
  }

  /** The frame is complete. */
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
      if (this.#message.isText) this.#finishText();
      else this.#sink.binary(this.#message.take());
    }
  }

  #finishText(): void {
    if (this.#message.mayEnd()) this.#sink.text(new Message(this.#message.take()));
    else this.#invalidText();
  }

  /** A close frame's payload is empty, or a code and a reason (5.5.1). */
  #takeClose(payload: string): void {
    if (payload === '') {
      this.#close(undefined, '');
      return;
    }
    if (payload.length === 1) {
      this.#violation('A close code has two bytes.');
      return;
    }
    const code = payload.charCodeAt(0) * 256 + payload.charCodeAt(1);
    const reason = decodeUtf8(Buffer.from(payload.slice(2), 'latin1'));
    if (!isValidCloseCode(code)) this.#violation(`The close code ${code} may not be sent.`);
    else if (reason === undefined) this.#invalidText();
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

  /** Stops and reports a violation; returns false, so that checks can return its result. */
  #fail(code: number, reason: string): false {
    this.#finished = true;
    this.#message.reset();
    this.#sink.fail(code, reason);
    return false;
  }

  #violation(reason: string): false {
    return this.#fail(CloseCode.protocolError, reason);
  }

  #tooBig(): false {
    const { maxMessageBytes } = this.#limits;
    return this.#fail(CloseCode.messageTooBig, `A message has at most ${maxMessageBytes} bytes.`);
  }

  #invalidText(): false {
    return this.#fail(CloseCode.invalidText, 'Text must be valid UTF-8.');
  }
}
