/** Wakes those who wait for something to change: the one way in which tests wait for events. */
export class Changes {
  #waiting: (() => void)[] = [];

  /** Something has changed. */
  notify(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) wake();
  }

  /** The next change from now on. */
  next(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Waits until it is so, looking after each change. What throws there ends the wait. */
  async until(isTrue: () => boolean): Promise<void> {
    while (!isTrue()) await this.next();
  }
}
