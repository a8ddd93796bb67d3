/**
 * The constants of RFC 6455, and the encoding of the frames that the server sends. Pure: values in,
 * byte strings out (see byte-string.ts).
 *
 * The server's frames are never masked (5.1), never fragmented, and use no extension.
 */
import { toByteString } from '../../runtime/byte-string.ts';

/** The opcodes of frames (RFC 6455, 5.2). All others are reserved. */
export const Opcode = {
  continuation: 0x0,
  text: 0x1,
  binary: 0x2,
  close: 0x8,
  ping: 0x9,
  pong: 0xa,
} as const;

/** A control frame carries at most this many payload bytes (5.5). */
export const MAX_CONTROL_BYTES = 125;

/** A close reason follows the two bytes of the code. */
const MAX_REASON_BYTES = MAX_CONTROL_BYTES - 2;

/** The close codes that this server sends or reports (RFC 6455, 7.4). */
export const CloseCode = {
  normal: 1000,
  /** The server shuts down. */
  goingAway: 1001,
  /** The peer broke the framing. */
  protocolError: 1002,
  /** The peer sent an unsupported type of message, such as binary. */
  unsupportedData: 1003,
  /** Reported, never sent: the peer closed and gave no code. */
  noStatus: 1005,
  /** Reported, never sent: the connection ended without a close frame. */
  abnormal: 1006,
  /** Text that is not UTF-8. */
  invalidText: 1007,
  /** Too many fragments; a peer that does not read. */
  policyViolation: 1008,
  messageTooBig: 1009,
  internalError: 1011,
  /** Defined by the v1 protocol: invalid message. */
  badMessage: 3000,
  /** Another connection has resumed the session. */
  takenOver: 4000,
  /** The promised heartbeat did not arrive. */
  silent: 4001,
  /** An administrator has ended the session. */
  evicted: 4002,
  /** Missing or invalid token. */
  unauthorized: 4003,
} as const;

/** Whether a close frame may carry `code` (RFC 6455, 7.4, and its IANA registry). */
export function isValidCloseCode(code: number): boolean {
  return (
    (code >= 1000 && code <= 1003) ||
    (code >= 1007 && code <= 1014) ||
    (code >= 3000 && code <= 4999)
  );
}

/** The headers of short text frames, by payload length: nearly all frames that are sent. */
const TEXT_HEADS = Array.from({ length: 126 }, (_, length) =>
  String.fromCharCode(0x80 | Opcode.text, length),
);

/**
 * One whole unmasked frame (RFC 6455, 5.2).
 *
 * @param opcode one of `Opcode`
 * @param payload a byte string; at most 125 bytes for a control frame
 */
export function encodeFrame(opcode: number, payload: string): string {
  const length = payload.length;
  if (opcode === Opcode.text && length < 126) return TEXT_HEADS[length] + payload;
  const first = 0x80 | opcode;
  if (length < 126) return String.fromCharCode(first, length) + payload;
  if (length < 0x10000) {
    return String.fromCharCode(first, 126, length >>> 8, length & 0xff) + payload;
  }
  // A string is shorter than 2^32, so the upper half of the 64-bit length is zero.
  return (
    String.fromCharCode(first, 127, 0, 0, 0, 0) +
    String.fromCharCode(
      length >>> 24,
      (length >>> 16) & 0xff,
      (length >>> 8) & 0xff,
      length & 0xff,
    ) +
    payload
  );
}

/** A text message in one frame (5.6). Lone surrogates in `text` become U+FFFD. */
export function encodeText(text: string): string {
  return encodeFrame(Opcode.text, toByteString(text));
}

/**
 * A close frame (5.5.1).
 *
 * @param code a code for which `isValidCloseCode` holds, or undefined for a frame with no payload
 * @param reason for people; truncated to 123 bytes of UTF-8, between two characters. Not sent
 *   without a code
 */
export function encodeClose(code: number | undefined, reason: string): string {
  if (code === undefined) return encodeFrame(Opcode.close, '');
  const payload = String.fromCharCode(code >>> 8, code & 0xff) + cutReason(toByteString(reason));
  return encodeFrame(Opcode.close, payload);
}

function cutReason(bytes: string): string {
  if (bytes.length <= MAX_REASON_BYTES) return bytes;
  let end = MAX_REASON_BYTES;
  while (isContinuationByte(bytes.charCodeAt(end))) end--;
  return bytes.slice(0, end);
}

/** Whether `byte` is the second or a later one of a UTF-8 character. */
function isContinuationByte(byte: number): boolean {
  return (byte & 0xc0) === 0x80;
}
