/**
 * The handshake on a connection: `hello`, its answer, and if a session is resumed, the list of its
 * locks. Nothing takes effect before all of it has arrived.
 */

import type { ClientClock } from './environment.ts';
import { type LocktopusError, ProtocolError, RefusedError } from './errors.ts';
import type { Link } from './link.ts';
import type { ClientOptions } from './options.ts';
import { decodeGreeting, type Greeting, outOfTurn, type Reply } from './replies.ts';
import { MIN_ABANDON_TIMEOUT_MS, type Moment, momentOf } from './trust.ts';

/**
 * The heartbeat that the client promises, in milliseconds, or its abandon timeout if that is shorter:
 * the server notices a client that has vanished. It pings more often.
 */
const MAX_HEARTBEAT_MS = 150_000;
/** The same if the server chooses the abandon timeout, which is not known yet. */
const DEFAULT_HEARTBEAT_MS = 60_000;

/** The result of a handshake. */
export interface Greeted {
  readonly greeting: Greeting;
  /** When `hello` was sent. */
  readonly sentAt: Moment;
  /** The locks of a resumed session; undefined for a new one. */
  readonly list: readonly Reply[] | undefined;
}

export class Handshake {
  readonly #before: Greeting | undefined;
  readonly #ref: number;
  readonly #sentAt: Moment;
  #greeting: Greeting | undefined;
  readonly #list: Reply[] = [];

  /**
   * Sends `hello`.
   *
   * @param before the greeting of the session to resume; undefined for a new one
   */
  constructor(
    link: Link,
    clock: ClientClock,
    ref: number,
    namespace: string | undefined,
    options: ClientOptions,
    before: Greeting | undefined,
  ) {
    this.#before = before;
    this.#ref = ref;
    this.#sentAt = momentOf(clock);
    // Over WebSocket the token went with the upgrade request.
    const token = link.address.kind === 'websocket' ? undefined : options.token;
    link.send({ action: 'hello', ref, token, ...settings(namespace, options, before) });
  }

  /** Takes one message. Undefined as long as more must follow. */
  take(reply: Reply): Greeted | LocktopusError | undefined {
    return this.#greeting === undefined ? this.#answered(reply) : this.#listed(reply);
  }

  #answered(reply: Reply): Greeted | LocktopusError | undefined {
    const { action, ref, error } = reply;
    if (error !== undefined) return new RefusedError(error.code, error.message, error.owner);
    if (action !== 'hello' || ref !== this.#ref) return outOfTurn(reply);
    const greeting = decodeGreeting(reply);
    if (greeting instanceof ProtocolError) return greeting;
    const breach = this.#judge(greeting);
    if (breach !== undefined) return breach;
    this.#greeting = greeting;
    return this.#complete(greeting);
  }

  #listed(reply: Reply): Greeted | LocktopusError | undefined {
    const { action, ref, id, state } = reply;
    const isLock = action === 'lock' && ref !== undefined && id !== undefined;
    if (!isLock || (state !== 'acquired' && state !== 'enqueued')) return outOfTurn(reply);
    this.#list.push(reply);
    return this.#greeting === undefined ? undefined : this.#complete(this.#greeting);
  }

  #complete(greeting: Greeting): Greeted | undefined {
    const sentAt = this.#sentAt;
    if (greeting.resumedLocks === undefined) return { greeting, sentAt, list: undefined };
    const isComplete = this.#list.length === greeting.resumedLocks;
    return isComplete ? { greeting, sentAt, list: this.#list } : undefined;
  }

  /** Why the session in the greeting can't be used, if so. */
  #judge({ resumedLocks, session, abandonTimeoutMs }: Greeting): LocktopusError | undefined {
    const before = this.#before;
    if ((resumedLocks !== undefined) !== (before !== undefined)) {
      return new ProtocolError(
        'the server resumed a session without being asked, or began one instead of resuming',
      );
    }
    if (before !== undefined && before.session !== session) {
      return new ProtocolError('the server resumed a different session');
    }
    if (abandonTimeoutMs >= MIN_ABANDON_TIMEOUT_MS) return undefined;
    return new RefusedError(
      'bad_request',
      `the server's abandon timeout of ${abandonTimeoutMs} ms is too short to rely on a lock: set abandonTimeoutMs to at least ${MIN_ABANDON_TIMEOUT_MS}`,
    );
  }
}

function settings(
  namespace: string | undefined,
  options: ClientOptions,
  before: Greeting | undefined,
): object {
  const abandonTimeoutMs = before?.abandonTimeoutMs ?? options.abandonTimeoutMs;
  const heartbeatMs =
    abandonTimeoutMs === undefined
      ? DEFAULT_HEARTBEAT_MS
      : Math.min(abandonTimeoutMs, MAX_HEARTBEAT_MS);
  if (before !== undefined) return { heartbeatMs, session: before.session };
  return { heartbeatMs, namespace, abandonTimeoutMs, label: options.label };
}
