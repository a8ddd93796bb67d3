/**
 * Preloaded into the program (`--import`): the first release of a lock goes wrong, in the way that
 * the environment variable FAULT names. So a fault can be had in the midst of a real server.
 */
import { LockTable } from '../../src/table/lock-table.ts';

const { prototype } = LockTable;
const { release } = prototype;

prototype.release = function faulty(lock) {
  switch (process.env.FAULT) {
    case 'invariant':
      // What a forgotten check would do: the table notices by itself.
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
