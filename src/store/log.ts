/**
 * Writes logs: appends batches to the present one, and makes a new one with what is alive.
 *
 * A new log is written beside the present one, under a name that no reader looks at, and replaces
 * it once it is complete and on the disk. So at every moment there is one whole log.
 */
import { Buffer } from 'node:buffer';
import { Drawing } from './drawing.ts';
import { doing, type Files } from './files.ts';
import { encodeFrame, LOG_NAME, LOG_VERSION } from './frame.ts';
import { type Batch, type Position, positionOf, StoreError } from './store.ts';

/** An open data directory. */
export interface Directory {
  readonly files: Files;
  readonly path: string;
  readonly fd: number;
}

export function logPath(directory: string): string {
  return `${directory}/locktopus.log`;
}

/** How a log is written. */
export interface LogOptions {
  /** Zeros that a write takes along which makes the file longer. */
  readonly fillBytes: number;
  /** The most bytes that are written on this thread, as long as the disk is fast. */
  readonly blockingBytes: number;
}

/** Writes that go through the thread pool after a large one, it included. */
const AFTER_LARGE = 10;
/** At most, after a slow one. */
const AFTER_SLOW = 1000;

/**
 * A log, to append to. After a failure nothing may be appended: a part may have been written.
 *
 * A write that makes a file longer waits until the file system has noted the new size as well. So it
 * takes zeros along behind its bytes, and those that follow replace them.
 *
 * On a fast disk the way through the thread pool costs about as much as the write, so small writes
 * are made on this thread, which stands still meanwhile. Not while batches are large: then there is
 * more to do. And not while the disk is slow: after a write on this thread the thread pool makes as
 * many as that took milliseconds. So with a disk that takes 10 ms, this thread stands still for at
 * most a tenth of the time.
 */
export class Log {
  readonly #files: Files;
  readonly #path: string;
  readonly #fd: number;
  readonly #options: LogOptions;
  #bytes: number;
  /** The size of the file, of which zeros are the rest. */
  #size: number;
  /** Writes that go through the thread pool before one is made on this thread again. */
  #throughPool = 0;
  #isClosed = false;

  /** @param bytes that the file has */
  constructor(files: Files, path: string, fd: number, bytes: number, options: LogOptions) {
    this.#files = files;
    this.#path = path;
    this.#fd = fd;
    this.#options = options;
    this.#bytes = bytes;
    this.#size = bytes;
  }

  /** Bytes appended, without the zeros behind them. */
  get bytes(): number {
    return this.#bytes;
  }

