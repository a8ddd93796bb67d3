/**
 * What is said to a client in the session protocol: messages are put together here, in one order of
 * fields (action, ref, id, state), the order in which a person reads them; errors are counted.
 */
import { toByteString } from '../runtime/byte-string.ts';
import type { Counters } from '../session/counters.ts';
import type { Ref, SessionLock } from '../session/lock-record.ts';
import type { Path, Resource } from '../table/resource.ts';
import type { Channel } from './channel.ts';
import type { RequestError } from './errors.ts';
import { idText } from './ids.ts';

/** What becomes of a lock, as its client is told: `released` answers a release, the others a lock. */
export type ReplyState = 'enqueued' | 'acquired' | 'timeout' | 'expired' | 'evicted' | 'released';

/** What is at the top of every request, and echoed by every reply to it. */
export interface Envelope {
  readonly action: string;
  readonly ref: Ref | undefined;
}

/** As much as could be read of a request that is refused. */
export type PartialEnvelope = { readonly [K in keyof Envelope]: Envelope[K] | undefined };

export class ReplyWriter {
  readonly #channel: Channel;
  readonly #counters: Counters;

  constructor(channel: Channel, counters: Counters) {
    this.#channel = channel;
    this.#counters = counters;
  }

  /** Answers `request`, which is about the lock with that id. */
  state({ action, ref }: Envelope, id: number, state: ReplyState): void {
    // One that is enqueued may soon be acquired, and then one write does for both.
    this.#channel.reply(stateMessage(action, ref, id, state), state === 'enqueued');
  }

  /** Answers `request` with how `lock`, which is not released, stands. */
  lock(lock: SessionLock): void {
    const state = lock.state === 'acquired' ? 'acquired' : 'enqueued';
    const message = stateMessage('lock', lock.context.ref, lock.id, state);
    this.#channel.reply(message, state === 'enqueued');
  }

  /** `lock` has changed without being asked for. */
  lockChanged(lock: SessionLock, state: 'acquired' | 'timeout' | 'expired' | 'evicted'): void {
    this.#channel.notify(stateMessage('lock', lock.context.ref, lock.id, state));
  }

  /** `lock`, which was waiting, has come to an end by an error. */
  lockError(lock: SessionLock, error: RequestError): void {
    this.#counters.countError(error.code);
    const { code, message } = error;
    const text = JSON.stringify({ code, message });
    this.#channel.notify(
      toByteString(
        `{"action":"lock",${refField(lock.context.ref)}"id":"${lock.id}","error":${text}}`,
      ),
    );
  }

  /** Answers `request` with `fields` after its action and ref. */
  fields({ action, ref }: Envelope, fields: object): void {
    this.#channel.reply(toByteString(JSON.stringify({ action, ref, ...fields })));
  }

  /**
   * Answers `request`.
   *
   * @param details more fields for the error, after its code and message
   */
  error(request: PartialEnvelope, error: RequestError, details?: object): void {
    this.#counters.countError(error.code);
    this.#channel.reply(errorMessage(error, request, details));
  }

  /** Says `error` without having been asked. */
  notifyError(error: RequestError): void {
    this.#counters.countError(error.code);
    this.#channel.notify(errorMessage(error));
  }
}

const NO_REQUEST: PartialEnvelope = { action: undefined, ref: undefined };

/** An error as a message: a byte string. Also what a connection hears that has no conversation yet. */
export function errorMessage(
  { code, message }: RequestError,
  { action, ref }: PartialEnvelope = NO_REQUEST,
  details: object = {},
): string {
  const head = action === undefined ? '' : `"action":"${action}",`;
  const error = JSON.stringify({ code, message, ...details });
  return toByteString(`{${head}${refField(ref)}"error":${error}}`);
}

function stateMessage(action: string, ref: Ref | undefined, id: number, state: ReplyState): string {
  const text = `{"action":"${action}",${refField(ref)}"id":"${idText(id)}","state":"${state}"}`;
  // Nothing in it but the ref comes from outside.
  return typeof ref === 'string' ? toByteString(text) : text;
}

function refField(ref: Ref | undefined): string {
  if (ref === undefined) return '';
  return `"ref":${typeof ref === 'number' ? ref : JSON.stringify(ref)},`;
}

/* What people are told of a lock, by `inspect`, by `watch` and of a deadlock, in the same words. */

/** Of the resources or the waits of a lock, or the links of a deadlock, so many are spelled out. */
const MAX_LISTED = 10;
/**
 * A list ends after so many characters of paths, however few items it has by then: a path may have a
 * hundred thousand, and those who ask need not have sent it.
 */
const MAX_LISTED_CHARACTERS = 4096;

/** The first of `items`, one at least, and whether there are more. */
export function firstOf<T extends { readonly path: Path }>(
  items: Iterable<T>,
): { readonly listed: T[]; readonly hasMore: boolean } {
  const listed: T[] = [];
  let characters = 0;
  for (const item of items) {
    if (listed.length === MAX_LISTED || characters > MAX_LISTED_CHARACTERS) {
      return { listed, hasMore: true };
    }
    listed.push(item);
    for (const segment of item.path) characters += segment.length;
  }
  return { listed, hasMore: false };
}

/** The first of the resources, and how many more there are. */
export function resourceFields(resources: readonly Resource[]): object {
  const { listed } = firstOf(resources);
  const more = resources.length - listed.length;
  return { resources: listed, moreResources: more > 0 ? more : undefined };
}

/** The words that clients gave for the session, the lock and its owner. */
export function wordFields({ context: { session, terms } }: SessionLock): object {
  return { session: session.label, label: terms.label, owner: terms.owner };
}
