/** Reads the files that options name, at start and again on SIGHUP. */
import { readFileSync, statSync } from 'node:fs';

/**
 * @throws Error that says why the file can't be read, or that it is not a regular file: reading a
 *   pipe without a writer would block the whole server
 */
export function readRegularFile(path: string): Buffer {
  if (!statSync(path).isFile()) throw new Error('it is not a regular file');
  return readFileSync(path);
}
