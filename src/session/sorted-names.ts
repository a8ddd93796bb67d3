/**
 * Distinct strings in the order of their UTF-16 code units. They stand in blocks, so that adding
 * and deleting one moves few others, and a part of the order is read at the cost of that part.
 *
 * Invariant: no block is empty; each is sorted, and its strings are before those of the next.
 */

/** Most strings in one block. */
const MAX_BLOCK = 512;

export class SortedNames {
  readonly #blocks: string[][] = [];

  /** @param name not in it yet */
  add(name: string): void {
    const at = this.#blockOf(name);
    const block = this.#blocks[at];
    if (block === undefined) {
      this.#blocks.push([name]);
      return;
    }
    block.splice(countUpTo(block, name), 0, name);
    if (block.length > MAX_BLOCK) this.#blocks.splice(at + 1, 0, block.splice(MAX_BLOCK / 2));
  }

  /** @param name one that is in it */
  delete(name: string): void {
    const at = this.#blockOf(name);
    const block = this.#blocks[at] ?? [];
    block.splice(countUpTo(block, name) - 1, 1);
    if (block.length === 0) this.#blocks.splice(at, 1);
  }

  /**
   * Those that come after `name`, which need not be in it, in order; none may be added or deleted
   * meanwhile.
   */
  *after(name: string): Generator<string, void, undefined> {
    let at = this.#blockOf(name);
    const first = this.#blocks[at];
    if (first === undefined) return;
    yield* first.slice(countUpTo(first, name));
    for (at++; at < this.#blocks.length; at++) yield* this.#blocks[at] ?? [];
  }

  /** The index of the last block that begins at or before `name`, or of the first block. */
  #blockOf(name: string): number {
    const count = countWhile(this.#blocks.length, (i) => (this.#blocks[i]?.[0] ?? '') <= name);
    return Math.max(0, count - 1);
  }
}

/** How many of the sorted `names` are at or before `name`. */
function countUpTo(names: readonly string[], name: string): number {
  return countWhile(names.length, (i) => (names[i] ?? '') <= name);
}

/** How many of the indexes below `length` satisfy `test`: only the first ones do. */
function countWhile(length: number, test: (i: number) => boolean): number {
  let [low, high] = [0, length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (test(middle)) low = middle + 1;
    else high = middle;
  }
  return low;
}
