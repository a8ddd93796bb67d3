/**
 * A session: one client's namespace and locks. It outlives a broken connection by its abandon
 * timeout; then, or when it says goodbye, all its locks are released.
 *
 *     open --lose--> lost --abandon timeout--> ended
 *       \------------------end-----------------/
 *
 * Invariants: `locks` holds exactly the locks of this session that are not released; a lost session
 * has acquired locks only; an ended one has none, and no timer.
 *
 * The peer hears of a lock the moment it is held, from inside the call that made it so. By then the
 * table is whole again, so the peer may act; it must not throw.
 */
import type { Lock } from '../table/lock.ts';
import type { Resource } from '../table/resource.ts';
import type { Clock, Timer } from './clock.ts';
import type { Limits } from './limits.ts';
import type { Namespace, Namespaces } from './namespace.ts';

/** A client's own name for a request of its. */
export type Ref = string | number;

/** What a session remembers of a lock beside the lock itself. */
export interface LockRequest {
  readonly session: Session;
  readonly ref: Ref | undefined;
}

export type SessionLock = Lock<LockRequest>;

/** Who is told when an enqueued lock is held: the conversation with the client. */
export interface Peer {
  acquired(lock: SessionLock): void;
}

/** Why a lock was released: asked for, its session ended, or its connection was lost. */
export type ReleaseCause = 'released' | 'ended' | 'lost' | 'abandoned';

/** Hears of everything that happens to locks, for logs. It must not throw or touch any lock. */
export interface LockObserver {
  enqueued(lock: SessionLock): void;
  acquired(lock: SessionLock): void;
  released(lock: SessionLock, cause: ReleaseCause): void;
}

/** What all sessions of a server share. */
export interface SessionHost {
  readonly namespaces: Namespaces;
  readonly clock: Clock;
  readonly limits: Limits;
  readonly observer: LockObserver | undefined;
}

export interface SessionSettings {
  /** The name of the namespace; any string. */
  readonly namespace: string;
  /** Milliseconds (>= 0) for which acquired locks outlive a lost connection. */
  readonly abandonTimeoutMs: number;
  /** The client as people know it, for logs: an address. */
  readonly client: string;
}

/** A limit that keeps a session from having one more lock. */
export type LockRefusal = 'too_many_locks' | 'too_many_waiters';

export class Session {
  readonly namespace: Namespace;
  readonly abandonTimeoutMs: number;
  readonly client: string;
  readonly locks = new Map<number, SessionLock>();
  readonly #host: SessionHost;
  readonly #byRef = new Map<Ref, SessionLock>();
  #peer: Peer | undefined;
  #abandonTimer: Timer | undefined;
  #state: 'open' | 'lost' | 'ended' = 'open';

  constructor(host: SessionHost, settings: SessionSettings, peer: Peer) {
    this.#host = host;
    this.#peer = peer;
    this.abandonTimeoutMs = settings.abandonTimeoutMs;
    this.client = settings.client;
    this.namespace = host.namespaces.join(settings.namespace, this);
  }

  /** The lock, held or enqueued, that was asked for with that `ref`. */
  lockByRef(ref: Ref): SessionLock | undefined {
    return this.#byRef.get(ref);
  }

  /**
   * Asks for `resources` together.
   *
   * @param ref the client's own name for this request; none of its locks may have it already
   * @returns the lock, acquired or enqueued (the peer hears when that one is held), or the limit
   *   that forbids it
   */
  lock(resources: readonly Resource[], ref: Ref | undefined): SessionLock | LockRefusal {
    const { limits, observer } = this.#host;
    const { table } = this.namespace;
    if (this.locks.size >= limits.maxLocksPerSession) return 'too_many_locks';
    const lock = table.lock(resources, { session: this, ref });
    if (lock.state === 'enqueued' && table.size.enqueued > limits.maxWaitersPerNamespace) {
      // The newest lock stands behind all others: taking it out again lets nobody through.
      table.release(lock);
      return 'too_many_waiters';
    }
    this.locks.set(lock.id, lock);
    if (ref !== undefined) this.#byRef.set(ref, lock);
    if (observer !== undefined) {
      if (lock.state === 'acquired') observer.acquired(lock);
      else observer.enqueued(lock);
    }
    return lock;
  }

  /** Releases one of this session's locks, or takes it out of the queue. */
  release(lock: SessionLock): void {
    this.#drop(lock, 'released');
  }

  /** The connection broke: nobody can come back for what is enqueued; what is held stays a while. */
  lose(): void {
    if (this.#state !== 'open') return;
    this.#state = 'lost';
    this.#peer = undefined;
    for (const lock of this.locks.values()) {
      if (lock.state === 'enqueued') this.#drop(lock, 'lost');
    }
    if (this.locks.size === 0 || this.abandonTimeoutMs === 0) {
      this.#finish('abandoned');
      return;
    }
    this.#abandonTimer = this.#host.clock.setTimer(this.abandonTimeoutMs, () => {
      this.#finish('abandoned');
    });
  }

  /** Releases everything at once, for good. */
  end(): void {
    if (this.#state !== 'ended') this.#finish('ended');
  }

  /** From now on the peer hears nothing. */
  silence(): void {
    this.#peer = undefined;
  }

  #finish(cause: ReleaseCause): void {
    this.#state = 'ended';
    this.#peer = undefined;
    this.#abandonTimer?.cancel();
    // Waiters first, so that no held lock is handed to one that leaves with the next step.
    for (const lock of this.locks.values()) if (lock.state === 'enqueued') this.#drop(lock, cause);
    for (const lock of this.locks.values()) this.#drop(lock, cause);
    this.#host.namespaces.leave(this.namespace, this);
  }

  #drop(lock: SessionLock, cause: ReleaseCause): void {
    const { observer } = this.#host;
    this.locks.delete(lock.id);
    if (lock.context.ref !== undefined) this.#byRef.delete(lock.context.ref);
    const acquired = this.namespace.table.release(lock);
    observer?.released(lock, cause);
    for (const next of acquired) {
      observer?.acquired(next);
      next.context.session.#peer?.acquired(next);
    }
  }
}
