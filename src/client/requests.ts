/** Requests on one connection, from their sending to the end of their answer. */
import type { Moment } from './belief.ts';
import { ProtocolError } from './errors.ts';
import type { Reply } from './replies.ts';

export interface Request {
  readonly ref: number;
  readonly action: string;
  /** What is to be sent, now. */
  message(): object;
  /** A message of its answer. Whether there will be more, or why that was none. */
  answered(reply: Reply): 'done' | 'more' | ProtocolError;
}

interface Sent {
  readonly request: Request;
  readonly sentAt: Moment;
}

/**
 * The server answers in the order in which it is asked, so every answer belongs to the oldest request
 * without one; what carries another ref was not asked for, or is a breach.
 */
export class Unanswered {
  #queue: Sent[] = [];

  get size(): number {
    return this.#queue.length;
  }

  /** When the oldest of them was sent. */
  get oldestAt(): Moment | undefined {
    return this.#queue[0]?.sentAt;
  }

  add(request: Request, sentAt: Moment): void {
    this.#queue.push({ request, sentAt });
  }

  /**
   * Hands `reply` to the request that it answers.
   *
   * @returns when that was sent; undefined if it answers none
   */
  answer(reply: Reply, confirm: (sentAt: Moment) => void): 'answer' | 'none' | ProtocolError {
    const head = this.#queue[0];
    if (head === undefined || head.request.ref !== reply.ref) return 'none';
    if (head.request.action !== reply.action) {
      return new ProtocolError(
        `the server answered ${head.request.action} with ${reply.action ?? 'a message without an action'}`,
      );
    }
    // First this, for what the answer says is believed by it.
    confirm(head.sentAt);
    // Now, for an answer can lead to requests.
    this.#queue.shift();
    const result = head.request.answered(reply);
    if (result === 'more') this.#queue.unshift(head);
    return result instanceof ProtocolError ? result : 'answer';
  }

  /** The connection is gone, and their answers with it. */
  clear(): void {
    this.#queue = [];
  }
}
