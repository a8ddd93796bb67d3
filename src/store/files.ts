/**
 * The file system calls of a data directory: few enough that a test can fail each of them. All but
 * `writeNow` are asynchronous, each takes one hop through the thread pool.
 */
import * as fs from 'node:fs';
import { getSystemErrorMap } from 'node:util';
import { codeOf } from '../runtime/unknown.ts';
import { StoreError } from './store.ts';

const { O_RDONLY, O_WRONLY, O_CREAT, O_TRUNC, O_DIRECTORY } = fs.constants;

/** Undefined where the system lacks it, whatever its type says. */
const O_DSYNC: number | undefined = fs.constants.O_DSYNC;

/** How a file is opened; `durable`: each write is on the disk before it returns. */
export type OpenMode = 'read' | 'create' | 'durable' | 'directory';

/** Rejections are the system's errors. */
export interface Files {
  /** Makes a directory that only its owner can enter, unless there is something already. */
  makeDirectory(path: string): Promise<void>;
  open(path: string, mode: OpenMode): Promise<number>;
  /** The size of the file in bytes. */
  size(fd: number): Promise<number>;
  /** The permissions: `0o700`. */
  mode(fd: number): Promise<number>;
  /** Returns how many bytes were read: at least one, except at the end of the file. */
  read(fd: number, into: Uint8Array, position: number): Promise<number>;
  /** Returns how many bytes were written: on a full disk fewer than given, without an error. */
  write(fd: number, bytes: Uint8Array, position: number): Promise<number>;
  /** The same on this thread, which it blocks. Throws the system's errors. */
  writeNow(fd: number, bytes: Uint8Array, position: number): number;
  /** Flushes what was written to the disk. */
  sync(fd: number): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  remove(path: string): Promise<void>;
  close(fd: number): Promise<void>;
}

const FLAGS: Readonly<Record<OpenMode, number>> = {
  read: O_RDONLY,
  create: O_WRONLY | O_CREAT | O_TRUNC,
  durable: O_WRONLY | (O_DSYNC ?? 0),
  directory: O_RDONLY | (O_DIRECTORY ?? 0),
};

export const systemFiles: Files = {
  makeDirectory: (path) =>
    new Promise((resolve, reject) => {
      fs.mkdir(path, 0o700, (error) => {
        if (error === null || error.code === 'EEXIST') resolve();
        else reject(error);
      });
    }),
  open: (path, mode) => call((done) => fs.open(path, FLAGS[mode], 0o600, done)),
  size: async (fd) => (await call<fs.Stats>((done) => fs.fstat(fd, done))).size,
  mode: async (fd) => (await call<fs.Stats>((done) => fs.fstat(fd, done))).mode & 0o7777,
  read: (fd, into, position) => call((done) => fs.read(fd, into, 0, into.length, position, done)),
  write: async (fd, bytes, position) => {
    const written = await call<number>((done) =>
      fs.write(fd, bytes, 0, bytes.length, position, done),
    );
    if (O_DSYNC === undefined) await systemFiles.sync(fd);
    return written;
  },
  writeNow: (fd, bytes, position) => {
    const written = fs.writeSync(fd, bytes, 0, bytes.length, position);
    if (O_DSYNC === undefined) fs.fsyncSync(fd);
    return written;
  },
  sync: (fd) => call<void>((done) => fs.fsync(fd, done)),
  rename: (from, to) => call<void>((done) => fs.rename(from, to, done)),
  remove: (path) => call<void>((done) => fs.unlink(path, done)),
  close: (fd) => call<void>((done) => fs.close(fd, done)),
};

type Done<T> = (error: Error | null, value?: T) => void;

function call<T>(begin: (done: Done<T>) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    begin((error, value) => {
      if (error) reject(error);
      else resolve(value as T);
    });
  });
}

/** What to do about an error of the system, by its code. */
const REMEDIES: Readonly<Record<string, string>> = {
  ENOSPC: 'Free some space, then start the server again',
  EDQUOT: 'Free some space or raise the quota, then start the server again',
  EFBIG: 'Raise the file size limit of the process (ulimit -f)',
  EACCES: 'Give the user of the server access, or choose another directory',
  EPERM: 'Give the user of the server access, or choose another directory',
  EROFS: 'Mount it for writing, or choose another directory',
  ENOTDIR: 'There is a file where a directory is needed: choose another directory',
  EISDIR: 'There is a directory where a file is needed: move it away',
  ENOENT: 'Correct the path, or create the directory that is missing',
  EMFILE: 'Raise the open-file limit of the process (ulimit -n)',
  ENFILE: 'Raise the open-file limit of the system',
  EIO: 'The disk has failed: check it, then start the server again',
};

/**
 * Waits for a call of `Files`.
 *
 * @param what the call for people: `write`, `open`
 * @throws StoreError for an error of the system: see `explained`
 */
export async function doing<T>(what: string, path: string, call: Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (error) {
    throw explained(what, path, error);
  }
}

/** `error`, with `path` and what to do about it; unchanged if it is a `StoreError`. */
export function explained(what: string, path: string, error: unknown): StoreError {
  if (error instanceof StoreError) return error;
  const remedy = REMEDIES[codeOf(error)];
  const message = `cannot ${what} ${path}: ${reasonOf(error)}${remedy === undefined ? '' : `. ${remedy}`}`;
  return new StoreError(message, { cause: error });
}

/** The system's words alone: Node adds the call and its path, which may be a private one. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const known = 'errno' in error && getSystemErrorMap().get(Number(error.errno));
  return known ? `${known[0]}: ${known[1]}` : error.message;
}
