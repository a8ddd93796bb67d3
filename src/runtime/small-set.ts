/**
 * A set that usually has one element and costs no more than that: it becomes a `Set` with the
 * second. Iterates in order of insertion; it must not change meanwhile.
 */
export class SmallSet<T extends object> implements Iterable<T> {
  /** The only element, as long as there never were two. */
  #only: T | undefined;
  /** All elements since there were two. */
  #all: Set<T> | undefined;

  get size(): number {
    return this.#all?.size ?? (this.#only === undefined ? 0 : 1);
  }

  /** @param element not in the set */
  add(element: T): void {
    if (this.#all !== undefined) {
      this.#all.add(element);
    } else if (this.#only === undefined) {
      this.#only = element;
    } else {
      this.#all = new Set([this.#only, element]);
      this.#only = undefined;
    }
  }

  /** No effect if `element` is not in the set. */
  delete(element: T): void {
    if (this.#only === element) this.#only = undefined;
    else this.#all?.delete(element);
  }

  [Symbol.iterator](): Iterator<T> {
    if (this.#all !== undefined) return this.#all.values();
    return (this.#only === undefined ? [] : [this.#only]).values();
  }
}
