import { Changes } from './changes.ts';

/** What has arrived and was not asked for yet: a test waits for the next, or for the end. */
export class Inbox<T> {
  readonly #items: T[] = [];
  readonly #changes = new Changes();
  #isEnded = false;

  push(...items: T[]): void {
    this.#items.push(...items);
    this.#changes.notify();
  }

  /** Nothing comes any more. */
  end(): void {
    this.#isEnded = true;
    this.#changes.notify();
  }

  /** What is there already, the oldest first. */
  get items(): readonly T[] {
    return this.#items;
  }

  /** The oldest item, as soon as there is one; fails when the end comes first. */
  async next(): Promise<T> {
    for (;;) {
      const item = this.#items.shift();
      if (item !== undefined) return item;
      if (this.#isEnded) throw new Error('the connection ended');
      await this.#changes.next();
    }
  }

  /** Waits for the end; what came before it and was not asked for. */
  async ended(): Promise<T[]> {
    await this.#changes.until(() => this.#isEnded);
    return this.#items.splice(0);
  }
}
