/**
 * What all connections together make the server keep: output that they do not read, and lines and
 * messages that they do not end. Each has a limit of its own, but times the number of connections that
 * may be more than the heap has. A little of each buffer is free, so that what is usual is not counted.
 *
 * Invariant: `kept` is the sum of what the accounts hold; so it is 0 when every connection is closed.
 */

/** Bytes of one buffer that count for nothing. */
export const FREE_BYTES = 16 * 1024;

export class BufferBudget {
  readonly #maxBytes: number;
  #kept = 0;

  /** @param maxBytes bytes that all buffers together may have beyond what is free */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get kept(): number {
    return this.#kept;
  }

  /** Counts `bytes` more; false, and nothing is counted, when that would be too many. */
  take(bytes: number): boolean {
    if (this.#kept + bytes > this.#maxBytes) return false;
    this.#kept += bytes;
    return true;
  }

  give(bytes: number): void {
    this.#kept -= bytes;
  }
}

/** The part of the budget that one buffer takes. */
export class BufferAccount {
  readonly #budget: BufferBudget;
  #counted = 0;

  constructor(budget: BufferBudget) {
    this.#budget = budget;
  }

  /** Whether the buffer counts at all at the moment. */
  get isCounted(): boolean {
    return this.#counted > 0;
  }

  /**
   * @param bytes that the buffer has now, or is about to have
   * @returns whether it may; otherwise the account is as it was
   */
  keep(bytes: number): boolean {
    const counted = Math.max(0, bytes - FREE_BYTES);
    if (counted === this.#counted) return true;
    if (counted < this.#counted) this.#budget.give(this.#counted - counted);
    else if (!this.#budget.take(counted - this.#counted)) return false;
    this.#counted = counted;
    return true;
  }
}
