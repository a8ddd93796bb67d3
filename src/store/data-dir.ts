/**
 * A store in a directory: one log, `locktopus.log`, to which each batch is appended by one write
 * that is on the disk when it returns; see log.ts for how.
 *
 * A new log with what is alive replaces it at each start, and when it has grown to a multiple of
 * that, while commits go on:
 *
 *     appending --- log has grown ---> drawing: each commit goes to both logs, and draws a slice
 *         ^                                             |  all is drawn
 *         |                                             v
 *     publishing <--- flushed, and a commit ends --- flushing: each commit goes to both logs
 *
 * The old log counts until the new one has its name; a commit that comes while the new one is
 * published waits for it.
 *
 * After a failed or short write nothing is written any more. What the disk has then is unknown, and
 * a second flush may report success for pages that the first one has given up.
 */
import type { Buffer } from 'node:buffer';
import { dirname } from 'node:path';
import { codeOf } from '../runtime/unknown.ts';
import { invariant } from '../table/invariant.ts';
import { assertPrivate, CLAIM_CHECK_MS, type Claim, claimDirectory, claimLost } from './claim.ts';
import { doing, explained, type Files, systemFiles } from './files.ts';
import { encodeFrame } from './frame.ts';
import { type Directory, type Log, logPath, NewLog } from './log.ts';
import { readLog } from './log-reader.ts';
import {
  type Batch,
  type LiveRecords,
  type Loaded,
  type Position,
  type Store,
  StoreError,
} from './store.ts';

/** A log is written anew when it has grown to this multiple of what was alive. */
const GROWTH = 4;

const NOTHING: Loaded = {
  position: { batch: 0, lockIds: 0, sessionIds: 0, clockMs: 0 },
  sessions: [],
  locks: [],
};

/** What a test replaces. */
export interface DataDirectoryOptions {
  /** By default those of the system. */
  readonly files?: Files;
  /** By default a socket in the directory. */
  readonly claim?: (directory: Directory) => Promise<Claim>;
  /** Milliseconds between two looks whether the claim is there. */
  readonly claimCheckMs?: number;
  /** Bytes below which a log is not written anew while it is in use. By default 4 MiB. */
  readonly minRewriteBytes?: number;
  /** Characters of a snapshot that are drawn at a time. By default 64 Ki. */
  readonly sliceLength?: number;
  /** See `LogOptions`. By default 512 KiB. */
  readonly fillBytes?: number;
  /** See `LogOptions`. By default 16 KiB. */
  readonly blockingBytes?: number;
}

const DEFAULTS: Required<DataDirectoryOptions> = {
  files: systemFiles,
  claim: claimDirectory,
  claimCheckMs: CLAIM_CHECK_MS,
  minRewriteBytes: 4 * 1024 * 1024,
  // About 500 records, which take 1 ms. V8 maps memory anew for each text of 128 KiB or more.
  sliceLength: 64 * 1024,
  // About 2,000 batches of one lock. They take as long to write as three of those that make the log
  // longer without them; 2 MiB took as long as twenty.
  fillBytes: 512 * 1024,
  // About 200 records. While a larger batch is written there is more to do.
  blockingBytes: 16 * 1024,
};

/** See the top of this file. */
type Phase = 'appending' | 'drawing' | 'flushing' | 'flushed' | 'publishing';

export class DataDirectory implements Store {
  readonly path: string;
  readonly #options: Required<DataDirectoryOptions>;
  #directory: Directory | undefined;
  #claim: Claim | undefined;
  #claimTimer: NodeJS.Timeout | undefined;
  #failed: (error: StoreError) => void = () => {};
  #log: Log | undefined;
  /** Bytes of what was alive when the log was made. */
  #aliveBytes = 0;
  #live: LiveRecords | undefined;
  /** Number of the last batch. */
  #batch = 0;
  /** The size of the log that was loaded. */
  #loadedBytes: number | undefined;
  /** Why nothing may be written any more. */
  #failure: unknown;
  #isCommitting = false;
  /** A log in the making is given up, unless it is being published. */
  #isFrozen = false;
  /** The writes of the last commit. */
  #writes: Promise<unknown> = Promise.resolve();
  #phase: Phase = 'appending';
  /** The log in the making, except while appending. */
  #next: NewLog | undefined;
  /** The flushing or publishing that goes on beside commits. Never rejects. */
  #beside: Promise<void> = Promise.resolve();
  /** The closing of the log that was replaced. */
  #replaced: Promise<void> | undefined;

  /** @param path the directory; it is made if it is missing, but its parent must exist */
  constructor(path: string, options: DataDirectoryOptions = {}) {
    this.path = path;
    this.#options = { ...DEFAULTS, ...options };
  }

