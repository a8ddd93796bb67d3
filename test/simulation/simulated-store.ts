/**
 * A store whose commits end when the simulation says. They end inside the call that says so, not in
 * a later microtask: what happens then is part of that step, and what fails there fails the step.
 */
import { LiveSet } from '../../src/store/record.ts';
import { type Batch, type LiveRecords, type Position, StoreError } from '../../src/store/store.ts';
import { MemoryStore } from '../support/memory-store.ts';

export class SimulatedStore extends MemoryStore {
  #live: LiveRecords | undefined;
  #ended: (() => void) | undefined;

  override start(position: Position, live: LiveRecords): Promise<void> {
    this.#live = live;
    return super.start(position, live);
  }

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
    return idsOf([...drawAll(this.#live)]);
  }
}

function* drawAll(live: LiveRecords | undefined): Generator<string> {
  const drawn = live?.();
  for (let next = drawn?.next(); next?.done === false; next = drawn?.next()) yield next.value;
}

/** The ids of the sessions and of the locks that `records` make. */
export function idsOf(records: readonly string[]): readonly number[][] {
  const live = new LiveSet();
  for (const record of records) {
    const error = live.apply(record, false);
    if (error !== undefined) throw error;
  }
  const sorted = live.sorted();
  if (sorted instanceof StoreError) throw sorted;
  return [sorted.sessions, sorted.locks].map((items) => items.map(({ id }) => id));
}
