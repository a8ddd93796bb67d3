/**
 * The contract of a store: it keeps the live sessions and locks outside the process. The table's
 * state is a function of the live locks in order of arrival, so a store keeps that set and nothing
 * else: a record is put when a lock arrives and deleted when it ends.
 */
import type { StoredLock, StoredSession } from '../session/stored.ts';

/** How far a server has come; part of every batch. */
export interface Position {
  /** The number of the batch: 1, 2, ..., over all servers that have used the store. */
  readonly batch: number;
  /** No lock id above this one has been given out. */
  readonly lockIds: number;
  /** No session id above this one has been given out. */
  readonly sessionIds: number;
  /** The server's clock: whole milliseconds. It stands still while no server runs. */
  readonly clockMs: number;
}

/** The position alone, of what has more than that. */
export function positionOf({ batch, lockIds, sessionIds, clockMs }: Position): Position {
  return { batch, lockIds, sessionIds, clockMs };
}

/** Changes that are stored together or not at all. */
export interface Batch extends Position {
  /** Changes as text, in order: see record.ts. */
  readonly records: readonly string[];
}

/** What a store holds. */
export interface Loaded {
  /** All zero in a new store. */
  readonly position: Position;
  readonly sessions: readonly StoredSession[];
  /** In order of arrival; the session of each is among `sessions`. */
  readonly locks: readonly StoredLock[];
}

/**
 * Puts of all that is live, a session before its locks. What begins or ends during the iteration
 * may be in it or not.
 */
export type LiveRecords = () => IterableIterator<string>;

/**
 * Methods are called in the order load, start, commit..., close; each after the one before. Only
 * `freeze` may be called at any time.
 */
export interface Store {
  /**
   * Takes possession of the store and reads it. Rejects with a `StoreError` if another process has
   * it, or if what it holds can't be trusted; nothing in it is changed then.
   *
   * @param failed called at most once, between `start` and `close`, if the store notices outside a
   *   commit that it can't be used any more: as after the failure of a commit, only `close` is
   *   allowed
   */
  load(failed?: (error: StoreError) => void): Promise<Loaded>;
  /**
   * Makes the store ready for commits. Sessions and locks may end meanwhile, but none begins.
   *
   * @param position with the number after the last stored one
   * @param live what is live now. The store may call it again during any `commit`, in which it
   *   draws from the iterator only synchronously, before `commit` returns its promise: then what it
   *   draws agrees with the batch and all before it.
   */
  start(position: Position, live: LiveRecords): Promise<void>;
  /**
   * Stores `batch`: when the promise resolves, a crash of process or machine no longer loses it. A
   * rejection, with a `StoreError`, is final: it is unknown whether the batch is stored, and no
   * further call is allowed but `close`.
   */
  commit(batch: Batch): Promise<void>;
  /**
   * Nothing is drawn from what is live any more, but for `start`, and it is no reason to write the
   * store anew: sessions and locks are about to end, and stay stored. A `load` that waits for its
   * turn rejects.
   */
  freeze(): void;
  /** Gives the store up. Never rejects. */
  close(): Promise<void>;
  /** Bytes that the store occupies, if it knows. */
  readonly bytes: number | undefined;
}

/** Why a store can't be used; the message says what to do. */
export class StoreError extends Error {
  override readonly name = 'StoreError';
}
