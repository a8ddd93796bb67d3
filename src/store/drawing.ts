/**
 * The puts of all that is alive, drawn in slices: what a new log begins with. Each slice is drawn in the
 * same synchronous call in which a batch is added, so that drawing never stands still and never holds
 * up the server for long.
 */
export class Drawing {
  readonly #live: Iterator<string>;
  #isComplete = false;
  #length = 0;

  /** @param live see `LiveRecords` */
  constructor(live: Iterator<string>) {
    this.#live = live;
  }

  /** Whether all that is alive has been drawn. */
  get isComplete(): boolean {
    return this.#isComplete;
  }

  /** Characters drawn so far: about the bytes of what is alive. */
  get length(): number {
    return this.#length;
  }

  /** The next records, of so many characters together or a few more; the rest if there are less. */
  slice(length: number): string[] {
    const records: string[] = [];
    let drawn = 0;
    while (drawn < length) {
      const next = this.#live.next();
      if (next.done === true) {
        this.#isComplete = true;
        break;
      }
      records.push(next.value);
      drawn += next.value.length;
    }
    this.#length += drawn;
    return records;
  }
}
