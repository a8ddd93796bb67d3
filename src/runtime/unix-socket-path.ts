/**
 * Claims the path of a Unix socket. Of several servers started at once, exactly one gets it; a path
 * is never taken from a live server, and the socket left by a killed one is replaced.
 *
 * The system has no atomic "unlink if it is still the dead socket", so claiming needs a lock: a
 * folder beside the path, held by the server whose listening socket is inside. The lock never
 * outlives its holder:
 *  - A server renames its own folder, with its socket inside, to the lock's name. That succeeds
 *    only while the lock does not exist or is empty.
 *  - A dead holder is recognized by its socket, and removed by a file name that is never reused.
 *  - Renaming the socket from the lock to the path claims the path and frees the lock in one step.
 *
 * This holds among Locktopus servers on one machine. Known limits: another program's file, created
 * at the path between the last check and the rename, is lost; BSD reports a server with a full
 * backlog as dead; a server killed before it has the lock leaves a folder behind, which blocks no
 * other.
 */
import { Buffer } from 'node:buffer';
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmdirSync,
  unlinkSync,
} from 'node:fs';
import { connect } from 'node:net';
import { codeOf } from './unknown.ts';

/** A path on which this process listens. */
export interface TakenPath {
  /**
   * Removes the socket file, if it is still ours. Must be called before listening ends: afterwards
   * another server may claim the path.
   */
  giveBack(): void;
  /** Whether the file at the path is still ours: others may have removed or replaced it. */
  isOurs(): boolean;
}

/** Random bytes in a name, and its length in base64url. */
const NAME_BYTES = 3;
const NAME_LETTERS = 4;

/** The lock's name is the path with this suffix. */
const LOCK_SUFFIX = '.lock';

/** Attempts to acquire the lock. More can't be due to rivals; the file system does not behave. */
const MAX_TRIES = 1000;

/** Longest path of a Unix socket, in bytes, without the terminating zero. */
const SYSTEM_PATH_BYTES = process.platform === 'linux' ? 107 : 103;

/** Bytes by which the temporary paths are longer than the final one. */
const SPARE_BYTES = LOCK_SUFFIX.length + '/'.length + NAME_LETTERS;

/** What is at a path: a socket is 'alive' if a process listens on it, else 'dead'. */
type Found = 'nothing' | 'dead' | 'alive' | 'no socket';

/**
 * Claims `path` for a listening socket.
 *
 * @param mode the permissions of the socket file, set before others can reach it
 * @param listen starts listening on the path that it is given. If `takePath` rejects after that,
 *   the caller must stop it
 * @throws Error with the system's code, EADDRINUSE if the path is in use, and `path` as `address`
 */
export async function takePath(
  path: string,
  mode: number,
  listen: (privatePath: string) => Promise<void>,
): Promise<TakenPath> {
  try {
    // Node would silently truncate it and listen on another path.
    if (Buffer.byteLength(path) > SYSTEM_PATH_BYTES - SPARE_BYTES) throw pathTooLong();
    await assertFree(path);
    return await takeFree(path, mode, listen);
  } catch (error) {
    throw error instanceof Error ? Object.assign(error, { address: path }) : error;
  }
}

async function takeFree(
  path: string,
  mode: number,
  listen: (privatePath: string) => Promise<void>,
): Promise<TakenPath> {
  const name = randomBytes(NAME_BYTES).toString('base64url');
  // Not joined by node:path, which would drop `link/..` even if `link` is a symbolic link.
  const own = `${path}.${name}`;
  const lock = path + LOCK_SUFFIX;
  mkdirSync(own, { mode: 0o700 });
  try {
    await listen(`${own}/${name}`);
    await acquire(lock, own, path);
    await assertFree(path);
    const socket = `${lock}/${name}`;
    chmodSync(socket, mode);
    const { dev, ino } = lstatSync(socket, { bigint: true });
    renameSync(socket, path);
    const isOurs = (): boolean => isFile(path, dev, ino);
    return { isOurs, giveBack: () => isOurs() && attempt(() => unlinkSync(path)) };
  } finally {
    for (const folder of [own, lock]) {
      attempt(() => unlinkSync(`${folder}/${name}`));
      attempt(() => rmdirSync(folder));
    }
  }
}

/** Renames `own` to the lock. Retries when a rival has removed or released what was in the way. */
async function acquire(lock: string, own: string, path: string): Promise<void> {
  for (let tries = 0; !tryToAcquire(lock, own); tries++) {
    if (tries === MAX_TRIES) throw inTheWay(lock);
    for (const name of namesIn(lock)) {
      const rival = `${lock}/${name}`;
      switch (await inspect(rival)) {
        case 'alive':
          throw inUse(`another server is about to listen on ${path}`);
        case 'no socket':
          throw inTheWay(lock);
        case 'dead':
          removeDead(rival, lock);
          break;
        case 'nothing':
      }
    }
  }
}

function tryToAcquire(lock: string, own: string): boolean {
  try {
    renameSync(own, lock);
    return true;
  } catch (error) {
    switch (codeOf(error)) {
      case 'ENOTEMPTY':
      case 'EEXIST':
        return false;
      case 'ENOTDIR':
      // A folder could be made there a moment ago, so it is the lock that we may not replace.
      case 'EACCES':
      case 'EPERM':
        throw inTheWay(lock);
      default:
        throw error;
    }
  }
}

function namesIn(lock: string): string[] {
  try {
    return readdirSync(lock);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return [];
    throw inTheWay(lock);
  }
}

/** Removes a dead holder; a rival may do so at the same time. */
function removeDead(rival: string, lock: string): void {
  try {
    unlinkSync(rival);
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw inTheWay(lock);
  }
}

async function assertFree(path: string): Promise<void> {
  const found = await inspect(path);
  if (found === 'alive') throw inUse(`another program listens on ${path}`);
  if (found === 'no socket') throw inUse(`${path} is not a socket`);
}

/** What is at `path`. A socket that we have no permission to connect to counts as alive. */
async function inspect(path: string): Promise<Found> {
  const stats = lstatSync(path, { throwIfNoEntry: false });
  if (stats === undefined) return 'nothing';
  if (!stats.isSocket()) return 'no socket';
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.on('connect', () => {
      socket.destroy();
      resolve('alive');
    });
    socket.on('error', (error) => {
      const code = codeOf(error);
      if (code === 'ENOENT') resolve('nothing');
      else resolve(code === 'ECONNREFUSED' ? 'dead' : 'alive');
    });
  });
}

/** Whether the file at `path` is the given one. Its inode is not reused while we listen. */
function isFile(path: string, dev: bigint, ino: bigint): boolean {
  try {
    const found = lstatSync(path, { bigint: true, throwIfNoEntry: false });
    return found?.dev === dev && found.ino === ino;
  } catch {
    return false;
  }
}

/** Tries to remove something; failures are harmless. */
function attempt(remove: () => void): void {
  try {
    remove();
  } catch {}
}

function pathTooLong(): Error {
  const bytes = SYSTEM_PATH_BYTES - SPARE_BYTES;
  const message = `the path of a Unix socket may have at most ${bytes} bytes, ${SPARE_BYTES} less than the system allows`;
  return Object.assign(new Error(message), { code: 'ENAMETOOLONG' });
}

function inUse(message: string): Error {
  return Object.assign(new Error(message), { code: 'EADDRINUSE' });
}

function inTheWay(lock: string): Error {
  const message = `${lock} is in the way; remove it if no server is starting`;
  return Object.assign(new Error(message), { code: 'EEXIST' });
}
