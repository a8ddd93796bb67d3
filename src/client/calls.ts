/**
 * Requests that leave nothing behind but their answer: `inspect`, `namespaces`, `stats`, `ping`, `evict`.
 * One that is unanswered when the connection breaks is sent again on the next.
 */
import type { ProtocolError } from './errors.ts';
import { RefusedError } from './errors.ts';
import type { Reply } from './replies.ts';
import type { Request } from './requests.ts';

export interface Question<T> {
  readonly action: string;
  readonly fields: object;
  /** Called when the question is sent, perhaps again: drops what was received before. */
  begin?(): void;
  /** Takes one message of the answer. Returns the result, or that more messages follow. */
  read(reply: Reply): { readonly value: T } | 'more' | ProtocolError;
}

export interface CallHost {
  readonly isReady: boolean;
  nextRef(): number;
  send(request: Request): void;
  /** The number of unanswered calls has changed. */
  changed(): void;
}

export class Calls {
  readonly #host: CallHost;
  readonly #calls = new Set<{ readonly request: Request; fail(reason: unknown): void }>();

  constructor(host: CallHost) {
    this.#host = host;
  }

  get isBusy(): boolean {
    return this.#calls.size > 0;
  }

  /** Rejects with a `RefusedError`, or with the reason of `signal`. */
  ask<T>(question: Question<T>, signal: AbortSignal | undefined): Promise<T> {
    if (signal?.aborted) return Promise.reject(signal.reason);
    return new Promise((resolve, reject) => {
      const ref = this.#host.nextRef();
      const { action, fields } = question;
      const end = (): void => {
        signal?.removeEventListener('abort', abort);
        this.#calls.delete(call);
        this.#host.changed();
      };
      const fail = (reason: unknown): void => {
        end();
        reject(reason);
      };
      const abort = (): void => fail(signal?.reason);
      const answered = (reply: Reply): 'done' | 'more' | ProtocolError => {
        if (reply.error !== undefined) {
          fail(new RefusedError(reply.error.code, reply.error.message));
          return 'done';
        }
        const read = question.read(reply);
        if (read === 'more' || read instanceof Error) return read;
        end();
        resolve(read.value);
        return 'done';
      };
      const message = (): object => {
        question.begin?.();
        return { action, ref, ...fields };
      };
      const call = { request: { ref, action, message, answered }, fail };
      this.#calls.add(call);
      signal?.addEventListener('abort', abort, { once: true });
      this.#host.changed();
      if (this.#host.isReady) this.#host.send(call.request);
    });
  }

  /** Sends all unanswered calls. */
  sendAll(): void {
    for (const { request } of [...this.#calls]) this.#host.send(request);
  }

  refuseAll(error: Error): void {
    for (const call of [...this.#calls]) call.fail(error);
  }
}
