/** `extend`: sets anew when the hold of an acquired lock ends, or that it has no end. */
import type { Ref } from '../../session/lock-record.ts';
import { RequestError, serverFull } from '../errors.ts';
import { decodeMs } from '../fields.ts';
import { decodeId } from '../ids.ts';
import type { ActionDefinition } from '../requests.ts';
import { findLock } from './release.ts';

export interface ExtendRequest {
  readonly action: 'extend';
  readonly ref: Ref | undefined;
  /** May be left out if the session has only one lock. */
  readonly id: number | undefined;
  /** Milliseconds (>= 1) from now to the end of the hold; undefined for no end. */
  readonly holdMs: number | undefined;
}

export const extend: ActionDefinition<ExtendRequest> = {
  fields: ['id', 'holdMs'],
  decode(message, ref) {
    const id = decodeId(message.id, 'id');
    if (id instanceof RequestError) return id;
    // Left out by mistake, it must not become a hold without an end.
    const isMissing = message.holdMs === undefined;
    const holdMs = message.holdMs === null ? undefined : decodeMs(message.holdMs, 'holdMs', 1);
    if (isMissing || holdMs instanceof RequestError) {
      return new RequestError(
        'bad_request',
        'holdMs must be an integer of milliseconds, 1 or more, or null for no end',
      );
    }
    return { action: 'extend', ref, id, holdMs };
  },
  answer(context, request) {
    const { host, replies } = context;
    const { holdMs } = request;
    const session = context.session();
    const lock = findLock(session, request);
    if (lock instanceof RequestError) {
      replies.error(request, lock);
    } else if (lock.state !== 'acquired') {
      const message = `lock ${lock.id} is enqueued: extend it once it is acquired`;
      replies.error(request, new RequestError('not_acquired', message));
    } else if (session.extend(lock, holdMs)) {
      replies.fields(request, { id: String(lock.id), holdMs: holdMs ?? null });
    } else {
      replies.error(request, serverFull(host.limits));
    }
  },
  help: [
    {
      example: { action: 'extend', holdMs: 30_000 },
      does: 'the lock is held for that long from now; null: without an end',
    },
  ],
};
