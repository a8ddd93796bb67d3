/**
 * What a conversation of the session protocol says to its client: replies are put together, refusals
 * counted, and sent.
 */
import type { Counters } from '../session/counters.ts';
import type { Ref, SessionLock } from '../session/lock-record.ts';
import type { Channel } from './channel.ts';
import type { RequestError } from './errors.ts';
import { errorReply, lockErrorReply, plainReply, type ReplyState, stateReply } from './replies.ts';
import type { Action } from './requests.ts';

export class Answers {
  readonly #channel: Channel;
  readonly #counters: Counters;

  constructor(channel: Channel, counters: Counters) {
    this.#channel = channel;
    this.#counters = counters;
  }

  /** What has become of `lock`. */
  lock(lock: SessionLock, state: Exclude<ReplyState, 'released'>): void {
    this.state('lock', lock.context.terms.ref, lock.id, state);
  }

  state(action: 'lock' | 'release', ref: Ref | undefined, id: number, state: ReplyState): void {
    const reply = stateReply(action, ref, id, state);
    // Soon it may be acquired, and then one write does for both.
    const mayWait = state === 'enqueued';
    // Nothing in it but the ref comes from outside.
    if (typeof ref === 'string') this.#channel.send(reply, mayWait);
    else this.#channel.sendAscii(reply, mayWait);
  }

  fields(action: Action, ref: Ref | undefined, fields: object): void {
    this.#channel.send(plainReply(action, ref, fields));
  }

  /** @param details more fields for the error, after its code and message */
  error(
    action: Action | undefined,
    ref: Ref | undefined,
    error: RequestError,
    details?: object,
  ): void {
    this.#counters.countError(error.code);
    this.#channel.send(errorReply(action, ref, error, details));
  }

  /** `lock`, which was waiting, has come to an end by an error. */
  lockError(lock: SessionLock, error: RequestError): void {
    this.#counters.countError(error.code);
    this.#channel.send(lockErrorReply(lock.context.terms.ref, lock.id, error));
  }
}
