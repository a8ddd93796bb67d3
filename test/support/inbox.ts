/** What has arrived and was not asked for yet: a test waits for the next, or for the end. */
export class Inbox<T> {
  readonly #items: T[] = [];
  #isEnded = false;
  #wake: (() => void) | undefined;

  push(item: T): void {
    this.#items.push(item);
    this.#notify();
  }

  /** Nothing comes any more. */
  end(): void {
    this.#isEnded = true;
    this.#notify();
  }

  /** The oldest item, as soon as there is one; fails when the end comes first. */
  async next(): Promise<T> {
    for (;;) {
      const item = this.#items.shift();
      if (item !== undefined) return item;
      if (this.#isEnded) throw new Error('the connection ended');
      await this.#change();
    }
  }

  /** Waits for the end; what came before it and was not asked for. */
  async ended(): Promise<T[]> {
    while (!this.#isEnded) await this.#change();
    return this.#items.splice(0);
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  #notify(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }
}
