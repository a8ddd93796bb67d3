/** Reading the files that the program is given by name, at its start and again on SIGHUP. */
import { readFileSync, statSync } from 'node:fs';

/**
 * @throws Error that says why not; also for what is no regular file: a pipe that nobody writes to would
 *   hold up the whole server
 */
export function readRegularFile(path: string): Buffer {
  if (!statSync(path).isFile()) throw new Error('it is not a regular file');
  return readFileSync(path);
}
