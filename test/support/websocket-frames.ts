/** WebSocket frames as a client writes and reads them, valid or not. */
import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';

export const FIN = 0x80;
export const TEXT = 1;
export const BINARY = 2;
export const CLOSE = 8;
export const PING = 9;
export const PONG = 10;

const MASK = Buffer.from('37fa213d', 'hex');

/** The bytes of hexadecimal `text`; blanks are ignored. */
export function hex(text: string): Buffer {
  return Buffer.from(text.replaceAll(' ', ''), 'hex');
}

export function masked(payload: Buffer, mask = MASK): Buffer {
  const bytes = Buffer.allocUnsafe(payload.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = (payload[i] ?? 0) ^ (mask[i & 3] ?? 0);
  return bytes;
}

/** The length as a client writes it, with the mask bit set. */
function lengthBytes(length: number): Buffer {
  if (length < 126) return Buffer.from([0x80 | length]);
  const bytes = Buffer.alloc(length < 65536 ? 3 : 9);
  bytes[0] = 0x80 | (length < 65536 ? 126 : 127);
  if (length < 65536) bytes.writeUInt16BE(length, 1);
  else bytes.writeBigUInt64BE(BigInt(length), 1);
  return bytes;
}

/** A masked frame whose first byte (FIN, reserved bits, opcode) is `first`, valid or not. */
export function frame(first: number, payload: Buffer | string = ''): Buffer {
  const bytes = typeof payload === 'string' ? Buffer.from(payload) : payload;
  return Buffer.concat([Buffer.from([first]), lengthBytes(bytes.length), MASK, masked(bytes)]);
}

export function text(payload: Buffer | string): Buffer {
  return frame(FIN | TEXT, payload);
}

/** One text message in these fragments. */
export function fragmented(opcode: number, ...payloads: (Buffer | string)[]): Buffer {
  return Buffer.concat(
    payloads.map((payload, i) =>
      frame((i === payloads.length - 1 ? FIN : 0) | (i === 0 ? opcode : 0), payload),
    ),
  );
}

/** A close frame; `code` may be any 16 bits. */
export function close(code: number, reason: Buffer | string = ''): Buffer {
  return frame(
    FIN | CLOSE,
    Buffer.concat([Buffer.from([code >> 8, code & 0xff]), Buffer.from(reason)]),
  );
}

export interface ServerFrame {
  readonly opcode: number;
  readonly payload: Buffer;
}

/** The complete frames in a server's output; fails on frames that a server must not send. */
export function serverFrames(bytes: Buffer): ServerFrame[] {
  const frames: ServerFrame[] = [];
  let at = 0;
  while (at + 2 <= bytes.length) {
    const first = bytes.readUInt8(at);
    let length = bytes.readUInt8(at + 1);
    assert.equal(first & 0xf0, FIN, 'whole messages, no reserved bits');
    assert.ok(length < 128, 'not masked');
    let start = at + 2;
    if (length === 126 && bytes.length >= start + 2) {
      length = bytes.readUInt16BE(start);
      assert.ok(length > 125, 'shortest length');
      start += 2;
    } else if (length === 127 && bytes.length >= start + 8) {
      length = Number(bytes.readBigUInt64BE(start));
      assert.ok(length > 65535, 'shortest length');
      start += 8;
    }
    if (bytes.length < start + length) break;
    frames.push({ opcode: first & 0x0f, payload: bytes.subarray(start, start + length) });
    at = start + length;
  }
  return frames;
}

const HEAD_END = '\r\n\r\n';

/** Parses a server's output on a WebSocket, cut anywhere: the response head, then frames. */
export class ServerStream {
  #head: string | undefined;
  #rest: Buffer = Buffer.alloc(0);

  /** The head, once it is complete. */
  get head(): string | undefined {
    return this.#head;
  }

  /** Whether the handshake was accepted. */
  get isUpgraded(): boolean {
    return this.#head?.startsWith('HTTP/1.1 101 ') ?? false;
  }

  /** The frames that this piece completes; none if the handshake was refused. */
  push(piece: Buffer): ServerFrame[] {
    this.#rest = this.#rest.length === 0 ? piece : Buffer.concat([this.#rest, piece]);
    if (this.#head === undefined) {
      const end = this.#rest.indexOf(HEAD_END);
      if (end === -1) return [];
      this.#head = this.#rest.toString('latin1', 0, end + HEAD_END.length);
      this.#rest = this.#rest.subarray(end + HEAD_END.length);
    }
    if (!this.isUpgraded) return [];
    const frames = serverFrames(this.#rest);
    const last = frames.at(-1)?.payload;
    const taken = last === undefined ? 0 : last.byteOffset + last.length - this.#rest.byteOffset;
    this.#rest = this.#rest.subarray(taken);
    return frames;
  }
}
