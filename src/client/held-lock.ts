/** A held lock in the hands of the caller, until it is released or lost. */
import type { LockLostError } from './errors.ts';
import { releasedAlready } from './hold.ts';
import type { Resource } from './resources.ts';

declare global {
  // Some compilers know `await using` while their library lacks its symbol. Where the library has it,
  // this merges with that declaration.
  interface SymbolConstructor {
    readonly asyncDispose: unique symbol;
  }
}

export interface HeldLock {
  /**
   * The fencing token: decimal digits of an integer below 2^53. Of two conflicting locks the one
   * acquired later has the larger id. Send it along with each write to the protected resource, and
   * have that reject an id smaller than the largest it has seen.
   */
  readonly id: string;
  readonly resources: readonly Resource[];
  /** The owner that holds it, if one was named. */
  readonly owner: string | undefined;
  /**
   * Aborts with a `LockLostError` when the lock is lost: the server has said so, or might grant it to
   * another client before this one hears of it. A release does not abort it. Reading this property
   * checks the clock, so `lock.signal.throwIfAborted()` is right even after the process was stalled.
   */
  readonly signal: AbortSignal;
  /** Whether it is held: neither released nor lost. Checks the clock, as `signal` does. */
  readonly isHeld: boolean;
  /**
   * Milliseconds for which it stays held even if the server is not heard from again; 0 when it is
   * released or lost. Rises with each answer of the server, so work that needs time to stop may go on
   * until this is less than that time.
   */
  readonly leftMs: number;
  /**
   * Sets anew when the lock is lost by its `holdMs`: so many milliseconds from now, an integer of 1 or
   * more, or with `null` never. Resolves when the server has confirmed it: only then a longer hold may be
   * relied on. Rejects with the `LockLostError` if the lock was lost, a `RefusedError` if the server
   * refuses or the lock was released, or a TypeError. Never throws synchronously.
   */
  extend(holdMs: number | null): Promise<void>;
  /**
   * Releases it. Resolves when the server has released it, or it is lost; never rejects. Further calls
   * return the same promise.
   */
  release(): Promise<void>;
  /** `release`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** What a held lock needs of the session. */
export interface Keeper {
  /** Marks locks as lost that can't be trusted any more. */
  check(): void;
  /** Milliseconds for which it can be trusted if no further answer arrives; 0 when it can't be. */
  readonly leftMs: number;
  /**
   * It is held. Resolves when the server has confirmed it.
   *
   * @param holdMs Infinity for a hold without an end
   */
  extend(holdMs: number): Promise<void>;
  /** Resolves when it is released or lost. */
  release(): Promise<void>;
}

export class Holding implements HeldLock {
  readonly id: string;
  readonly resources: readonly Resource[];
  readonly owner: string | undefined;
  readonly #keeper: Keeper;
  /** Made when `signal` is first read: for most locks it never is. */
  #controller: AbortController | undefined;
  #lostBy: LockLostError | undefined;
  #released: Promise<void> | undefined;

  constructor(
    id: string,
    resources: readonly Resource[],
    owner: string | undefined,
    keeper: Keeper,
  ) {
    this.id = id;
    this.resources = resources;
    this.owner = owner;
    this.#keeper = keeper;
  }

  get signal(): AbortSignal {
    this.#keeper.check();
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#lostBy !== undefined) this.#controller.abort(this.#lostBy);
    }
    return this.#controller.signal;
  }

  get isHeld(): boolean {
    this.#keeper.check();
    return this.#lostBy === undefined && this.#released === undefined;
  }

  get leftMs(): number {
    return this.isHeld ? this.#keeper.leftMs : 0;
  }

  /** Why it was lost; undefined if it wasn't, or was released before. */
  get lostBy(): LockLostError | undefined {
    this.#keeper.check();
    return this.#lostBy;
  }

  markLost(error: LockLostError): void {
    this.#lostBy = error;
  }

  /** It is marked as lost: aborts its signal. Must come last, since it runs the caller's handlers. */
  abort(): void {
    this.#controller?.abort(this.#lostBy);
  }

  async extend(holdMs: number | null): Promise<void> {
    if (holdMs !== null && !(Number.isSafeInteger(holdMs) && holdMs >= 1)) {
      const must = 'must be null or an integer of at least 1, in milliseconds';
      throw new TypeError(`holdMs ${must}, not ${String(holdMs)}`);
    }
    const { lostBy } = this;
    if (lostBy !== undefined) throw lostBy;
    if (this.#released !== undefined) throw releasedAlready();
    await this.#keeper.extend(holdMs ?? Number.POSITIVE_INFINITY);
  }

  release(): Promise<void> {
    this.#released ??= this.#keeper.release();
    return this.#released;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }
}
