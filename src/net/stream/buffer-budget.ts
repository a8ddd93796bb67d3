/**
 * Bounds the memory of all connection buffers together: unread output, and unfinished lines and
 * messages. Each buffer has its own limit, but the sum of those limits may exceed the heap. The
 * first `FREE_BYTES` of a buffer are not counted, so that usual traffic costs no accounting.
 *
 * Invariant: `kept` is the sum over all accounts, so it is 0 once every connection is closed.
 */

/** Bytes of each buffer that are not counted. */
export const FREE_BYTES = 16 * 1024;

export class BufferBudget {
  readonly #maxBytes: number;
  #kept = 0;

  /** @param maxBytes bytes that all buffers together may have beyond their free bytes */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get kept(): number {
    return this.#kept;
  }

  /** Counts `bytes` more; false, and nothing changes, if that would exceed the budget. */
  take(bytes: number): boolean {
    if (this.#kept + bytes > this.#maxBytes) return false;
    this.#kept += bytes;
    return true;
  }

  give(bytes: number): void {
    this.#kept -= bytes;
  }
}

/** One buffer's share of the budget. */
export class BufferAccount {
  readonly #budget: BufferBudget;
  #counted = 0;

  constructor(budget: BufferBudget) {
    this.#budget = budget;
  }

  /** Whether the buffer is larger than its free bytes. */
  get isCounted(): boolean {
    return this.#counted > 0;
  }

  /**
   * Sets the size of the buffer.
   *
   * @param bytes that the buffer has now, or is about to have
   * @returns false, and the account is unchanged, if that would exceed the budget
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