  async append(bytes: Buffer): Promise<void> {
    const at = this.#bytes;
    this.#bytes += bytes.length;
    const isLonger = this.#bytes > this.#size;
    const given = isLonger ? Buffer.concat([bytes], bytes.length + this.#options.fillBytes) : bytes;
    const written = await doing('write', this.#path, this.#write(given, at));
    if (isLonger) this.#size = at + written;
    // If only zeros have no room, the bytes are there.
    if (written >= bytes.length) return;
    throw new StoreError(
      `cannot write ${this.#path}: ${written} of ${bytes.length} bytes were written. ` +
        'The disk is probably full: free some space, then start the server again',
    );
  }

  async #write(bytes: Buffer, at: number): Promise<number> {
    if (bytes.length > this.#options.blockingBytes) {
      this.#throughPool = Math.max(this.#throughPool, AFTER_LARGE);
    }
    if (this.#throughPool > 0) {
      this.#throughPool--;
      return this.#files.write(this.#fd, bytes, at);
    }
    const startMs = performance.now();
    const written = this.#files.writeNow(this.#fd, bytes, at);
    this.#throughPool = Math.min(Math.floor(performance.now() - startMs), AFTER_SLOW);
    return written;
  }

  sync(): Promise<void> {
    return doing('flush', this.#path, this.#files.sync(this.#fd));
  }

  /** Never rejects: all that matters has been flushed. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#files.close(this.#fd).catch(() => {});
  }
}

/** Characters of a slice for each byte of the batch that goes with it. */
const DRAWN = 1.25;

/** No client waits for what is written to it, and it may be flushed meanwhile. */
const IN_THE_MAKING: LogOptions = { fillBytes: 0, blockingBytes: 0 };

/**
 * A log in the making. It is a snapshot, drawn in slices, and the batches meanwhile.
 *
 * Invariant: when `add` returns, the frames added so far amount to the state after the last batch,
 * but for the puts of what has not been drawn yet. For a slice is drawn in the same synchronous
 * call in which a batch is added, and that batch holds all changes up to now. So the put of what
 * was alive at the beginning is in a slice, unless it ends first; that of what came later is in its
 * batch, and perhaps in a slice as well; and each delete is in its batch, after the put or without
 * one. A lock may come before its session, too.
 */
export class NewLog {
  readonly #directory: Directory;
  readonly #path: string;
  readonly #drawing: Drawing;
  readonly #sliceLength: number;
  #created: Log | undefined;
  /** The end of what was begun; each step waits for the one before. */
  #done: Promise<Log>;
  #bytes = 0;

  /**
   * @param live puts of all that is live
   * @param sliceLength characters to draw at a time
   */
  constructor(directory: Directory, live: Iterator<string>, sliceLength: number) {
    this.#directory = directory;
    this.#path = `${logPath(directory.path)}.new`;
    this.#drawing = new Drawing(live);
    this.#sliceLength = sliceLength;
    this.#done = this.#create();
  }

  /** Bytes added. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Characters of the snapshot: about the bytes of what is alive. */
  get aliveBytes(): number {
    return this.#drawing.length;
  }

  /** Whether the snapshot is complete. */
  get isDrawn(): boolean {
    return this.#drawing.isComplete;
  }

  /**
   * Adds a batch, and before it a slice of the snapshot. It is longer than the batch, so that the
   * snapshot ends also if it comes to what begins meanwhile: after at most four times as many bytes of
   * batches as are alive. Not much longer, because all clients wait while it is drawn: twice as long
   * made the longest stall 22 ms instead of 17 (npm run bench -- k-rewrite).
   */
  async add(position: Position, records: Batch['records'], batchBytes: number): Promise<void> {
    const frame = this.isDrawn
      ? encodeFrame(position, records)
      : this.#encodeSlice(position, records, Math.max(this.#sliceLength, DRAWN * batchBytes));
    this.#bytes += frame.length;
    const done = this.#done.then(async (log) => {
      await log.append(frame);
      return log;
    });
    this.#done = done;
    await done;
  }

  #encodeSlice(position: Position, records: Batch['records'], length: number): Buffer {
    const slice = this.#drawing.slice(length);
    const snapshot = this.isDrawn ? 'end' : 'part';
    return encodeFrame({ ...positionOf(position), snapshot }, slice.concat(records));
  }

  /** Flushes what has been added so far; more may be added meanwhile. */
  async flush(): Promise<void> {
    const log = await this.#done;
    await log.sync();
  }

  /**
   * Makes this the log of the directory. The snapshot must be complete, and nothing may be added
   * any more. When the promise resolves, a crash of the machine leaves this log; what is appended
   * to it is on the disk when the promise of that resolves.
   *
   * @param options of the log that it becomes
   * @param assertOurs called right before the present log is replaced; throws if it may not be
   */
  async publish(options: LogOptions, assertOurs: () => void): Promise<Log> {
    const { files, path: directory, fd: directoryFd } = this.#directory;
    const created = await this.#done;
    await created.sync();
    const path = logPath(directory);
    const fd = await doing('open', this.#path, files.open(this.#path, 'durable'));
    const log = new Log(files, path, fd, created.bytes, options);
    try {
      assertOurs();
      await doing('rename', this.#path, files.rename(this.#path, path));
      await doing('flush', directory, files.sync(directoryFd));
    } catch (error) {
      await log.close();
      throw error;
    }
    await created.close();
    return log;
  }

  /**
   * Gives up. Never rejects.
   *
   * @param isOurs whether the file is sure to be the one that was made here: then it is removed
   */
  async close(isOurs: boolean): Promise<void> {
    await this.#done.catch(() => {});
    if (this.#created === undefined) return;
    await this.#created.close();
    if (isOurs) await this.#directory.files.remove(this.#path).catch(() => {});
  }

  async #create(): Promise<Log> {
    const { files } = this.#directory;
    const fd = await doing('create', this.#path, files.open(this.#path, 'create'));
    const log = new Log(files, this.#path, fd, 0, IN_THE_MAKING);
    this.#created = log;
    await log.append(Buffer.from(`${LOG_NAME}${LOG_VERSION}\n`));
    return log;
  }
}
