/** The value of the key `seq` in etcd: how far the log is written, and where it begins. */
import { isInteger, isObject } from '../runtime/unknown.ts';
import { type Position, StoreError } from './store.ts';

const VERSION = 1;

/** The value of `seq`. */
export interface Seq extends Position {
  /** The first batch of the log. */
  readonly from: number;
  /** The batches from `from` up to this one have all that was alive; 0 if the log began empty. */
  readonly drawn: number;
}

export const NEW_SEQ: Seq = { batch: 0, lockIds: 0, sessionIds: 0, clockMs: 0, from: 1, drawn: 0 };

export function encodeSeq(seq: Seq): string {
  return JSON.stringify({ version: VERSION, ...seq });
}

/**
 * @param text the value
 * @param key the name of the key, for errors
 * @throws StoreError if this server can't rely on it
 */
export function decodeSeq(text: string, key: string): Seq {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = undefined;
  }
  if (!isObject(value)) throw new StoreError(`${key} in etcd was not written by Locktopus`);
  const { version, batch, lockIds, sessionIds, clockMs, from, drawn } = value;
  if (version !== VERSION) {
    throw new StoreError(
      `${key} in etcd has version ${JSON.stringify(version)}, but this server can read only version ${VERSION}: start the server that wrote it, or choose another --etcd-prefix`,
    );
  }
  if (
    !isInteger(batch, 1) ||
    !isInteger(lockIds, 0) ||
    !isInteger(sessionIds, 0) ||
    !isInteger(clockMs, 0) ||
    !isInteger(from, 1) ||
    !isInteger(drawn, 0)
  ) {
    throw new StoreError(`${key} in etcd is broken: restore it from a snapshot of etcd`);
  }
  return { batch, lockIds, sessionIds, clockMs, from, drawn };
}
