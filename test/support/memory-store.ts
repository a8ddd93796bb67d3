/**
 * A store in memory, whose commits end when the test says. What a crash leaves is exactly what was
 * committed: it is kept as text, and read back as from a disk.
 *
 *     const disk = new MemoryDisk();
 *     const store = new MemoryStore(disk, { isHeld: true });
 *     ...
 *     store.finish();    // the batch under way is stored, and its `commit` resolves
 *     store.crash();     // the store is gone; what was not finished is lost
 *     new MemoryStore(disk)
 */
import assert from 'node:assert/strict';
import { type Live, LiveSet } from '../../src/store/record.ts';
import {
  type Batch,
  type LiveRecords,
  type Loaded,
  type Position,
  positionOf,
  type Store,
  StoreError,
} from '../../src/store/store.ts';

/** What outlives a store. */
export class MemoryDisk {
  position: Position = { batch: 0, lockIds: 0, sessionIds: 0, clockMs: 0 };
  /** Applied in order, they make what is stored. */
  records: string[] = [];
  user: MemoryStore | undefined;
}

interface UnderWay {
  readonly batch: Batch;
  readonly resolve: () => void;
  readonly reject: (error: StoreError) => void;
}

export class MemoryStore implements Store {
  readonly #disk: MemoryDisk;
  readonly #isHeld: boolean;
  readonly #begun: () => void;
  #underWay: UnderWay | undefined;
  #hasFailed = false;
  /** From the start on: what a rewrite of the store would draw. */
  live: LiveRecords | undefined;

  /**
   * @param isHeld whether a commit waits for `finish` or `fail`. Otherwise it ends at once
   * @param begun is called when a held commit has begun
   */
  constructor(
    disk = new MemoryDisk(),
    { isHeld = false, begun = () => {} }: { isHeld?: boolean; begun?: () => void } = {},
  ) {
    this.#disk = disk;
    this.#isHeld = isHeld;
    this.#begun = begun;
  }

  get bytes(): number {
    return this.#disk.records.reduce((sum, record) => sum + record.length + 1, 0);
  }

  /** The batch under way, if any. */
  get underWay(): Batch | undefined {
    return this.#underWay?.batch;
  }

  async load(): Promise<Loaded> {
    const { user, records, position } = this.#disk;
    if (user !== undefined) throw new StoreError('the memory is in use by another store');
    this.#disk.user = this;
    return { position, ...liveAfter(records) };
  }

  async start(position: Position, live: LiveRecords): Promise<void> {
    assert.equal(this.#disk.user, this);
    assert.equal(position.batch, this.#disk.position.batch + 1, 'the batch after the last');
    this.live = live;
    this.#disk.records = [...live()];
    this.#disk.position = position;
  }

  commit(batch: Batch): Promise<void> {
    assert.equal(this.#disk.user, this);
    assert.equal(this.#underWay, undefined, 'one commit at a time');
    assert.equal(batch.batch, this.#disk.position.batch + 1, 'batches follow each other');
    assert.equal(this.#hasFailed, false, 'no commit after one that has failed');
    const done = new Promise<void>((resolve, reject) => {
      this.#underWay = { batch, resolve, reject };
    });
    if (this.#isHeld) this.#begun();
    else this.finish();
    return done;
  }

  /** Stores the batch under way. */
  finish(): void {
    this.#take(true)?.resolve();
  }

  /** Lets the commit under way fail. */
  fail({ isStored = false } = {}): void {
    this.#hasFailed = true;
    this.#take(isStored)?.reject(new StoreError('the memory has failed'));
  }

  /**
   * Ends the process that uses the store: the commit under way never ends.
   *
   * @param isStored whether its batch was stored all the same
   */
  crash({ isStored = false } = {}): void {
    this.#take(isStored);
    this.#disk.user = undefined;
  }

  freeze(): void {}

  async close(): Promise<void> {
    if (this.#disk.user === this) this.#disk.user = undefined;
  }

  #take(isStored: boolean): UnderWay | undefined {
    const underWay = this.#underWay;
    this.#underWay = undefined;
    if (underWay === undefined || !isStored) return underWay;
    this.#disk.records.push(...underWay.batch.records);
    this.#disk.position = positionOf(underWay.batch);
    return underWay;
  }
}

/**
 * What is live after `records`.
 *
 * @param mayBeAbsent see `LiveSet.apply`
 */
export function liveAfter(records: readonly string[], mayBeAbsent = false): Live {
  const live = new LiveSet();
  for (const record of records) {
    const error = live.apply(record, mayBeAbsent);
    if (error !== undefined) throw error;
  }
  const sorted = live.sorted();
  if (sorted instanceof StoreError) throw sorted;
  return sorted;
}
