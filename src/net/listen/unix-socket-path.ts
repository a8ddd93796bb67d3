/**
 * Takes the path of a Unix socket, so that of all servers that want it, even at the same moment, one
 * has it: nobody takes it from a server that lives, and what a killed one has left is replaced.
 *
 * The system can't do "remove it if it is still the dead one", so whoever wants the path needs a lock.
 * That is a folder beside it, and who has put his listening socket in there holds it. It outlives no
 * holder: a folder can be renamed to that of the lock only while that is empty or not there; a dead
 * holder is known by his socket, and is removed by a name that nobody else ever has. The move of the
 * socket from there to the path takes the path and frees the lock in one step.
 *
 * That holds among servers of this kind on one machine. What is left: a stranger who makes something at
 * the path between the last look and the move loses it; BSD says of a server with a full queue what it
 * says of a dead one; who is killed before he has the lock leaves a folder, which is in nobody's way.
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

/** A path on which this process listens. */
export interface TakenPath {
  /**
   * Removes what is at the path, if it is still ours. To be called while we listen: until then
   * nobody takes the path from us.
   */
  giveBack(): void;
  /** Whether what is at the path is still ours: others may have removed or replaced it. */
  isOurs(): boolean;
}

/** Random bytes in a name, and the letters that makes. */
const NAME_BYTES = 3;
const NAME_LETTERS = 4;

/** What the lock is called, after the path. */
const LOCK_SUFFIX = '.lock';

/** More often nobody can have been quicker: the file system does not do what others do. */
const MAX_TRIES = 1000;

/** Bytes in the path of a Unix socket; the system has room for one more, which is zero. */
const SYSTEM_PATH_BYTES = process.platform === 'linux' ? 107 : 103;

/** Bytes that the path has before it is taken, and then not any more. */
const SPARE_BYTES = LOCK_SUFFIX.length + '/'.length + NAME_LETTERS;

/** What may be found at a path: somebody listens, or nobody any more, or it is no socket at all. */
type Found = 'nothing' | 'dead' | 'alive' | 'no socket';

/**
 * Takes `path` for a socket.
 *
 * @param mode the permissions of its file from the moment on at which others can reach it
 * @param listen begins to listen at the path that it is given; if taking fails later on, whoever has
 *   called is to stop that
 * @throws Error with the system's code, EADDRINUSE if another one has the path, and `path` as `address`
 */
export async function takePath(
  path: string,
  mode: number,
  listen: (privatePath: string) => Promise<void>,
): Promise<TakenPath> {
  try {
    // Node would cut it off without a word, and listen on something else.
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
  // Not put together by node:path, which takes `link/..` for nothing.
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

/** Makes `own` the lock. Each time it tries again somebody else has come further, or should have. */
async function acquire(lock: string, own: string, path: string): Promise<void> {
  for (let tries = 0; !tryToAcquire(lock, own); tries++) {
    if (tries === MAX_TRIES) throw inTheWay(lock);
    for (const name of namesIn(lock)) {
      const rival = `${lock}/${name}`;
      switch (await look(rival)) {
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
      // We have just made a folder there: it is the lock that is not ours to replace.
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

/** Removes a holder that is dead; another one may do so at the same time. */
function removeDead(rival: string, lock: string): void {
  try {
    unlinkSync(rival);
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw inTheWay(lock);
  }
}

async function assertFree(path: string): Promise<void> {
  const found = await look(path);
  if (found === 'alive') throw inUse(`another program listens on ${path}`);
  if (found === 'no socket') throw inUse(`${path} is no socket`);
}

/** What is at `path`. A socket that does not let us connect counts as alive. */
async function look(path: string): Promise<Found> {
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

/** Whether that very file is at `path`: its number is not given away while we listen. */
function isFile(path: string, dev: bigint, ino: bigint): boolean {
  try {
    const found = lstatSync(path, { bigint: true, throwIfNoEntry: false });
    return found?.dev === dev && found.ino === ino;
  } catch {
    return false;
  }
}

/** Removes something, or not: what is not there need not go, and what stays is in nobody's way. */
function attempt(remove: () => void): void {
  try {
    remove();
  } catch {}
}

function pathTooLong(): Error {
  const bytes = SYSTEM_PATH_BYTES - SPARE_BYTES;
  const message = `the path of a Unix socket may have ${bytes} bytes here, ${SPARE_BYTES} less than the system takes`;
  return Object.assign(new Error(message), { code: 'ENAMETOOLONG' });
}

function inUse(message: string): Error {
  return Object.assign(new Error(message), { code: 'EADDRINUSE' });
}

function inTheWay(lock: string): Error {
  const message = `${lock} is in the way; remove it if no server is about to start`;
  return Object.assign(new Error(message), { code: 'EEXIST' });
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}
