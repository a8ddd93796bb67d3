/** A planted bug, imported before the server: now and then a grant is not reported. */
import { LockTable } from '../../../src/table/lock-table.ts';

const { release } = LockTable.prototype;
let grants = 0;

LockTable.prototype.release = function plantedRelease(lock) {
  return release.call(this, lock).filter(() => ++grants % 10 !== 0);
};
