/** The locks of a shell's session, by handles that are short enough to type: `#1`, `#2`. */

export interface OwnLock {
  readonly handle: string;
  /** What it locks. */
  readonly text: string;
  /** Undefined until the server has answered. */
  id: string | undefined;
  state: 'asked' | 'enqueued' | 'acquired';
  /** When that began, by the clock of the shell. */
  sinceMs: number;
  /** Resolves with whether it was acquired, once that is known. */
  readonly outcome: Promise<boolean>;
  settle(isAcquired: boolean): void;
}

export class OwnLocks {
  readonly #locks = new Map<string, OwnLock>();
  #count = 0;

  all(): readonly OwnLock[] {
    return [...this.#locks.values()];
  }

  add(text: string, id: string | undefined, nowMs: number): OwnLock {
    const handle = `#${++this.#count}`;
    let settle = (_isAcquired: boolean): void => {};
    const outcome = new Promise<boolean>((resolve) => {
      settle = resolve;
    });
    const lock: OwnLock = { handle, text, id, state: 'asked', sinceMs: nowMs, outcome, settle };
    this.#locks.set(handle, lock);
    return lock;
  }

  /** By its handle or its id. */
  get(name: unknown): OwnLock | undefined {
    if (typeof name !== 'string') return undefined;
    return this.#locks.get(name) ?? this.all().find(({ id }) => id === name);
  }

  /** The lock has ended, or was never acquired. */
  remove(lock: OwnLock): void {
    this.#locks.delete(lock.handle);
    lock.settle(false);
  }
}
