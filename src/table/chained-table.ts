/**
 * A hash table whose links are fields of what is in it: one chain for each slot. A `Map` would do the
 * same with more garbage: every few deletions it moves to a new table, and the old one, once it has
 * lived long enough, keeps alive what it held, for the collector to carry around. At full speed that
 * was a fifth of the server's time.
 *
 * A subclass says where an item has its hash and its link, and adds what it finds items by.
 *
 * Invariants:
 *  1. Each of the `size` items is in exactly one chain, that of its hash, and once.
 *  2. The number of chains is 0 or a power of two, and not below that of items; so chains are short,
 *     unless somebody chooses the hashes. It is not many times above, either, so going through all is
 *     cheap.
 *  3. The link of an item that is not in here is null, so that none keeps another alive.
 */
const MIN_CHAINS = 4;
/** Chains for one item at least, before their number is halved. */
const MAX_SPARSENESS = 8;

export abstract class ChainedTable<T extends object> {
  #size = 0;
  /** Made for the first item. */
  #chains: (T | null)[] = [];

  get size(): number {
    return this.#size;
  }

  /** A 32-bit integer that stays the same as long as `item` is in here. */
  protected abstract hashOf(item: T): number;
  protected abstract nextOf(item: T): T | null;
  protected abstract setNext(item: T, next: T | null): void;

  /** The head of the chain in which all items with that hash are, and others. */
  protected chainOf(hash: number): T | null {
    return this.#chains[hash & (this.#chains.length - 1)] ?? null;
  }

  /** @param item one that is not in here; it becomes the head of its chain */
  add(item: T): void {
    if (this.#size === this.#chains.length) this.#resize(Math.max(MIN_CHAINS, this.#size * 2));
    this.#size++;
    this.#chain(item);
  }

  /** @param item one that is in here */
  delete(item: T): void {
    this.#unchain(item);
    this.#size--;
    const { length } = this.#chains;
    if (length > MIN_CHAINS && this.#size * MAX_SPARSENESS < length) this.#resize(length / 2);
  }

  /** All items, in no particular order. */
  all(): T[] {
    const items: T[] = [];
    for (const head of this.#chains) {
      for (let item = head; item !== null; item = this.nextOf(item)) items.push(item);
    }
    return items;
  }

  #chain(item: T): void {
    const slot = this.hashOf(item) & (this.#chains.length - 1);
    this.setNext(item, this.#chains[slot] ?? null);
    this.#chains[slot] = item;
  }

  #unchain(item: T): void {
    const slot = this.hashOf(item) & (this.#chains.length - 1);
    const next = this.nextOf(item);
    let before = this.#chains[slot] ?? null;
    if (before === item) {
      this.#chains[slot] = next;
    } else {
      while (before !== null && this.nextOf(before) !== item) before = this.nextOf(before);
      if (before !== null) this.setNext(before, next);
    }
    this.setNext(item, null);
  }

  #resize(length: number): void {
    const items = this.all();
    this.#chains = new Array<T | null>(length).fill(null);
    for (const item of items) this.#chain(item);
  }
}
