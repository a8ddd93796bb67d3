/**
 * Preloaded into the program (`--import`): injects the fault that the environment variable FAULT
 * names into the first release of a lock, inside a real server.
 */
import { LockTable } from '../../src/table/lock-table.ts';

const { prototype } = LockTable;
const { release } = prototype;

prototype.release = function faulty(lock) {
  switch (process.env.FAULT) {
    case 'invariant':
      // As if the caller forgot a check: the table notices the second release.
      release.call(this, lock);
      return release.call(this, lock);
    case 'error':
      throw new TypeError('several lines\nof text');
    case 'rejection':
      void Promise.reject(new RangeError('nobody awaits this'));
      return release.call(this, lock);
    default:
      throw new Error('FAULT names no fault');
  }
};
