/** The size of the heap in use, without garbage. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

// The flag makes `gc` a global of contexts made from now on: no option of the process is needed.
setFlagsFromString('--expose-gc');
export const collectGarbage: () => void = runInNewContext('gc');

export function heapUsed(): number {
  collectGarbage();
  return process.memoryUsage().heapUsed;
}
