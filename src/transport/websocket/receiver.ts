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
import { CloseCode, isValidCloseCode, MAX_CONTROL_BYTES, Opcode } from './frame.ts';
import { decodeUtf8 } from './utf8.ts';

export interface ReceiverLimits {
  /** Payload bytes in one message, over all its fragments; below 2^29, so that it fits a string. */
  readonly maxMessageBytes: number;
  /** Frames in one message, empty ones too; at least 1. */
  readonly maxFragments: number;
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

/** Two bytes, eight of length, four of mask (5.2). */
const MAX_HEADER_BYTES = 14;
const MASK_BYTES = 4;
/** The first byte of a frame that is a text by itself, and the bit that says that a frame is masked. */
const WHOLE_TEXT = 0x80 | Opcode.text;
const MASKED = 0x80;

export class Receiver {
  readonly #limits: ReceiverLimits;
  readonly #sink: ReceiverSink;
  #finished = false;
  #paused = false;

  /** The frame's header: `#headerLength` bytes are here, of `#headerNeeded` as far as is known. */
  readonly #header = Buffer.alloc(MAX_HEADER_BYTES);
  #headerLength = 0;
  #headerNeeded = 2;

  /** What the header said, and how many bytes of payload have come since. */
  #final = false;
  #opcode = 0;
  #frameLength = 0;
  #frameTaken = 0;
  /** The payload of a control frame so far, a byte string. */
  #control = '';

  /** Outlives the control frames in its midst. */
  readonly #message: Assembly;

