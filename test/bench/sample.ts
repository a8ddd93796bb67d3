/** What a generator measures in one sample, and the loop around it that every load shares. */
import { setTimeout as sleep } from 'node:timers/promises';

/** Numbers by name; the units are in the names. */
export type Figures = Record<string, number>;

/** Something that goes on until it is told to stop, and can then be started again. */
export interface Load {
  /** Things done since `start`. */
  readonly done: number;
  /** Whether enough was done since `start` for every figure to have a value. */
  readonly isMeasured: boolean;
  start(): void;
  /** Lets what has begun come to its end. */
  stop(): Promise<void>;
  /** Figures beside the rate, of what was done since `start`. */
  figures(): Figures;
}

/** Runs `load` for `ms` milliseconds, or until it has something to tell. `total` also counts what was done while it came to its end. */
export async function sampleOf(load: Load, ms: number): Promise<Figures> {
  const startMs = performance.now();
  load.start();
  do await sleep(ms);
  while (!load.isMeasured);
  const [endMs, done] = [performance.now(), load.done];
  await load.stop();
  return { perSecond: (done * 1000) / (endMs - startMs), total: load.done, ...load.figures() };
}

/** The durations of a sample: the last so many of them. */
export class Durations {
  readonly #ms = new Float64Array(1 << 17);
  #count = 0;

  add(ms: number): void {
    this.#ms[this.#count++ & (this.#ms.length - 1)] = ms;
  }

  get isEmpty(): boolean {
    return this.#count === 0;
  }

  clear(): void {
    this.#count = 0;
  }

  /** Microseconds; NaN when there are none. @param share 0 to 1 */
  quantileUs(share: number): number {
    const sorted = this.#ms.slice(0, Math.min(this.#count, this.#ms.length)).sort();
    return (sorted[Math.floor(share * (sorted.length - 1))] ?? Number.NaN) * 1000;
  }
}

/** What has begun and not ended, so that a load can wait for all of it when it stops. */
export class InFlight {
  #count = 0;
  #ended = (): void => {};

  /** So many more have begun. */
  begin(count = 1): void {
    this.#count += count;
  }

  /** One has ended. */
  end(): void {
    if (--this.#count === 0) this.#ended();
  }

  /** Resolves when nothing is in flight. Nothing may begin meanwhile but what follows from it. */
  async ended(): Promise<void> {
    if (this.#count === 0) return;
    await new Promise<void>((resolve) => {
      this.#ended = resolve;
    });
  }
}
