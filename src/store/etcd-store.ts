/**
 * A store in etcd, for servers of which one at a time owns it. Under a prefix there are
 *
 *     PREFIXowner                    the server that may write; see cluster/ownership.ts
 *     PREFIXseq                      the position of the last batch, and where the log begins
 *     PREFIXlog/BATCH/PART           the records of a batch, in parts of at most 1 MiB
 *
 * **The guard.** Every transaction compares two things: that the owner key is the very one that this
 * server has made, and that `seq` is what this server has put there last. The first alone is not
 * enough: a request that was given up may be carried out seconds later, after the one that replaced
 * it and others that followed. With the second it fails then, and so each batch takes effect once,
 * in order, or never.
 *
 * **An unknown outcome.** The same transaction is simply sent again. If it fails because an earlier
 * try was carried out, its answer has the `seq` that this batch was to put: the batch is stored.
 *
 * **A value per batch, not a key per lock.** 62 locks and 62 releases in one transaction were 35 k
 * records/s as one value and 7.5 k as keys (on a busy machine of two cores that runs etcd as well),
 * at half of the server's own CPU; and a key leaves more history. So what is alive has to be written
 * anew now and then. That needs no second log: while it is *drawn*, each batch takes along a slice
 * of the puts of all that is alive; when it is complete, the log begins with the first of those
 * batches, and all before them is deleted.
 *
 * etcd keeps the history of all keys until it is compacted, which concerns all its users: that is
 * for its operator to configure (`--auto-compaction-retention`).
 */
import { Buffer } from 'node:buffer';
import { type Clock, systemClock } from '../runtime/clock.ts';
import { isObject, type JsonObject } from '../runtime/unknown.ts';
import { invariant } from '../table/invariant.ts';
import { Drawing } from './drawing.ts';
import { EtcdError } from './etcd-error.ts';
import type { EtcdGateway } from './etcd-gateway.ts';
import { base64, int64, keyValues, prefixEnd, textOf } from './etcd-json.ts';
import { pages } from './etcd-pages.ts';
import { decodeSeq, encodeSeq, NEW_SEQ, type Seq } from './etcd-seq.ts';
import { LiveSet } from './record.ts';
import {
  type Batch,
  type LiveRecords,
  type Loaded,
  type Position,
  positionOf,
  type Store,
  StoreError,
} from './store.ts';

/** The exclusive right to write, as the store sees it. */
export interface EtcdClaim {
  /**
   * Waits until the right is this server's. Rejects with a `StoreError` if that can't be.
   *
   * @param lost called at most once, from then on, when the right may be another server's
   * @returns the revision in which the owner key was made
   */
  acquire(lost: (error: StoreError) => void): Promise<string>;
  /** A request is about to be sent; the result is called if its answer proves the right. */
  sending(): () => void;
  /** Ends the wait for the right, if it has not been acquired. */
  stopWaiting(): void;
  /** Gives up the right, or the wait for it. Never rejects. */
  release(): Promise<void>;
}

export interface EtcdStoreOptions {
  readonly gateway: EtcdGateway;
  /** Of all keys; ends in ASCII. */
  readonly prefix: string;
  readonly claim: EtcdClaim;
  /** By default the one of this process. */
  readonly clock?: Clock;
  /** Called for each try that fails. Calls can be frequent: for a log, limit them. */
  readonly trouble?: (error: EtcdError) => void;
  /** Bytes below which a log is not written anew. By default 4 MiB. */
  readonly minRewriteBytes?: number;
  /** Milliseconds for which a server that stops waits for etcd. By default 5,000. */
  readonly stopMs?: number;
  /** Characters that are drawn at a time. By default 128 Ki. */
  readonly sliceLength?: number;
}

/** Another server may own the store by now; this one may wait for its turn again. */
export class NotOwnerError extends StoreError {}

export function ownerKey(prefix: string): string {
  return `${prefix}owner`;
}

/** A log is written anew when it has grown to this multiple of what was alive. */
const GROWTH = 4;

/** What could not be stored by then has not been said. */
const STOP_MS = 5000;

const MIN_REWRITE_BYTES = 4 * 1024 * 1024;
const SLICE_LENGTH = 128 * 1024;

/** Bytes of a part. etcd refuses requests of more than 1.5 MiB. */
const PART_BYTES = 1024 * 1024;

/** Milliseconds between two tries; nothing else is sent meanwhile. */
const PAUSE_MS = 50;
/** The same over quota: an operator has to make room. */
const FULL_PAUSE_MS = 1000;

/** A log in the making: batches that take along slices of what is alive. */
interface NewLog {
  readonly drawing: Drawing;
  /** The first batch with a slice. */
  readonly from: number;
  /** Of all batches since then. */
  bytes: number;
}

