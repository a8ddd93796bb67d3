/**
 * A hash table whose links are fields of its items: one chain for each slot. A `Map` would do the
 * same with more garbage: every few deletions it moves to a new table, and the old one, once
 * promoted to the old generation, keeps alive what it held. At full load that took a fifth of the
 * server's time.
 *
 * Clients choose the keys, and they can compute the hash. So as soon as one chain gets long, all
 * items move to a `Map` until the table is empty again. A secret seed would not help: keys that
 * collide under many seeds can be found, and a run could not be replayed. `Map` has a weakness of
 * its own: the engine hashes integers, and in some versions strings that look like integers,
 * without a secret. So the keys of the `Map` are strings that begin with a letter.
 *
 * A subclass says where an item keeps its key, its hash and its link.
 *
 * Invariants:
 *  1. Each of the `size` items is once in the chain of its hash, and in no other; or all items are
 *     in the map, and there are no chains.
 *  2. The number of chains is 0 or a power of two. It is at least the number of items, and not many
 *     times above it, so that iterating is cheap.
 *  3. No chain is longer than MAX_CHAIN_LENGTH.
 *  4. The link of an item that is in no chain is null, so that no item keeps another alive.
 */
const MIN_CHAINS = 4;
/** The number of chains is halved when there are more than this for each item... */
const MAX_SPARSENESS = 8;
/**
 * ...but not below this, half a kilobyte: a client with 32 locks in flight would make its table grow
 * and shrink at each turn, 2.4 % of the server's time (npm run bench -- b --profile).
 */
const KEPT_CHAINS = 64;
/** A longer chain is an attack: with as many chains as items, its probability is 1 in 10^35. */
export const MAX_CHAIN_LENGTH = 32;

export abstract class ChainedTable<K extends string | number, T extends object> {
  #size = 0;
  /** Empty until the first item is added. */
  #chains: (T | null)[] = [];
  #map: Map<string, T> | null = null;

  get size(): number {
    return this.#size;
  }

  /** The key of `item`: it never changes, and no other item of the table has the same. */
  protected abstract keyOf(item: T): K;
  /** The hash of its key, a 32-bit integer. */
  protected abstract hashOf(item: T): number;
  protected abstract nextOf(item: T): T | null;
  protected abstract setNext(item: T, next: T | null): void;

  /** @param hash the hash of `key` */
  protected find(key: K, hash: number): T | undefined {
    if (this.#map !== null) return this.#map.get(mapKey(key));
    let item = this.#chains[hash & (this.#chains.length - 1)] ?? null;
    while (item !== null) {
      if (this.keyOf(item) === key) return item;
      item = this.nextOf(item);
    }
    return undefined;
  }

  /** @param item not in the table, with a key that is not in the table */
  add(item: T): void {
    this.#size++;
    if (this.#map === null && this.#size > this.#chains.length) {
      this.#rebuild(Math.max(MIN_CHAINS, this.#chains.length * 2));
    }
    if (this.#map !== null) this.#map.set(mapKey(this.keyOf(item)), item);
    else if (!this.#chain(item)) this.#moveToMap();
  }

  /** @param item in the table */
  delete(item: T): void {
    this.#size--;
    if (this.#map !== null) {
      this.#map.delete(mapKey(this.keyOf(item)));
      if (this.#size === 0) this.#map = null;
      return;
    }
    this.#unchain(item);
    const { length } = this.#chains;
    if (length > KEPT_CHAINS && this.#size * MAX_SPARSENESS < length) {
      this.#rebuild(length / 2);
    }
  }

  /** All items, in no particular order. */
  all(): T[] {
    if (this.#map !== null) return [...this.#map.values()];
    const items: T[] = [];
    for (const head of this.#chains) {
      for (let item = head; item !== null; item = this.nextOf(item)) items.push(item);
    }
    return items;
  }

  /**
   * Makes `item` the head of its chain.
   *
   * @returns whether the chain is within MAX_CHAIN_LENGTH
   */
  #chain(item: T): boolean {
    const slot = this.hashOf(item) & (this.#chains.length - 1);
    const next = this.#chains[slot] ?? null;
    this.setNext(item, next);
    this.#chains[slot] = item;
    let length = 1;
    for (let at = next; at !== null; at = this.nextOf(at)) length++;
    return length <= MAX_CHAIN_LENGTH;
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

  /** Chains are at most twice as long meanwhile, so that it takes time for each item, no more. */
  #rebuild(length: number): void {
    const heads = this.#chains;
    this.#chains = new Array<T | null>(length).fill(null);
    let areShort = true;
    for (const head of heads) {
      let item = head;
      while (item !== null) {
        const next = this.nextOf(item);
        if (!this.#chain(item)) areShort = false;
        item = next;
      }
    }
    if (!areShort) this.#moveToMap();
  }

  #moveToMap(): void {
    const items = this.all();
    this.#chains = [];
    this.#map = new Map();
    for (const item of items) {
      this.setNext(item, null);
      this.#map.set(mapKey(this.keyOf(item)), item);
    }
  }
}

function mapKey(key: string | number): string {
  return typeof key === 'string' ? `s${key}` : `n${key}`;
}

/*
 * These hashes have no secret: MAX_CHAIN_LENGTH bounds the damage of keys that are chosen to
 * collide.
 */

/**
 * FNV-1a (Fowler, Noll, Vo) over the UTF-16 units of `text`. The upper bits are folded into the
 * lower ones, which select the chain.
 *
 * @returns a 32-bit integer, may be negative
 */
export function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash ^ (hash >>> 15);
}

/**
 * The hash of a safe integer: MurmurHash3's finaliser over both halves. All bits count, so values
 * that differ by a power of two are spread as well.
 *
 * @returns a 32-bit integer, may be negative
 */
export function hashOfInteger(value: number): number {
  let hash = value ^ Math.imul(Math.floor(value / 2 ** 32), 0x9e3779b1);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}

/** A table of items by a text, such as a name; each item keeps its link in `nextInChain`. */
export abstract class TextTable<T extends { nextInChain: T | null }> extends ChainedTable<
  string,
  T
> {
  get(text: string): T | undefined {
    return this.find(text, hashOf(text));
  }

  protected hashOf(item: T): number {
    return hashOf(this.keyOf(item));
  }

  protected nextOf(item: T): T | null {
    return item.nextInChain;
  }

  protected setNext(item: T, next: T | null): void {
    item.nextInChain = next;
  }
}
