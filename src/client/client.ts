/** The client: what a program says and is told. */

import type { Environment } from './environment.ts';
import { ClientClosedError, LockTimeoutError, ProtocolError } from './errors.ts';
import type { ClientEvents, EventHandler } from './events.ts';
import { Emitter } from './events.ts';
import type { HeldLock } from './held-lock.ts';
import { Holding } from './held-lock.ts';
import { type InspectedLock, type InspectOptions, inspect, STATS, type Stats } from './inspect.ts';
import type { LockTerms } from './lock-entry.ts';
import {
  type ClientOptions,
  checkClientOptions,
  checkLockOptions,
  type LockOptions,
  type RequestOptions,
} from './options.ts';
import { Owners } from './owners.ts';
import { isCount } from './replies.ts';
import { type Path, type Resources, toResources } from './resources.ts';
import { Session } from './session.ts';
import type { Target } from './url.ts';
import type { WatchEvent } from './watch.ts';

/** Which lock or which session is to be taken away. */
export type EvictTarget = { readonly id: string } | { readonly sessionId: string };

export interface WatchOptions extends RequestOptions {
  /** Locks that name something at or below this path. Default: all. */
  readonly path?: Path | undefined;
}

/** A client that is connected: see `Client`. Rejects as `connect` does. */
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
 * One connection to a lock server, for all locks of a program. When it breaks, the client finds the
 * server again and goes on with its session; calls wait meanwhile.
 */
export class Client {
  readonly #session: Session;
  readonly #events: Emitter;
  readonly #owners: Owners;

  /** Not for callers: `connect` makes clients. */
  constructor(session: Session, events: Emitter, owners: Owners) {
    this.#session = session;
    this.#events = events;
    this.#owners = owners;
  }

  /** The namespace that its locks are in. */
  get namespace(): string {
    return this.#session.greeting?.namespace ?? '';
  }

  /** The id by which administrators know its session; another one after that was lost. No secret. */
  get sessionId(): string {
    return this.#session.greeting?.sessionId ?? '';
  }

  /** Whether there is a connection at the moment. */
  get isConnected(): boolean {
    return this.#session.isReady;
  }

  /**
   * Acquires a lock on all of `resources` together, and waits for it if need be.
   *
   * Rejects with a `LockTimeoutError` when `waitMs` is over, a `DeadlockError`, a `RefusedError`,
   * an `UnreachableError` when `waitMs` is over with no server in reach, a `ClientClosedError`, or the
   * reason of `signal`. Throws nothing.
   */
  async lock(resources: Resources, options: LockOptions = {}): Promise<HeldLock> {
    const owner = options.owner ?? this.#owners.current;
    return this.#session.lock(toTerms(resources, options, owner), options.signal);
  }

  /** Acquires a lock if it is free now; null if it is not. Rejects as `lock` does. */
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
   * Holds a lock while `work` runs, and releases it then, however it ends. Resolves with what `work`
   * resolves with. Rejects as `lock` does, with what `work` throws, or with the `LockLostError` if the
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
   * Who holds and who waits, since when, and behind whom, in order of arrival. Asks for the next page
   * by itself: `for await (const lock of client.inspect({ path: ['orders'] }))`.
   */
  inspect(options: InspectOptions = {}): AsyncIterableIterator<InspectedLock> {
    return inspect(this.#open.calls, options);
  }

  /**
   * What happens to locks from now on, until the loop is left or `signal` aborts:
   * `for await (const event of client.watch({ path: ['orders'] }))`. Events that were missed, by a
   * slow reader or while the connection was away, are told as `dropped`.
   */
  watch(options: WatchOptions = {}): AsyncIterableIterator<WatchEvent> {
    return this.#open.watches.watch(options.path ?? [], options.signal);
  }

  /** Numbers of the namespace. */
  async stats(options: RequestOptions = {}): Promise<Stats> {
    return this.#open.calls.ask(STATS, options.signal);
  }

  /** Asks for an answer; resolves with the milliseconds that it took. */
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
   * find the ids by `inspect`. Resolves with the number of locks that go. Who loses one may not have
   * heard of it yet when the next one acquires it.
   */
  async evict(target: EvictTarget, options: RequestOptions = {}): Promise<number> {
    return this.#open.calls.ask(
      {
        action: 'evict',
        fields: 'id' in target ? { id: target.id } : { sessionId: target.sessionId },
        read({ fields: { locks } }) {
          return isCount(locks)
            ? { value: locks }
            : new ProtocolError('the answer to evict lacks the number of locks');
        },
      },
      options.signal,
    );
  }

  /** Calls `handler` at each event of that name. What it throws does not disturb the client. */
  on<Name extends keyof ClientEvents>(name: Name, handler: EventHandler<Name>): this {
    this.#events.on(name, handler);
    return this;
  }

  off<Name extends keyof ClientEvents>(name: Name, handler: EventHandler<Name>): this {
    this.#events.off(name, handler);
    return this;
  }

  /**
   * Releases everything and says goodbye. Locks that are held are lost by it; calls that wait reject
   * with a `ClientClosedError`. Resolves when the server has heard it, or can't; never rejects. Called
   * again, it is the same goodbye. Without it the server keeps the locks for the abandon timeout.
   */
  close(): Promise<void> {
    return this.#session.close();
  }

  /** The same, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  get #open(): Session {
    if (this.#session.isClosed) throw new ClientClosedError();
    return this.#session;
  }
}

function toTerms(resources: Resources, options: LockOptions, owner: string | undefined): LockTerms {
  checkLockOptions(options);
  const { waitMs, holdMs, label } = options;
  return { resources: toResources(resources), waitMs, holdMs, owner, label };
}
