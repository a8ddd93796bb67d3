/** Which message answers which request: the server answers in order. */
import type { Question } from '../../client/calls.ts';
import { LocktopusError, ProtocolError, RefusedError } from '../../client/errors.ts';
import type { Fields, Reply } from '../../client/replies.ts';
import { parsed } from '../../operators/raw-messages.ts';

export interface QuestionHost {
  /** Whether there is a session to send to. */
  isReady(): boolean;
  /** Sends one message. */
  send(text: string): void;
  /** Whether a lock of this session has that id. */
  hasLock(id: string | undefined): boolean;
}

/** A request whose answer has not arrived, or not all of it. */
interface Pending {
  readonly action: string | undefined;
  readonly ref: unknown;
  /** Takes one message of the answer. Returns whether it was the last one. */
  take(reply: Reply, text: string): boolean;
  /** There will be no answer. */
  fail(error: LocktopusError): void;
}

/** Errors without an action that answer no request. */
const UNASKED: ReadonlySet<string> = new Set(['draining', 'silent', 'too_slow']);

/** Answers to these have several messages, of which the last says so. */
const LISTS: ReadonlySet<unknown> = new Set(['inspect', 'namespaces', 'help']);

export class Questions {
  readonly #host: QuestionHost;
  #pending: Pending[] = [];

  constructor(host: QuestionHost) {
    this.#host = host;
  }

  /**
   * Sends a request whose answer is one message.
   *
   * @param take is called with it; never if the connection breaks
   */
  send(fields: Fields, take: (reply: Reply) => void): void {
    const { action, ref } = fields;
    this.#push(JSON.stringify(fields), {
      ...{ action: String(action), ref, fail: () => {} },
      take(reply) {
        take(reply);
        return true;
      },
    });
  }

  /** Resolves with the answer, of one message. Rejects if the server refuses. */
  answer({ action, ...fields }: { readonly action: string } & Fields): Promise<Reply> {
    return this.ask({ action, fields, read: (reply) => ({ value: reply }) });
  }

  /** As `Calls.ask`, but not again if the connection breaks. */
  ask<T>({ action, fields, begin, read }: Question<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      begin?.();
      this.#push(JSON.stringify({ action, ...fields }), {
        ...{ action, ref: undefined, fail: reject },
        take(reply) {
          if (reply.error !== undefined) {
            reject(new RefusedError(reply.error.code, reply.error.message));
            return true;
          }
          const result = read(reply);
          if (result === 'more') return false;
          if (result instanceof ProtocolError) reject(result);
          else resolve(result.value);
          return true;
        },
      });
    });
  }

  /**
   * Sends a message as it was typed. Resolves with whether it succeeded.
   *
   * @param show is called with each message of the answer
   */
  json(text: string, show: (reply: Reply, text: string) => void): Promise<boolean> {
    const { action, ref } = parsed(text);
    return new Promise((resolve, reject) => {
      this.#push(text, {
        ...{ action: typeof action === 'string' ? action : undefined, ref, fail: reject },
        take(reply, answer) {
          show(reply, answer);
          const isRefused = reply.error !== undefined;
          const isLast = isRefused || reply.fields.end === true || !LISTS.has(action);
          if (isLast) resolve(!isRefused);
          return isLast;
        },
      });
    });
  }

  /** Hands a message to the request that it answers. Returns false if it answers none. */
  take(reply: Reply, text: string): boolean {
    const [head] = this.#pending;
    if (head === undefined || !this.#isAnswer(reply, head)) return false;
    if (head.take(reply, text)) this.#pending.shift();
    return true;
  }

  /** There will be no more answers to what was asked so far. */
  failAll(message: string): void {
    const pending = this.#pending;
    this.#pending = [];
    for (const { fail } of pending) fail(new LocktopusError('unreachable', message));
  }

  /** Throws if nothing can be sent at the moment. */
  checkReady(): void {
    if (!this.#host.isReady()) throw new LocktopusError('unreachable', 'not connected: try again');
  }

  #push(text: string, pending: Pending): void {
    this.checkReady();
    this.#pending.push(pending);
    this.#host.send(text);
  }

  #isAnswer({ action, id, error, fields }: Reply, head: Pending): boolean {
    if (action === undefined) return error !== undefined && !UNASKED.has(error.code);
    if (action !== head.action || fields.ref !== head.ref) return false;
    if (action === 'watch') return !('event' in fields || 'dropped' in fields);
    // Without a ref, news of a lock looks like the answer to another request.
    return action !== 'lock' || head.ref !== undefined || !this.#host.hasLock(id);
  }
}
