/**
 * Looks at a data directory without changing it, also while a server uses it: for an operator whose
 * server refuses to start, or who has made a copy.
 */
import { plural } from '../runtime/text.ts';
import { assertPrivate, type Claimant, claimantOf, claimantText } from './claim.ts';
import { doing, type Files, systemFiles } from './files.ts';
import { logPath } from './log.ts';
import { type LogContents, readLog } from './log-reader.ts';
import { StoreError } from './store.ts';

export interface DirectoryReport {
  readonly path: string;
  /** The server that uses it, if any. */
  readonly claimant: Claimant | undefined;
  /**
   * What a server that starts would find; undefined without a log: nothing is stored. An error says
   * why it would refuse to start, and what to do.
   */
  readonly log: LogContents | StoreError | undefined;
}

/** Rejects with a `StoreError` if there is no such directory, or it can't be read. */
export async function checkDirectory(
  path: string,
  files: Files = systemFiles,
): Promise<DirectoryReport> {
  const fd = await doing('open the data directory', path, files.open(path, 'directory'));
  try {
    const directory = { files, path, fd };
    const claimant = await claimantOf(directory);
    const log = assertPrivate(directory).then(() => readLog(files, logPath(path)));
    return { path, claimant, log: await log.catch(storeError) };
  } finally {
    await files.close(fd).catch(() => {});
  }
}

function storeError(error: unknown): StoreError {
  if (error instanceof StoreError) return error;
  throw error;
}

/** A report for people, in lines, without a line feed at the end. */
export function reportText({ path, claimant, log }: DirectoryReport): string {
  const use = claimant === undefined ? 'no server uses it' : `in use by ${claimantText(claimant)}`;
  const lines = [`${path}: ${use}`];
  if (log === undefined) lines.push('It has no log: no locks are stored.');
  else if (log instanceof StoreError) lines.push(`A server can't start with it: ${log.message}`);
  else lines.push(...contentLines(log, claimant !== undefined));
  return lines.join('\n');
}

function contentLines(log: LogContents, isInUse: boolean): string[] {
  const { version, bytes, tornBytes, batches, records, position, sessions, locks } = log;
  const held = locks.filter(({ wasHeld }) => wasHeld).length;
  const resumable = sessions.filter(({ key }) => key !== undefined).length;
  const lines = [
    `sessions: ${sessions.length}, of which ${resumable} can be resumed`,
    `locks: ${locks.length}, of which ${held} ${held === 1 ? 'was' : 'were'} held when stored`,
    `last ids: lock ${position.lockIds}, session ${position.sessionIds}`,
    `last batch: ${position.batch}, at ${position.clockMs} ms of the server's clock`,
    `log: version ${version}, ${plural(bytes, 'byte')}, ${plural(records, 'record')}`,
    `batches since the log was made: ${batches}`,
  ];
  if (tornBytes > 0) {
    lines.push(
      isInUse
        ? `end: ${plural(tornBytes, 'byte')} of a batch that is being written`
        : `end: ${plural(tornBytes, 'byte')} of a batch whose write was interrupted. No client has heard of it; the next start leaves it out`,
    );
  }
  return lines;
}
