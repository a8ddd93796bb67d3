/** A planted bug, imported before the server: replies do not wait for the disk, which is slow. */
import { setTimeout as delay } from 'node:timers/promises';
import { DataDirectory } from '../../../src/store/data-dir.ts';
import { Ledger } from '../../../src/store/ledger.ts';

/** Milliseconds that a commit takes longer. */
const SLOW_MS = 30;

Ledger.prototype.whenStored = function plantedWhenStored(job) {
  job();
};

const { commit } = DataDirectory.prototype;

DataDirectory.prototype.commit = async function plantedCommit(batch) {
  await delay(SLOW_MS);
  await commit.call(this, batch);
};
