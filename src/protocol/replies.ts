/**
 * Replies of the session protocol as JSON text. They are put together by hand in one order of
 * fields (action, ref, id, state), the order in which a person reads them.
 */
import type { Ref } from '../session/lock-record.ts';
import type { RequestError } from './errors.ts';
import { idText } from './ids.ts';
import type { Action } from './requests.ts';

/** What becomes of a lock, as it is told: `released` answers a release, the others a lock. */
export type ReplyState = 'enqueued' | 'acquired' | 'timeout' | 'expired' | 'evicted' | 'released';

/* Of a handful of pieces: each one more is one more object for every reply. */

const HEADS = { lock: '{"action":"lock",', release: '{"action":"release",' };
const HEADS_BEFORE_REF = { lock: `${HEADS.lock}"ref":`, release: `${HEADS.release}"ref":` };
const TAILS: Readonly<Record<ReplyState, string>> = {
  enqueued: '","state":"enqueued"}',
  acquired: '","state":"acquired"}',
  timeout: '","state":"timeout"}',
  expired: '","state":"expired"}',
  evicted: '","state":"evicted"}',
  released: '","state":"released"}',
};

export function stateReply(
  action: 'lock' | 'release',
  ref: Ref | undefined,
  id: number,
  state: ReplyState,
): string {
  if (ref === undefined) return `${HEADS[action]}"id":"${idText(id)}${TAILS[state]}`;
  const text = typeof ref === 'number' ? ref : JSON.stringify(ref);
  return `${HEADS_BEFORE_REF[action]}${text},"id":"${idText(id)}${TAILS[state]}`;
}

/** @param details more fields for the error, after its code and message */
export function errorReply(
  action: Action | undefined,
  ref: Ref | undefined,
  { code, message }: RequestError,
  details: object = {},
): string {
  const head = action === undefined ? '' : `"action":"${action}",`;
  return `{${head}${refField(ref)}"error":${JSON.stringify({ code, message, ...details })}}`;
}

/** The end of a lock request that had an id already. */
export function lockErrorReply(ref: Ref | undefined, id: number, error: RequestError): string {
  const { code, message } = error;
  const text = JSON.stringify({ code, message });
  return `{"action":"lock",${refField(ref)}"id":"${id}","error":${text}}`;
}

/** A reply that carries `fields` after the action and the ref. */
export function plainReply(action: Action, ref: Ref | undefined, fields: object): string {
  return JSON.stringify({ action, ref, ...fields });
}

function refField(ref: Ref | undefined): string {
  if (ref === undefined) return '';
  return `"ref":${typeof ref === 'number' ? ref : JSON.stringify(ref)},`;
}
