import { Changes } from './changes.ts';

/** Items that arrived and were not read yet: a test waits for the next one, or for the end. */
export class Inbox<T> {
  readonly #items: T[] = [];
  readonly #changes = new Changes();
  #isEnded = false;

  push(...items: T[]): void {
    this.#items.push(...items);
    this.#changes.notify();
  }

  /** No more items arrive. */
  end(): void {
    this.#isEnded = true;
    this.#changes.notify();
  }

  /** The items not read yet, the oldest first. */
  get items(): readonly T[] {
    return this.#items;
  }

  /** Waits for the oldest item; fails if the end comes first. */
  async next(): Promise<T> {
    for (;;) {
      const item = this.#items.shift();
      if (item !== undefined) return item;
      if (this.#isEnded) throw new Error('the connection ended');
      await this.#changes.next();
    }
  }

  /** Waits for the end; returns the items before it that were not read. */
  async ended(): Promise<T[]> {
    await this.#changes.until(() => this.#isEnded);
    return this.#items.splice(0);
  }
}