export class EtcdStore implements Store {
  readonly #gateway: EtcdGateway;
  readonly #prefix: string;
  readonly #claim: EtcdClaim;
  readonly #clock: Clock;
  readonly #trouble: (error: EtcdError) => void;
  readonly #minRewriteBytes: number;
  readonly #sliceLength: number;
  #createRevision = '';
  #seq = NEW_SEQ;
  /** The stored value of `seq`, in base64; empty in a new store. */
  #stored = '';
  #live: LiveRecords | undefined;
  #next: NewLog | undefined;
  /** Of the log. */
  #bytes = 0;
  #aliveBytes = 0;
  readonly #stopMs: number;
  /** From when on nothing is drawn; undefined before. */
  #frozenAtMs: number | undefined;
  #isClosed = false;

  constructor(options: EtcdStoreOptions) {
    const { gateway, prefix, claim, clock = systemClock, trouble = () => {} } = options;
    this.#gateway = gateway;
    this.#prefix = prefix;
    this.#claim = claim;
    this.#clock = clock;
    this.#trouble = trouble;
    this.#stopMs = options.stopMs ?? STOP_MS;
    this.#minRewriteBytes = options.minRewriteBytes ?? MIN_REWRITE_BYTES;
    this.#sliceLength = options.sliceLength ?? SLICE_LENGTH;
  }

