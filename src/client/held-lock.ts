/** A lock that is held, as the caller has it, until it is released or lost. */
import type { LockLostError } from './errors.ts';
import type { Resource } from './resources.ts';

declare global {
  // For compilers that know `await using` and libraries that don't declare its symbol, as TypeScript
  // itself would have it; for those that do it is the same symbol.
  interface SymbolConstructor {
    readonly asyncDispose: unique symbol;
  }
}

export interface HeldLock {
  /**
   * The fencing token: decimal digits of an integer below 2^53. Of two conflicting locks the one
   * that was acquired later has the larger id. Hand it along with each write to what the lock
   * protects, and let that refuse a smaller one than it has seen.
   */
  readonly id: string;
  readonly resources: readonly Resource[];
  /** The thread of work that holds it, if one was named. */
  readonly owner: string | undefined;
  /**
   * Aborts, with a `LockLostError`, when the lock is lost: the server has said so, or could give it to
   * another without this client hearing of it in time. Not when it is released. Each look at this
   * property asks the clock, so `lock.signal.throwIfAborted()` is right even after the process was
   * held up.
   */
  readonly signal: AbortSignal;
  /** Whether it is held: neither released nor lost. Asks the clock, as `signal` does. */
  readonly isHeld: boolean;
  /**
   * Releases it. Resolves when the server has released it, or it is lost; never rejects. Called
   * again, it is the same release.
   */
  release(): Promise<void>;
  /** The same, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** What a held lock asks of its keeper. */
export interface Keeper {
  /** Loses what can't be believed in any more. */
  check(): void;
  /** Resolves when it is released or lost. */
  release(): Promise<void>;
}

export class Holding implements HeldLock {
  readonly id: string;
  readonly resources: readonly Resource[];
  readonly owner: string | undefined;
  readonly #keeper: Keeper;
  /** Made when it is first asked for: most locks are released before. */
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

  /** Why it is lost; undefined if it isn't, or was released before. */
  get lostBy(): LockLostError | undefined {
    this.#keeper.check();
    return this.#lostBy;
  }

  /** It is lost. Its keeper has seen to the rest before: this runs code of the caller's. */
  lose(error: LockLostError): void {
    this.#lostBy = error;
    this.#controller?.abort(error);
  }

  release(): Promise<void> {
    this.#released ??= this.#keeper.release();
    return this.#released;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }
}
