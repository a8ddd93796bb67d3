/** A planted bug, imported before the server: a new owner starts the timers of sessions at once. */
import { Ownership } from '../../../src/cluster/ownership.ts';

const { observe } = Ownership.prototype;

// It is observed before its server asks how long to wait.
Ownership.prototype.observe = function plantedObserve(events) {
  Object.assign(this, { graceMs: 0 });
  observe.call(this, events);
};
