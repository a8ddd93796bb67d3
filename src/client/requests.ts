/** What a request is, the release of a lock, and the unanswered requests of one connection. */

import { ProtocolError } from './errors.ts';
import { type MessageLimits, outOfTurn, type Reply } from './replies.ts';
import type { Moment } from './trust.ts';

export interface Request {
  readonly ref: number;
  readonly action: string;
  /** The message to send, made when it is sent. */
  message(): object;
  /** Takes one message of its answer. Returns whether more follow, or why it is invalid. */
  answered(reply: Reply): 'done' | 'more' | ProtocolError;
}

/** @param done is called when the server no longer has the lock */
export function releaseRequest(ref: number, id: string, done: () => void): Request {
  return {
    ref,
    action: 'release',
    message: () => ({ action: 'release', ref, id }),
    answered: (reply) => {
      const isReleased = reply.state === 'released' && reply.id === id;
      if (!isReleased && reply.error?.code !== 'no_such_lock') return outOfTurn(reply);
      done();
      return 'done';
    },
  };
}

/**
 * The answer to a request that the server would not read: it would end the connection, or answer without
 * the ref, and the request would be sent again on each connection that follows.
 *
 * @param message of the request
 * @param text the same as it would be sent
 * @returns undefined if the server reads it
 */
export function answerIfTooLarge(
  request: Request,
  { resources }: { readonly resources?: unknown },
  text: string,
  { maxMessageBytes, maxResourcesPerLock }: MessageLimits,
): Reply | undefined {
  if (Array.isArray(resources) && resources.length > maxResourcesPerLock) {
    const why = `the lock has ${resources.length} resources; the server allows ${maxResourcesPerLock}`;
    return refusal(request, 'too_many_resources', why);
  }
  // A UTF-16 code unit takes at most three bytes.
  if (text.length * 3 <= maxMessageBytes) return undefined;
  const { length } = new TextEncoder().encode(text);
  if (length <= maxMessageBytes) return undefined;
  const why = `the request has ${length} bytes; the server reads ${maxMessageBytes} at most`;
  return refusal(request, 'message_too_long', why);
}

function refusal({ action, ref }: Request, code: string, message: string): Reply {
  const error = { code, message, cycle: [], cycleMore: 0, owner: undefined };
  return { action, ref, id: undefined, state: undefined, error, fields: {} };
}

interface Sent {
  readonly request: Request;
  readonly sentAt: Moment;
}

/**
 * The server answers requests in order, so an answer belongs to the oldest unanswered request. A message
 * with another ref is unsolicited, or a breach of the protocol.
 */
export class Unanswered {
  #queue: Sent[] = [];

  /** When the oldest was sent. */
  get oldestAt(): Moment | undefined {
    return this.#queue[0]?.sentAt;
  }

  add(request: Request, sentAt: Moment): void {
    this.#queue.push({ request, sentAt });
  }

  /**
   * Hands `reply` to the request that it answers.
   *
   * @param confirm is called with when that request was sent, before the request takes the reply
   */
  answer(reply: Reply, confirm: (sentAt: Moment) => void): 'answer' | 'none' | ProtocolError {
    const head = this.#queue[0];
    if (head === undefined || head.request.ref !== reply.ref) return 'none';
    if (head.request.action !== reply.action) {
      return new ProtocolError(
        `the server answered ${head.request.action} with ${reply.action ?? 'a message without an action'}`,
      );
    }
    // First, since a grant in the answer relies on it.
    confirm(head.sentAt);
    // Before `answered`, which can send requests.
    this.#queue.shift();
    const result = head.request.answered(reply);
    if (result === 'more') this.#queue.unshift(head);
    return result instanceof ProtocolError ? result : 'answer';
  }

  /** The connection has ended: there will be no answers. */
  clear(): void {
    this.#queue = [];
  }
}
