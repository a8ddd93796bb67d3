/**
 * The beginning of a session on a connection: `hello`, its answer, and if the session is resumed the
 * list of its locks. Nothing of it is believed before all of it is there.
 */
import { MIN_ABANDON_TIMEOUT_MS, type Moment, momentOf } from './belief.ts';
import type { ClientClock } from './environment.ts';
import { type LocktopusError, ProtocolError, RefusedError } from './errors.ts';
import type { Link } from './link.ts';
import type { ClientOptions } from './options.ts';
import { decodeGreeting, type Greeting, outOfTurn, type Reply } from './replies.ts';

/**
 * The client promises to be heard at least so often, in milliseconds, or within its abandon timeout if
 * that is shorter: so that one that has vanished without a word is noticed. It pings more often.
 */
const MAX_HEARTBEAT_MS = 150_000;
/** The same where the abandon timeout is the server's to choose, and not known yet. */
const DEFAULT_HEARTBEAT_MS = 60_000;

/** What the server has said in the end. */
export interface Greeted {
  readonly greeting: Greeting;
  /** When `hello` was sent. */
  readonly sentAt: Moment;
  /** The locks of a session that goes on; undefined if it is a new one. */
  readonly list: readonly Reply[] | undefined;
}

export class Handshake {
  readonly #before: Greeting | undefined;
  readonly #ref: number;
  readonly #sentAt: Moment;
  #greeting: Greeting | undefined;
  readonly #list: Reply[] = [];

  /**
   * Says `hello`.
   *
   * @param before what the server said of the session that is to go on; undefined for a new one
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
    // Over WebSocket the opening of the connection has shown it.
    const token = link.address.kind === 'websocket' ? undefined : options.token;
    link.send({ action: 'hello', ref, token, ...settings(namespace, options, before) });
  }

  /** Takes what the server says; undefined as long as there is more to come. */
  take(reply: Reply): Greeted | LocktopusError | undefined {
    return this.#greeting === undefined ? this.#answered(reply) : this.#listed(reply);
  }

  #answered(reply: Reply): Greeted | LocktopusError | undefined {
    const { action, ref, error } = reply;
    if (error !== undefined) return new RefusedError(error.code, error.message);
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

  /** What stands against the session that the server tells of. */
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
