/**
 * A planted bug, imported before the server: until it knows that it was replaced, an owner says what
 * needs no store, such as that a lock is held, however old its last proof is.
 */
import { Ownership } from '../../../src/cluster/ownership.ts';

Ownership.prototype.maySpeak = function plantedMaySpeak() {
  return this.state === 'owning';
};