  constructor(limits: ReceiverLimits, sink: ReceiverSink) {
    this.#limits = limits;
    this.#sink = sink;
    this.#message = new Assembly(limits.maxMessageBytes);
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
      const next = this.#headerLength === 0 ? this.#takeShort(chunk, at) : at;
      if (next > at) {
        at = next;
      } else if (this.#headerLength < this.#headerNeeded) {
        this.#takeHeader(byteAt(chunk, at));
        at++;
      } else {
        at = this.#takePayload(chunk, at);
      }
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
    const length = byteAt(chunk, at + 1) - MASKED;
    const start = at + 2 + MASK_BYTES;
    const end = start + length;
    if (byteAt(chunk, at) !== WHOLE_TEXT || length < 0 || length > 125 || end > chunk.length)
      return at;
    if (this.#message.begun || length > this.#limits.maxMessageBytes) return at;
    const bitsSeen = unmask(chunk, start, end, chunk.readInt32LE(at + 2));
    this.#tellText(chunk, start, end, bitsSeen);
    return end;
  }

  #takeHeader(byte: number): void {
    this.#header[this.#headerLength++] = byte;
    if (this.#headerLength === 2 && !this.#judgeStart()) return;
    if (this.#headerLength === this.#headerNeeded - MASK_BYTES && !this.#judgeLength()) return;
    if (this.#headerLength === this.#headerNeeded && this.#frameLength === 0) this.#finishFrame();
  }

  /** The first two bytes: all of the frame but its length and mask (5.2). */
  #judgeStart(): boolean {
    const first = byteAt(this.#header, 0);
    const second = byteAt(this.#header, 1);
    const shortLength = second & 0x7f;
    this.#final = (first & 0x80) !== 0;
    this.#opcode = first & 0x0f;
    if ((first & 0x70) !== 0) {
      return this.#offence('The reserved bits must be zero: no extension was agreed on.');
    }
    if ((second & 0x80) === 0) return this.#offence('A client must mask its frames.');
    const lawful = isControl(this.#opcode)
      ? this.#judgeControl(shortLength)
      : this.#judgeFragment();
    if (!lawful) return false;
    const lengthBytes = shortLength === 127 ? 8 : shortLength === 126 ? 2 : 0;
    this.#headerNeeded = 2 + lengthBytes + MASK_BYTES;
    return true;
  }

  /** RFC 6455, 5.5. */
  #judgeControl(shortLength: number): boolean {
    if (this.#opcode > Opcode.pong) return this.#offence(`Opcode ${this.#opcode} is reserved.`);
    if (!this.#final) return this.#offence('A control frame cannot be fragmented.');
    if (shortLength > MAX_CONTROL_BYTES) {
      return this.#offence(`A control frame carries at most ${MAX_CONTROL_BYTES} bytes.`);
    }
    return true;
  }

  /** RFC 6455, 5.4. */
  #judgeFragment(): boolean {
    if (this.#opcode > Opcode.binary) return this.#offence(`Opcode ${this.#opcode} is reserved.`);
    if (this.#opcode === Opcode.continuation) {
      return this.#message.begun || this.#offence('There is no message to continue.');
    }
    return (
      !this.#message.begun ||
      this.#offence('A message began before the one before it was complete.')
    );
  }

  /** The length is here, the payload is not: the time to refuse what is too much (5.2, 10.4). */
  #judgeLength(): boolean {
    let length = byteAt(this.#header, 1) & 0x7f;
    if (length === 126) {
      length = this.#header.readUInt16BE(2);
      if (length < 126) return this.#offence('A length must be in its shortest form.');
    } else if (length === 127) {
      // The upper half is judged by itself: as one number the two could lose digits.
      const upper = this.#header.readUInt32BE(2);
      length = this.#header.readUInt32BE(6);
      if (upper > 0x7fffffff) return this.#offence('The top bit of a length must be zero.');
      if (upper === 0 && length < 0x10000) {
        return this.#offence('A length must be in its shortest form.');
      }
      if (upper > 0) return this.#tooBig();
    }
    this.#frameLength = length;
    return isControl(this.#opcode) || this.#beginFragment();
  }

  #beginFragment(): boolean {
    const { maxMessageBytes, maxFragments } = this.#limits;
    if (this.#frameLength > maxMessageBytes - this.#message.length) return this.#tooBig();
    if (this.#message.fragments === maxFragments) {
      const reason = `A message has at most ${maxFragments} fragments.`;
      return this.#fail(CloseCode.policyViolation, reason);
    }
    this.#message.beginFragment(this.#opcode);
    return true;
  }

  /** Takes what `chunk` has of the frame's payload from `start` on; returns where that ends. */
  #takePayload(chunk: Buffer, start: number): number {
    const end = Math.min(chunk.length, start + this.#frameLength - this.#frameTaken);
    const mask = this.#header.readUInt32LE(this.#headerNeeded - MASK_BYTES);
    const bitsSeen = unmask(chunk, start, end, rotated(mask, this.#frameTaken));
    this.#frameTaken += end - start;
    if (isControl(this.#opcode)) {
      this.#control += chunk.toString('latin1', start, end);
    } else if (this.#isWholeMessage(end - start)) {
      this.#deliverWhole(chunk, start, end, bitsSeen);
      return end;
    } else if (!this.#message.add(chunk.subarray(start, end))) {
      this.#notText();
      return end;
    }
    if (this.#frameTaken === this.#frameLength) this.#finishFrame();
    return end;
  }

  /** Whether `count` bytes of payload, just come, are a message by themselves. */
  #isWholeMessage(count: number): boolean {
    return this.#final && this.#opcode !== Opcode.continuation && count === this.#frameLength;
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
    this.#nextFrame();
    if (isControl(this.#opcode)) {
      const payload = this.#control;
      this.#control = '';
      if (this.#opcode === Opcode.ping) this.#sink.ping(payload);
      else if (this.#opcode === Opcode.pong) this.#sink.pong(payload);
      else this.#takeClose(payload);
    } else if (this.#final) {
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
    this.#headerLength = 0;
    this.#headerNeeded = 2;
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

function isControl(opcode: number): boolean {
  return (opcode & 0x8) !== 0;
}

/** `bytes[index]`, which is in range: the compiler cannot know. */
function byteAt(bytes: Buffer, index: number): number {
  return bytes[index] ?? 0;
}

/** The mask for the byte that follows `taken` bytes of payload; the next key byte is lowest. */
function rotated(mask: number, taken: number): number {
  const bits = 8 * (taken & 3);
  return (mask >>> bits) | (mask << (32 - bits));
}

/** Unmasks `bytes` from `start` to `end` in place (5.3); returns all of them ORed together. */
function unmask(bytes: Buffer, start: number, end: number, mask: number): number {
  const [key0, key1, key2, key3] = [
    mask & 0xff,
    (mask >>> 8) & 0xff,
    (mask >>> 16) & 0xff,
    mask >>> 24,
  ];
  let seen = 0;
  let i = start;
  for (; i + 3 < end; i += 4) {
    const byte0 = byteAt(bytes, i) ^ key0;
    const byte1 = byteAt(bytes, i + 1) ^ key1;
    const byte2 = byteAt(bytes, i + 2) ^ key2;
    const byte3 = byteAt(bytes, i + 3) ^ key3;
    bytes[i] = byte0;
    bytes[i + 1] = byte1;
    bytes[i + 2] = byte2;
    bytes[i + 3] = byte3;
    seen |= byte0 | byte1 | byte2 | byte3;
  }
  let rest = mask;
  for (; i < end; i++) {
    const byte = byteAt(bytes, i) ^ (rest & 0xff);
    bytes[i] = byte;
    seen |= byte;
    rest >>>= 8;
  }
  return seen;
}
