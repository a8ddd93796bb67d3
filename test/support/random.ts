/** A seeded generator (xorshift32, G. Marsaglia 2003): the same seed repeats the same test. */
export class Random {
  readonly seed: number;
  #state: number;

  constructor(seed: number) {
    this.seed = seed;
    this.#state = seed | 0 || 1;
    for (let i = 0; i < 8; i++) this.#next();
  }

  /** An integer from 0 to `below` - 1. */
  below(below: number): number {
    return this.#next() % below;
  }

  /** True once in `n` times. */
  oneIn(n: number): boolean {
    return this.below(n) === 0;
  }

  pick<T>(items: readonly T[]): T {
    const item = items[this.below(items.length)];
    if (item === undefined) throw new Error('nothing to pick from');
    return item;
  }

  #next(): number {
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    return this.#state >>> 0;
  }
}

/**
 * As `withSeeds`, for asynchronous rounds. An uncaught error, which would end a server's process,
 * is reported with its seed as well. `FUZZ_SECONDS=n` in the environment sets a duration instead of
 * `count` rounds.
 *
 * @returns how many rounds were played
 */
export async function withSeedsInTurn(
  count: number,
  round: (random: Random) => Promise<void>,
): Promise<number> {
  const only = process.env.SEED;
  const first = only === undefined ? (Math.random() * 2 ** 31) | 0 : Number(only);
  const rounds = only === undefined ? Number(process.env.ROUNDS ?? count) : 1;
  const seconds = only === undefined ? Number(process.env.FUZZ_SECONDS ?? 0) : 0;
  const endMs = performance.now() + 1000 * seconds;
  let seed = first;
  const crashed = (error: Error): void => console.error(`uncaught with SEED=${seed}:`, error);
  process.on('uncaughtException', crashed);
  try {
    while (seconds > 0 ? performance.now() < endMs : seed < first + rounds) {
      await round(new Random(seed));
      seed++;
    }
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`failed with SEED=${seed}: ${reason}`, { cause: error });
  } finally {
    process.off('uncaughtException', crashed);
  }
  return seed - first;
}

/**
 * Runs `round` with a fresh generator for each of `count` seeds and names the seed that fails.
 * `SEED=n` in the environment replays one seed; `ROUNDS=n` sets how many are tried.
 */
export function withSeeds(count: number, round: (random: Random) => void): void {
  const only = process.env.SEED;
  const first = only === undefined ? (Math.random() * 2 ** 31) | 0 : Number(only);
  const rounds = only === undefined ? Number(process.env.ROUNDS ?? count) : 1;
  for (let seed = first; seed < first + rounds; seed++) {
    try {
      round(new Random(seed));
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new Error(`failed with SEED=${seed}: ${reason}`, { cause: error });
    }
  }
}
