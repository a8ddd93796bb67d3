/**
 * The claim of a process on a data directory: a Unix socket in it, on which the process listens and
 * answers each connection with its process id. The system frees it when the process ends, however
 * it ends. Node has no file locks.
 *
 * Known limits:
 *  - A socket is of one machine. Two machines that share a directory by a network file system do
 *    not see each other's claims.
 *  - Without its socket a directory looks free. A server whose socket was removed notices it within
 *    `CLAIM_CHECK_MS`, and then stops; until then a second one may have started. It does not notice
 *    that the whole directory was moved, and another one made at its path.
 */
import { existsSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { takePath } from '../runtime/unix-socket-path.ts';
import { codeOf } from '../runtime/unknown.ts';
import { doing, explained } from './files.ts';
import type { Directory } from './log.ts';
import { StoreError } from './store.ts';

const SOCKET = 'owner.sock';

/** Milliseconds between two looks of a server whether its claim is there. */
export const CLAIM_CHECK_MS = 1000;

/** Milliseconds to wait for the answer of a process that may be stopped. */
const ANSWER_MS = 500;

export interface Claim {
  /** Whether the directory is still claimed: the socket may have been removed or replaced. */
  isOurs(): boolean;
  /** Frees the directory. Never rejects. */
  release(): Promise<void>;
}

/** Who has a directory: `pid` is undefined if the process does not answer. */
export interface Claimant {
  readonly pid: number | undefined;
}

/** @throws StoreError if another process has the directory */
export async function claimDirectory(directory: Directory): Promise<Claim> {
  const path = socketPath(directory);
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy());
    socket.end(`${process.pid}\n`);
  });
  const listen = (privatePath: string): Promise<void> =>
    new Promise((resolve, reject) => {
      server.on('error', reject);
      server.listen(privatePath, resolve);
    });
  const close = (): Promise<void> => new Promise((resolve) => server.close(() => resolve()));
  // The claim alone is no reason for the process to stay.
  server.unref();
  try {
    const taken = await takePath(path, 0o600, listen);
    return {
      isOurs: taken.isOurs,
      release: () => {
        taken.giveBack();
        return close();
      },
    };
  } catch (error) {
    await close();
    throw await refusal(directory, error);
  }
}

/** Write permission of all but the owner. */
const OTHERS_MAY_WRITE = 0o022;

/** @throws StoreError if others may write to the directory: they could replace log and claim */
export async function assertPrivate({ files, path, fd }: Directory): Promise<void> {
  const mode = await doing('look at the data directory', path, files.mode(fd));
  if ((mode & OTHERS_MAY_WRITE) === 0) return;
  throw new StoreError(
    `the data directory ${path} has mode ${mode.toString(8).padStart(4, '0')}: users other than its owner may write to it, and could change who holds what. ` +
      `Run chmod go-w ${path}, or choose a directory inside it: the server makes it for itself`,
  );
}

/** Why a server whose claim is gone must stop. */
export function claimLost({ path }: Directory): StoreError {
  return new StoreError(
    `the data directory ${path} is no longer claimed by this server: its ${SOCKET} was removed or replaced while it ran. ` +
      'Make sure that no other server uses the directory',
  );
}

/** Why the directory could not be claimed. */
async function refusal(directory: Directory, error: unknown): Promise<StoreError> {
  const { path } = directory;
  const claimant = await claimantOf(directory);
  if (claimant !== undefined) {
    return new StoreError(
      `the data directory ${path} is in use by ${claimantText(claimant)}: stop it or choose another directory`,
      { cause: error },
    );
  }
  if (codeOf(error) === 'EADDRINUSE') {
    const message = `cannot claim the data directory ${path}: another process is starting with it, or ${path}/${SOCKET} is not a socket and must be removed`;
    return new StoreError(message, { cause: error });
  }
  return explained('claim', `the data directory ${path}`, error);
}

/** The process in a sentence. */
export function claimantText({ pid }: Claimant): string {
  return pid === undefined ? 'a process that does not answer' : `process ${pid}`;
}

/** The process that has the directory; undefined if none has. Changes nothing. */
export function claimantOf(directory: Directory): Promise<Claimant | undefined> {
  return new Promise((resolve) => {
    let answer = '';
    const socket = connect(socketPath(directory));
    const settle = (claimant: Claimant | undefined): void => {
      socket.destroy();
      resolve(claimant);
    };
    const settleByAnswer = (): void => {
      const pid = Number(answer);
      settle({ pid: Number.isSafeInteger(pid) && pid > 0 ? pid : undefined });
    };
    socket.setTimeout(ANSWER_MS, settleByAnswer);
    socket.on('data', (bytes) => {
      answer += bytes;
    });
    socket.on('end', settleByAnswer);
    socket.on('error', (error) => {
      const isFree = ['ENOENT', 'ECONNREFUSED', 'ENOTSOCK', 'ENOTDIR'].includes(codeOf(error));
      settle(isFree ? undefined : { pid: undefined });
    });
  });
}

/**
 * A path of the socket. That of a data directory may be longer than the system allows for a socket;
 * on Linux an open directory has a short one as well.
 */
function socketPath({ path, fd }: Directory): string {
  const short = `/proc/self/fd/${fd}`;
  return `${process.platform === 'linux' && existsSync(short) ? short : path}/${SOCKET}`;
}
