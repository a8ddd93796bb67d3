/** The client, as programs use it. */

import type { Environment } from './environment.ts';
import { ClientClosedError, LockTimeoutError, ProtocolError } from './errors.ts';
import type { ClientEvents, EventHandler } from './events.ts';
import { Emitter } from './events.ts';
import type { Exchange } from './exchange.ts';
import type { HeldLock } from './held-lock.ts';
import { Holding } from './held-lock.ts';
import {
  type InspectedLock,
  type InspectOptions,
  inspect,
  type ListedNamespace,
  namespaces,
  STATS,
  type Stats,
} from './inspect.ts';
import {
  type ClientOptions,
  checkClientOptions,
  checkLockOptions,
  checkText,
  type LockOptions,
  type LockTerms,
  type RequestOptions,
} from './options.ts';
import { Owners } from './owners.ts';
import { isCount } from './replies.ts';
import { checkPath, type Path, type Resources, toResources } from './resources.ts';
import { Session } from './session.ts';
import type { Target } from './url.ts';
import type { WatchEvent } from './watch.ts';

/** The lock or the session to evict. */
export type EvictTarget = { readonly id: string } | { readonly sessionId: string };

export interface WatchOptions extends RequestOptions {
  /** Only locks with a resource at or below this path. Default: all. */
  readonly path?: Path | undefined;
}

/** Resolves with a connected client. Rejects as `connect` does. */
export async function connectClient(
  environment: Environment,
  target: Target,
  options: ClientOptions,
): Promise<Client> {
  checkClientOptions(options);
  const events = new Emitter(options.onHandlerError ?? ((error) => environment.report(error)));
  const session = new Session(environment, target, options, events);
  const client = new Client(session, events, new Owners(environment.context));
  await session.start(options.signal);
  return client;
}

/**
 * One connection to a lock server, for all locks of a program. When it breaks, the client reconnects
 * and resumes its session; calls wait meanwhile.
 */
export class Client {
  readonly #session: Session;
  readonly #events: Emitter;
  readonly #owners: Owners;

  /** Internal: use `connect`. */
  constructor(session: Session, events: Emitter, owners: Owners) {
    this.#session = session;
    this.#events = events;
    this.#owners = owners;
  }

  /** The namespace of its locks. */
  get namespace(): string {
    return this.#session.greeting?.namespace ?? '';
  }

  /** The id of its session for administrators; it changes when a new session begins. Not a secret. */
  get sessionId(): string {
    return this.#session.greeting?.sessionId ?? '';
  }

  /**
   * The server that serves it, or has last, as that server calls itself; undefined if it shares its
   * locks with no other. Behind a proxy this is not where the client is connected to.
   */
  get server(): string | undefined {
    return this.#session.greeting?.server;
  }

  /** Whether it is connected at the moment. */
  get isConnected(): boolean {
    return this.#session.exchange.isReady;
  }

  /**
   * Acquires a lock on all of `resources` together, waiting if necessary.
   *
   * Rejects with a `LockTimeoutError` when `waitMs` has passed, an `UnreachableError` if no server could
   * be reached in that time, a `DeadlockError`, a `RefusedError`, a `ClientClosedError`, a TypeError if
   * an argument is invalid, or the reason of `signal`. Never throws synchronously.
   */
  async lock(resources: Resources, options: LockOptions = {}): Promise<HeldLock> {
    const owner = options.owner ?? this.#owners.current;
    return this.#session.lock(toTerms(resources, options, owner), options.signal);
  }

  /** Acquires a lock if it is free now, else resolves with null. Rejects as `lock` does. */
  async tryLock(
    resources: Resources,
    options: Omit<LockOptions, 'waitMs'> = {},
  ): Promise<HeldLock | null> {
    try {
      return await this.lock(resources, { ...options, waitMs: 0 });
    } catch (error) {
      if (error instanceof LockTimeoutError) return null;
      throw error;
    }
  }

