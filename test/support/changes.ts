/** Wakes waiters on a change: the one way in which tests wait for events. */
export class Changes {
  #waiting: (() => void)[] = [];

  /** Reports a change. */
  notify(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) wake();
  }

  /** The next change from now on. */
  next(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Waits until the condition holds, checked after each change. If it throws, the wait rejects. */
  async until(isTrue: () => boolean): Promise<void> {
    while (!isTrue()) await this.next();
  }
}
