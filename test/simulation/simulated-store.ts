/**
 * A store whose commits end when the simulation says. They end inside the call that says so, not in
 * a later microtask: what happens then is part of that step, and what fails there fails the step.
 */
import type { Batch } from '../../src/store/store.ts';
import { liveAfter, MemoryStore } from '../support/memory-store.ts';

export class SimulatedStore extends MemoryStore {
  #ended: (() => void) | undefined;

  override commit(batch: Batch): Promise<void> {
    void super.commit(batch);
    const ending: Pick<Promise<void>, 'then'> = {
      // biome-ignore lint/suspicious/noThenProperty: a promise that runs its reactions at once
      then: (ended) =>
        new Promise((resolve) => {
          this.#ended = () => {
            void ended?.();
            resolve(undefined as never);
          };
        }),
    };
    return ending as Promise<void>;
  }

  override finish(): void {
    if (this.underWay === undefined) return;
    super.finish();
    this.#ended?.();
  }

  /** The ids of what is live, as a rewrite of the store would find it now. */
  drawLive(): readonly number[][] {
    return idsOf([...(this.live?.() ?? [])]);
  }
}

/** The ids of the sessions and of the locks that `records` make. */
export function idsOf(records: readonly string[]): readonly number[][] {
  const { sessions, locks } = liveAfter(records);
  return [sessions, locks].map((items) => items.map(({ id }) => id));
}
