/**
 * Reads a log, and judges whether what it holds can be trusted:
 *
 *  - A log gets its name when its snapshot is complete and on the disk. If the snapshot is broken,
 *    the log was damaged.
 *  - Behind it, batches are appended one at a time, each in one write, and nothing is said that
 *    depends on a batch before it is on the disk. So a broken frame at the end is a batch of which
 *    no client has heard: it is left out. Zeros at the end are room for the next batches.
 *  - A whole frame behind a broken one was written after the broken one was on the disk: it was
 *    damaged, and what it said may be missing.
 */
import { Buffer } from 'node:buffer';
import { nextTurn, systemClock } from '../runtime/clock.ts';
import { codeOf } from '../runtime/unknown.ts';
import { doing, type Files } from './files.ts';
import {
  decodeBody,
  decodeHead,
  type Frame,
  firstLineBytes,
  HEAD_BYTES,
  LOG_NAME,
  LOG_VERSION,
} from './frame.ts';
import { type Live, LiveSet } from './record.ts';
import { type Loaded, type Position, positionOf, StoreError } from './store.ts';

export interface LogContents extends Loaded {
  readonly version: string;
  /** The size of the file. */
  readonly bytes: number;
  /** Bytes behind the last batch, up to the zeros: a batch whose write was interrupted. */
  readonly tornBytes: number;
  /** Batches behind the snapshot. */
  readonly batches: number;
  /** Records in the whole log. */
  readonly records: number;
}

/**
 * Reads the log at `path` without changing it. Blocks the event loop for a few milliseconds at a
 * time.
 *
 * @returns undefined if there is none
 * @throws StoreError if it can't be read or trusted
 */
export async function readLog(files: Files, path: string): Promise<LogContents | undefined> {
  const fd = await doing('open', path, openIfPresent(files, path));
  if (fd === undefined) return undefined;
  try {
    const size = await doing('read', path, files.size(fd));
    return await new LogReader(new Input(files, fd, path, size), path).read();
  } finally {
    await files.close(fd).catch(() => {});
  }
}