  /** Of the log, without the zeros at its end, and of the one in the making. */
  get bytes(): number | undefined {
    if (this.#log === undefined) return this.#loadedBytes;
    return this.#log.bytes + (this.#next?.bytes ?? 0);
  }

  async load(failed: (error: StoreError) => void = () => {}): Promise<Loaded> {
    this.#failed = failed;
    try {
      const { files, claim } = this.#options;
      const directory = await openDirectory(files, this.path);
      this.#directory = directory;
      await assertPrivate(directory);
      this.#claim = await claim(directory);
      const contents = await readLog(files, logPath(this.path));
      this.#loadedBytes = contents?.bytes ?? 0;
      if (contents === undefined) return NOTHING;
      const { position, sessions, locks } = contents;
      return { position, sessions, locks };
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  async start(position: Position, live: LiveRecords): Promise<void> {
    this.#live = live;
    this.#batch = position.batch;
    const next = this.#rewrite();
    while (!next.isDrawn) await next.add(position, [], 0);
    await this.#publish(next);
    this.#claimTimer = setInterval(() => this.#checkClaim(), this.#options.claimCheckMs).unref();
  }

  async commit(batch: Batch): Promise<void> {
    invariant(!this.#isCommitting, 'a commit is under way');
    invariant(batch.batch === this.#batch + 1, 'a batch is out of order');
    this.#batch = batch.batch;
    this.#isCommitting = true;
    try {
      const frame = encodeFrame(batch, batch.records);
      const isPublishing = this.#phase === 'publishing';
      if (isPublishing) await this.#beside;
      await this.#write(batch, frame, !isPublishing && !this.#isFrozen);
    } catch (error) {
      this.#failure ??= error;
      throw error;
    } finally {
      this.#isCommitting = false;
    }
    this.#goOn();
  }

  freeze(): void {
    this.#isFrozen = true;
  }

  async close(): Promise<void> {
    clearInterval(this.#claimTimer);
    this.#failure ??= new StoreError(`the data directory ${this.path} is closed`);
    await Promise.all([this.#writes, this.#beside]);
    await this.#next?.close(this.#claim?.isOurs() === true);
    await this.#log?.close();
    await this.#replaced;
    await this.#claim?.release();
    this.#claim = undefined;
    const directory = this.#directory;
    this.#directory = undefined;
    await directory?.files.close(directory.fd).catch(() => {});
  }

  /**
   * @param mayDraw whether nothing can have changed since the batch was sealed. Otherwise a slice
   *   could have a lock that ends before the next batch is sealed: no delete of it would follow
   */
  #write(batch: Batch, frame: Buffer, mayDraw: boolean): Promise<unknown> {
    if (this.#failure !== undefined) throw this.#failure;
    const log = this.#log;
    invariant(log !== undefined, 'commit without start');
    const writes = [log.append(frame)];
    if (mayDraw) {
      if (this.#phase === 'appending' && this.#hasGrown(log.bytes)) this.#rewrite();
      if (this.#next !== undefined) writes.push(this.#next.add(batch, batch.records, frame.length));
    }
    this.#writes = Promise.allSettled(writes);
    return Promise.all(writes);
  }

  #hasGrown(bytes: number): boolean {
    return bytes >= this.#options.minRewriteBytes && bytes >= GROWTH * this.#aliveBytes;
  }

  #rewrite(): NewLog {
    invariant(this.#directory !== undefined && this.#live !== undefined, 'not started, or closed');
    // Another server may be making a log under the same name.
    this.#assertOurs();
    this.#phase = 'drawing';
    this.#next = new NewLog(this.#directory, this.#live(), this.#options.sliceLength);
    return this.#next;
  }

  /** Takes the next step of making a log, if it is time for it. */
  #goOn(): void {
    const next = this.#next;
    if (next === undefined || this.#isFrozen) return;
    if (this.#phase === 'drawing' && next.isDrawn) {
      this.#phase = 'flushing';
      this.#doBeside(this.#flush(next));
    } else if (this.#phase === 'flushed') {
      this.#phase = 'publishing';
      this.#doBeside(this.#publish(next));
    }
  }

  #doBeside(step: Promise<void>): void {
    this.#beside = step.catch((error: unknown) => {
      this.#failure ??= error;
    });
  }

  async #flush(next: NewLog): Promise<void> {
    await next.flush();
    this.#phase = 'flushed';
  }

  async #publish(next: NewLog): Promise<void> {
    const log = await next.publish(this.#options, () => this.#assertOurs());
    this.#replaced = this.#log?.close();
    this.#log = log;
    this.#aliveBytes = next.aliveBytes;
    this.#next = undefined;
    this.#phase = 'appending';
  }

  #assertOurs(): void {
    if (this.#directory !== undefined && !this.#claim?.isOurs()) throw claimLost(this.#directory);
  }

  #checkClaim(): void {
    if (this.#directory === undefined || this.#claim?.isOurs()) return;
    clearInterval(this.#claimTimer);
    const error = claimLost(this.#directory);
    this.#failure ??= error;
    this.#failed(error);
  }
}

async function openDirectory(files: Files, path: string): Promise<Directory> {
  await doing('make the data directory', path, files.makeDirectory(path));
  const fd = await doing('open the data directory', path, files.open(path, 'directory'));
  await syncParent(files, dirname(path)).catch(async (error: unknown) => {
    await files.close(fd).catch(() => {});
    throw error;
  });
  return { files, path, fd };
}

/** Why a parent is not flushed: it is not readable, or there is nothing to flush in it. */
const NOT_FLUSHED = ['EACCES', 'EINVAL', 'EROFS'];

/**
 * So that a crash of the machine does not lose a directory that was made in it: at every start, as
 * an earlier one may have ended before this.
 */
async function syncParent(files: Files, path: string): Promise<void> {
  let fd: number | undefined;
  try {
    fd = await files.open(path, 'directory');
    await files.sync(fd);
  } catch (error) {
    if (!NOT_FLUSHED.includes(codeOf(error))) throw explained('flush', path, error);
  } finally {
    if (fd !== undefined) await files.close(fd).catch(() => {});
  }
}
