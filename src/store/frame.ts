/**
 * Frames: how batches lie in a log. A log is text, so that a person can read it:
 *
 *     locktopus-log 1
 *     #00000061 5b8f9c2e
 *     {"batch":7,"lockIds":1795475605972001,"sessionIds":12,"clockMs":80123}
 *     {"lock":1795475605972001,"session":12,...}
 *     #0000003a ...
 *
 * A frame is one batch, or a part of a snapshot: its head, with the bytes of its body and their
 * CRC-32, both in hexadecimal; and the body, a line about the frame and one for each record.
 *
 * Every line of a body is JSON, with the line feeds in its strings escaped. So no line of a body
 * ends as a head does, and what looks like a head is one, whatever clients write into their labels.
 */
import { Buffer } from 'node:buffer';
import { crc32 } from 'node:zlib';
import { isInteger, isObject } from '../runtime/unknown.ts';
import { type Position, positionOf } from './store.ts';

/** What a frame says beside its records. */
export interface Frame extends Position {
  /**
   * Set if the frame belongs to the snapshot with which each log begins: puts of all that is live.
   * A log is complete once it has the `end`. A part may contain a batch as well, and its puts and
   * deletes may be of what is not drawn yet.
   */
  readonly snapshot?: 'part' | 'end' | undefined;
}

/** The first line, up to the version. */
export const LOG_NAME = 'locktopus-log ';
/** The version of all that a log consists of: frames and records. */
export const LOG_VERSION = '1';

const HEAD_FORM = '#00000000 00000000\n';
export const HEAD_BYTES = HEAD_FORM.length;
const HEAD = /^#([0-9a-f]{8}) ([0-9a-f]{8})\n$/;

/** The longest body that a head can announce. */
const MAX_BODY_BYTES = 2 ** 32 - 1;

/** What a frame begins with. */
export interface FrameHead {
  readonly bodyBytes: number;
  readonly crc: number;
}

/** @param records lines of JSON, as from record.ts */
export function encodeFrame(frame: Frame, records: readonly string[]): Buffer {
  const first = JSON.stringify({ ...positionOf(frame), snapshot: frame.snapshot });
  const lines = records.length === 0 ? '' : `${records.join('\n')}\n`;
  const bytes = Buffer.from(`${HEAD_FORM}${first}\n${lines}`);
  const body = bytes.subarray(HEAD_BYTES);
  if (body.length > MAX_BODY_BYTES) throw new Error('a batch has more than 4 GiB');
  bytes.write(`#${hex(body.length)} ${hex(crc32(body))}`, 'latin1');
  return bytes;
}

function hex(value: number): string {
  return value.toString(16).padStart(8, '0');
}

/** @param bytes `HEAD_BYTES` bytes */
export function decodeHead(bytes: Buffer): FrameHead | undefined {
  const match = HEAD.exec(bytes.toString('latin1', 0, HEAD_BYTES));
  if (match === null) return undefined;
  return {
    bodyBytes: Number.parseInt(match[1] ?? '', 16),
    crc: Number.parseInt(match[2] ?? '', 16),
  };
}

/**
 * What the body says about the frame.
 *
 * @param body as long as the head says
 * @returns undefined if the body is not the one that was written
 */
export function decodeBody(head: FrameHead, body: Buffer): Frame | undefined {
  if (crc32(body) !== head.crc) return undefined;
  return decodeFrame(body.toString('utf8', 0, firstLineBytes(body)));
}

/** The bytes of the line about the frame, its line feed included. */
export function firstLineBytes(body: Buffer): number {
  return body.indexOf('\n') + 1;
}

function decodeFrame(line: string): Frame | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return undefined;
  }
  if (!isObject(value)) return undefined;
  const { batch, lockIds, sessionIds, clockMs, snapshot } = value;
  if (!isCount(batch) || !isCount(lockIds) || !isCount(sessionIds) || !isCount(clockMs)) {
    return undefined;
  }
  if (snapshot !== undefined && snapshot !== 'part' && snapshot !== 'end') return undefined;
  return { batch, lockIds, sessionIds, clockMs, snapshot };
}

function isCount(value: unknown): value is number {
  return isInteger(value, 0);
}