async function openIfPresent(files: Files, path: string): Promise<number | undefined> {
  try {
    return await files.open(path, 'read');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** Bytes read at a time: about 1,000 records, which take 5 ms. */
const WINDOW_BYTES = 128 * 1024;

/** A file, read through a window. */
class Input {
  readonly size: number;
  readonly #files: Files;
  readonly #fd: number;
  readonly #path: string;
  #window: Buffer = Buffer.alloc(0);
  #start = 0;

  constructor(files: Files, fd: number, path: string, size: number) {
    this.#files = files;
    this.#fd = fd;
    this.#path = path;
    this.size = size;
  }

  /** The bytes from `at` on: `length` of them, or as many as there are. */
  async bytes(at: number, length: number): Promise<Buffer> {
    const wanted = Math.min(length, this.size - at);
    const from = at - this.#start;
    if (from < 0 || from + wanted > this.#window.length) {
      await this.#read(at, Math.min(Math.max(wanted, WINDOW_BYTES), this.size - at));
      return this.#window.subarray(0, wanted);
    }
    return this.#window.subarray(from, from + wanted);
  }

  async #read(at: number, length: number): Promise<void> {
    const window = Buffer.alloc(length);
    let filled = 0;
    while (filled < length) {
      const rest = window.subarray(filled);
      const count = await doing('read', this.#path, this.#files.read(this.#fd, rest, at + filled));
      // The file has been cut meanwhile: zeros take the place of the rest, which are no frame.
      if (count === 0) break;
      filled += count;
    }
    this.#window = window;
    this.#start = at;
  }
}

class LogReader {
  readonly #input: Input;
  readonly #path: string;
  readonly #live = new LiveSet();
  #last: Frame | undefined;
  #batches = 0;

  constructor(input: Input, path: string) {
    this.#input = input;
    this.#path = path;
  }

  async read(): Promise<LogContents> {
    const version = await this.#version();
    let at = LOG_NAME.length + version.length + 1;
    for (;;) {
      const found = await this.#frameAt(at);
      if (found === undefined) break;
      const reason = this.#orderError(found.frame) ?? (await this.#apply(found.frame, found.body));
      if (reason !== undefined) throw this.#broken(at, reason);
      at += HEAD_BYTES + found.body.length;
    }
    const { size } = this.#input;
    const last = this.#last;
    if (last === undefined || (this.#batches === 0 && last.snapshot !== 'end')) {
      throw this.#broken(at, 'the snapshot at its start is incomplete');
    }
    const end = await this.#checkTail(at, last.batch);
    const position = positionOf(last);
    return {
      version,
      position,
      ...this.#sorted(position),
      bytes: size,
      tornBytes: end - at,
      batches: this.#batches,
      records: this.#live.applied,
    };
  }

  async #version(): Promise<string> {
    const line = (await this.#input.bytes(0, LOG_NAME.length + 16)).toString('latin1');
    const end = line.indexOf('\n');
    if (!line.startsWith(LOG_NAME) || end === -1)
      throw this.#broken(0, 'it is not a Locktopus log');
    const version = line.slice(LOG_NAME.length, end);
    if (version === LOG_VERSION) return version;
    throw new StoreError(
      `${this.#path} has version ${version}, but this server can read only version ${LOG_VERSION}. ` +
        'Start the version of Locktopus that wrote it',
    );
  }

  /** The frame at `at`; undefined if there is no whole one. */
  async #frameAt(at: number): Promise<{ frame: Frame; body: Buffer } | undefined> {
    if (at + HEAD_BYTES > this.#input.size) return undefined;
    const head = decodeHead(await this.#input.bytes(at, HEAD_BYTES));
    if (head === undefined) return undefined;
    if (at + HEAD_BYTES + head.bodyBytes > this.#input.size) return undefined;
    const whole = await this.#input.bytes(at, HEAD_BYTES + head.bodyBytes);
    const body = whole.subarray(HEAD_BYTES);
    const frame = decodeBody(head, body);
    return frame === undefined ? undefined : { frame, body };
  }

  /** Why `frame` can't be the next one; undefined if it can. */
  #orderError(frame: Frame): string | undefined {
    const last = this.#last;
    const inSnapshot = last === undefined || last.snapshot === 'part';
    if (inSnapshot !== (frame.snapshot !== undefined)) {
      return inSnapshot ? 'a part of the snapshot is missing' : 'a second snapshot begins';
    }
    if (last === undefined || frame.batch === last.batch + 1) return undefined;
    // A snapshot without batches is in frames of one number.
    if (inSnapshot && frame.batch === last.batch) return undefined;
    return `batch ${frame.batch} follows batch ${last.batch}`;
  }

  /** Applies the records of `body`; returns what is wrong with one. */
  async #apply(frame: Frame, body: Buffer): Promise<string | undefined> {
    // What ended while the snapshot was drawn is deleted by the batch behind it at the latest.
    const mayBeAbsent = frame.snapshot !== undefined || this.#last?.snapshot === 'end';
    let from = firstLineBytes(body);
    while (from < body.length) {
      const to = endOfLines(body, from);
      const error = this.#live.apply(body.toString('utf8', from, to - 1), mayBeAbsent);
      if (error !== undefined) return error.message;
      from = to;
      if (from < body.length) await nextTurn(systemClock);
    }
    if (frame.snapshot === undefined) this.#batches++;
    this.#last = frame;
    return undefined;
  }

  /**
   * Where the zeros begin that are behind the broken frame at `at`.
   *
   * @throws StoreError if a whole frame with a later number is there
   */
  async #checkTail(at: number, batch: number): Promise<number> {
    const { size } = this.#input;
    let end = at;
    for (let from = at; from < size; from += WINDOW_BYTES) {
      const window = await this.#input.bytes(from, WINDOW_BYTES + HEAD_BYTES);
      const last = window.findLastIndex((byte) => byte !== 0);
      if (last !== -1) end = from + last + 1;
      for (let i = window.indexOf('#'); i !== -1; i = window.indexOf('#', i + 1)) {
        if (decodeHead(window.subarray(i)) === undefined) continue;
        const found = await this.#frameAt(from + i);
        // Blocks of the disk may have been used before, by an earlier log.
        if (found === undefined || found.frame.batch <= batch) continue;
        throw this.#broken(at, `batch ${found.frame.batch} follows at byte ${from + i}`);
      }
    }
    return end;
  }

  #sorted({ lockIds, sessionIds }: Position): Live {
    const live = this.#live.sorted();
    if (live instanceof StoreError) throw this.#wrong(`: ${live.message}`);
    const lock = live.locks.at(-1)?.id ?? 0;
    const session = live.sessions.at(-1)?.id ?? 0;
    if (lock <= lockIds && session <= sessionIds) return live;
    throw this.#wrong(`: it has ids above the last ones, ${lockIds} and ${sessionIds}`);
  }

  #broken(at: number, reason: string): StoreError {
    return this.#wrong(` at byte ${at} of ${this.#input.size}: ${reason}`);
  }

  #wrong(how: string): StoreError {
    return new StoreError(
      `${this.#path} is broken${how}. Nothing has been changed. ` +
        'Move the file away to start without the locks in it; stop the clients that rely on them first',
    );
  }
}

/** Where the lines that begin at `from` end, if about as many are taken as a window has. */
function endOfLines(body: Buffer, from: number): number {
  if (body.length - from <= WINDOW_BYTES) return body.length;
  const end = body.indexOf('\n', from + WINDOW_BYTES);
  return end === -1 ? body.length : end + 1;
}
