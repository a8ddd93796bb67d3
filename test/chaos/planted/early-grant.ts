/** A planted bug, to be imported before the server: now and then a waiter is told that it holds. */
import { LockTable } from '../../../src/table/lock-table.ts';

const { lock } = LockTable.prototype;
let waits = 0;

LockTable.prototype.lock = function plantedLock(...args) {
  const asked = lock.apply(this, args);
  if (asked.state === 'acquired' || ++waits % 5 !== 0) return asked;
  // A double that says so, while the table still has it in the queue.
  return new Proxy(asked, {
    get: (target, field) => (field === 'state' ? 'acquired' : Reflect.get(target, field)),
  });
};