  /**
   * Holds a lock while `work` runs and releases it afterwards, even if `work` throws. Resolves with the
   * result of `work`. Rejects as `lock` does, with what `work` throws, or with the `LockLostError` if the
   * lock was lost before `work` was done.
   */
  withLock<T>(resources: Resources, work: (lock: HeldLock) => T | PromiseLike<T>): Promise<T>;
  withLock<T>(
    resources: Resources,
    options: LockOptions,
    work: (lock: HeldLock) => T | PromiseLike<T>,
  ): Promise<T>;
  async withLock<T>(
    resources: Resources,
    ...rest:
      | [work: (lock: HeldLock) => T | PromiseLike<T>]
      | [options: LockOptions, work: (lock: HeldLock) => T | PromiseLike<T>]
  ): Promise<T> {
    const [options, work] = rest.length === 1 ? [{}, rest[0]] : rest;
    const frame = this.#owners.enter(options.owner);
    try {
      const terms = toTerms(resources, options, frame?.owner);
      const lock = await this.#session.lock(terms, options.signal);
      try {
        const result = await this.#owners.run(frame, () => work(lock));
        if (lock instanceof Holding && lock.lostBy !== undefined) throw lock.lostBy;
        return result;
      } finally {
        await lock.release();
      }
    } finally {
      frame?.leave();
    }
  }

  /**
   * The locks that are held or waited for, how long, and by which client, in order of arrival. Fetches
   * further pages as needed: `for await (const lock of client.inspect({ path: ['orders'] }))`.
   */
  inspect(options: InspectOptions = {}): AsyncIterableIterator<InspectedLock> {
    checkPath(options.path ?? []);
    checkText(options.id, 'id');
    return inspect(this.#open.calls, options);
  }

  /**
   * What happens to locks from now on, until the loop is left or `signal` aborts:
   * `for await (const event of client.watch({ path: ['orders'] }))`. Events missed by a slow reader or
   * while disconnected are reported as one `dropped` event.
   */
  watch(options: WatchOptions = {}): AsyncIterableIterator<WatchEvent> {
    const { path = [], signal } = options;
    checkPath(path);
    return this.#open.watches.watch(path, signal);
  }

  /**
   * The namespaces in use, by name, with the numbers of their sessions and locks. Fetches further pages
   * as needed: `for await (const { namespace } of client.namespaces())`.
   */
  namespaces(options: RequestOptions = {}): AsyncIterableIterator<ListedNamespace> {
    return namespaces(this.#open.calls, options);
  }

  /** Statistics of the namespace. */
  async stats(options: RequestOptions = {}): Promise<Stats> {
    return this.#open.calls.ask(STATS, options.signal);
  }

  /** Resolves with the round trip time to the server, in milliseconds. */
  async ping(options: RequestOptions = {}): Promise<number> {
    const { clock, calls } = this.#open;
    let sentMs = clock.now();
    return calls.ask(
      {
        action: 'ping',
        fields: {},
        begin: () => {
          sentMs = clock.now();
        },
        read: () => ({ value: clock.now() - sentMs }),
      },
      options.signal,
    );
  }

  /**
   * Takes away a lock, held or awaited, or ends a session with all its locks: for administrators, who
   * find the ids with `inspect`. Resolves with the number of locks evicted. A client that loses a lock
   * may not have heard of it yet when the next client acquires it.
   */
  async evict(target: EvictTarget, options: RequestOptions = {}): Promise<number> {
    const [name, value] = 'id' in target ? ['id', target.id] : ['sessionId', target.sessionId];
    checkText(value, name);
    return this.#open.calls.ask(
      {
        action: 'evict',
        fields: { [name]: value },
        read({ fields: { locks } }) {
          return isCount(locks)
            ? { value: locks }
            : new ProtocolError('the answer to evict lacks the number of locks');
        },
      },
      options.signal,
    );
  }

  /** Calls `handler` at each event of that name. An error it throws does not affect the client. */
  on<Name extends keyof ClientEvents>(name: Name, handler: EventHandler<Name>): this {
    this.#events.on(name, handler);
    return this;
  }

  off<Name extends keyof ClientEvents>(name: Name, handler: EventHandler<Name>): this {
    this.#events.off(name, handler);
    return this;
  }

  /**
   * Releases all locks and ends the session. Locks still held are lost; pending calls reject with a
   * `ClientClosedError`. Resolves when the server has confirmed, after 5 seconds at most; at
   * once while disconnected, and then the server keeps the locks for the abandon timeout. Never rejects.
   * Further calls return the same promise.
   */
  close(): Promise<void> {
    return this.#session.close();
  }

  /** `close`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  get #open(): Exchange {
    if (this.#session.isClosed) throw new ClientClosedError();
    return this.#session.exchange;
  }
}

function toTerms(resources: Resources, options: LockOptions, owner: string | undefined): LockTerms {
  checkLockOptions(options);
  const { waitMs, holdMs, label } = options;
  return { resources: toResources(resources), waitMs, holdMs, owner, label };
}