  /** Of the records in the log. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Waits until this server owns the store. */
  async load(failed: (error: StoreError) => void = () => {}): Promise<Loaded> {
    try {
      this.#createRevision = await this.#claim.acquire(failed);
      // No other server can write from here on: their transactions fail.
      const key = this.#key('seq');
      const [value] = keyValues(await this.#call('/v3/kv/range', { key }));
      if (value !== undefined) {
        this.#stored = String(value.value);
        this.#seq = decodeSeq(textOf(value.value), `${this.#prefix}seq`);
      }
      const { sessions, locks } = await this.#read();
      return { position: positionOf(this.#seq), sessions, locks };
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  async #read(): Promise<Pick<Loaded, 'sessions' | 'locks'>> {
    const { from, batch, drawn } = this.#seq;
    const live = new LiveSet();
    /** Parts of a batch that are read already. */
    let parts: Buffer[] = [];
    let partsOf = 0;
    const apply = (): void => {
      const text = Buffer.concat(parts).toString();
      parts = [];
      const error = text === '' ? undefined : live.apply(text, partsOf <= drawn);
      if (error !== undefined) throw this.#broken(error.message);
    };
    const call = this.#call.bind(this);
    const [begin, end] = [this.#logKey(from), this.#logKey(batch + 1)];
    for await (const { key, value } of pages(call, this.#clock, begin, end)) {
      const of = Number(key.slice(this.#prefix.length).split('/')[1]);
      if (of !== partsOf) apply();
      partsOf = of;
      parts.push(value);
      this.#bytes += value.length;
    }
    apply();
    const sorted = live.sorted();
    if (sorted instanceof StoreError) throw this.#broken(sorted.message);
    return sorted;
  }

  #broken(why: string): StoreError {
    return new StoreError(
      `the records under ${this.#prefix} in etcd can't be trusted: ${why}. ` +
        'Restore them from a snapshot of etcd, or delete all keys under the prefix: then every lock is lost',
    );
  }

  async start(position: Position, live: LiveRecords): Promise<void> {
    invariant(position.batch === this.#seq.batch + 1, 'not the batch after the last');
    this.#live = live;
    const seq = { ...this.#seq, ...positionOf(position) };
    // Another server may have ended between the parts of a batch.
    const rest = this.#deletion(this.#logKey(position.batch), prefixEnd(`${this.#prefix}log/`));
    await this.#put(seq, [rest]);
  }

  async commit(batch: Batch): Promise<void> {
    invariant(batch.batch === this.#seq.batch + 1, 'a batch is out of order');
    const { from, drawn } = this.#seq;
    let seq: Seq = { ...positionOf(batch), from, drawn };
    let records = batch.records;
    const operations: object[] = [];
    if (this.#frozenAtMs === undefined) {
      records = this.#draw(batch).concat(records);
      const next = this.#next;
      if (next?.drawing.isComplete) {
        seq = { ...seq, from: next.from, drawn: batch.batch };
        operations.push(this.#deletion(`${this.#prefix}log/`, this.#logKey(next.from)));
      }
    }
    const bytes = Buffer.from(records.join('\n'));
    let at = 0;
    for (let part = 0; at < bytes.length; part++, at += PART_BYTES) {
      const value = bytes.toString('base64', at, at + PART_BYTES);
      const key = base64(`${this.#logKey(batch.batch)}${digits(part, PART_DIGITS)}`);
      const put = { request_put: { key, value } };
      if (at + PART_BYTES < bytes.length) await this.#transact([put], undefined);
      else operations.push(put);
    }
    await this.#put(seq, operations);
    this.#added(bytes.length);
  }

  /** Draws the slice that goes with `batch`, if it is time to draw. */
  #draw({ batch, records }: Batch): string[] {
    const isLarge = this.#bytes >= this.#minRewriteBytes;
    if (this.#next === undefined && isLarge && this.#bytes >= GROWTH * this.#aliveBytes) {
      invariant(this.#live !== undefined, 'commit without start');
      this.#next = { drawing: new Drawing(this.#live()), from: batch, bytes: 0 };
    }
    if (this.#next === undefined) return [];
    // Longer than the batch, so that the drawing ends also if it comes to what begins meanwhile.
    let length = this.#sliceLength;
    for (const record of records) length += record.length;
    return this.#next.drawing.slice(length);
  }

  /** A batch of that many bytes is stored. */
  #added(bytes: number): void {
    this.#bytes += bytes;
    const next = this.#next;
    if (next === undefined) return;
    next.bytes += bytes;
    if (!next.drawing.isComplete) return;
    this.#bytes = next.bytes;
    this.#aliveBytes = next.drawing.length;
    this.#next = undefined;
  }

  /** Stores a batch, or its last part: `operations`, and its `seq`. */
  async #put(seq: Seq, operations: readonly object[]): Promise<void> {
    const value = base64(encodeSeq(seq));
    const put = { request_put: { key: this.#key('seq'), value } };
    await this.#transact([put, ...operations], value);
    this.#seq = seq;
    this.#stored = value;
  }

  /**
   * Carries out `operations` under the guard.
   *
   * @param value that they put into `seq`, if they do
   */
  async #transact(operations: readonly object[], value: string | undefined): Promise<void> {
    const key = this.#key('owner');
    const seq = this.#key('seq');
    const answer = await this.#call('/v3/kv/txn', {
      compare: [
        { key, target: 'CREATE', create_revision: this.#createRevision },
        this.#stored === ''
          ? { key: seq, target: 'CREATE', create_revision: '0' }
          : { key: seq, target: 'VALUE', value: this.#stored },
      ],
      success: operations,
      failure: [{ request_range: { key } }, { request_range: { key: seq } }],
    });
    if (answer.succeeded === true) return;
    const [ownerNow, seqNow] = rangesOf(answer);
    if (int64(ownerNow?.create_revision) !== this.#createRevision) {
      throw new NotOwnerError('this server does not own its locks in etcd any more');
    }
    if (value !== undefined && seqNow?.value === value) return;
    throw this.#broken(`${this.#prefix}seq was changed by another program`);
  }

  /** Sends a request until it is answered, or the store is closed. */
  async #call(path: string, body: object, tryMs?: number): Promise<JsonObject> {
    for (;;) {
      if (this.#isClosed) throw new StoreError('the store in etcd is closed');
      const proved = this.#claim.sending();
      try {
        const answer = await this.#gateway.call(path, body, tryMs);
        if (answer.succeeded === true) proved();
        return answer;
      } catch (error) {
        if (!(error instanceof EtcdError)) throw error;
        if (error.failure === 'refused') throw new StoreError(error.message);
        if (this.#isOverdue())
          throw new StoreError(`gave up to store the last changes: ${error.message}`);
        this.#trouble(error);
        await this.#pause(error.failure === 'full' ? FULL_PAUSE_MS : PAUSE_MS);
      }
    }
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => void this.#clock.setTimer(ms, resolve));
  }

  #isOverdue(): boolean {
    const since = this.#frozenAtMs;
    return since !== undefined && this.#clock.now() - since > this.#stopMs;
  }

  freeze(): void {
    this.#frozenAtMs ??= this.#clock.now();
    this.#claim.stopWaiting();
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#claim.release();
  }

  #key(name: 'owner' | 'seq'): string {
    return base64(`${this.#prefix}${name}`);
  }

  #logKey(batch: number): string {
    return `${this.#prefix}log/${digits(batch, BATCH_DIGITS)}/`;
  }

  #deletion(begin: string, end: string): object {
    return { request_delete_range: { key: base64(begin), range_end: base64(end) } };
  }
}

const BATCH_DIGITS = 16;
const PART_DIGITS = 6;

/** As many digits for all numbers: then keys are in order. */
function digits(value: number, count: number): string {
  return String(value).padStart(count, '0');
}

/** The key-value pair in each range of a transaction's answer; undefined if there is none. */
function rangesOf({ responses }: JsonObject): (JsonObject | undefined)[] {
  if (!Array.isArray(responses)) return [];
  return responses.map((response: unknown) => {
    const range = isObject(response) ? response.response_range : undefined;
    return isObject(range) ? keyValues(range)[0] : undefined;
  });
}
