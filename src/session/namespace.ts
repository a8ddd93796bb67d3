/**
 * Namespaces, separate lock tables by name, and the registry of all sessions. A namespace is
 * created by its first session and removed when its last one has ended; a lost session counts until
 * it is abandoned.
 *
 * Draining: the server is about to stop and lets lock holders finish. During a drain no lock is new,
 * no lock waits, and every session holds a lock: it ends with the release of its last one. Only
 * administrators begin sessions, which can't lock, to see and evict what is held. So the drain is
 * complete when no session is left but theirs.
 */

import type { Limits } from '../runtime/limits.ts';
import { LockTable } from '../table/lock-table.ts';
import { LockAges } from './lock-ages.ts';
import { type LockRecord, newestFirst, type SessionLock } from './lock-record.ts';
import { MemoryAccount, maxSessionBytes, namespaceBytes } from './memory.ts';
import type { Session } from './session.ts';
import type { SessionRegistry } from './session-host.ts';
import { SortedNames } from './sorted-names.ts';
import { Watchers } from './watchers.ts';

export class Namespace {
  readonly name: string;
  readonly table: LockTable<LockRecord>;
  readonly sessions = new Set<Session>();
  readonly watchers: Watchers;

  constructor(name: string, nextId: () => number, memory: MemoryAccount) {
    this.name = name;
    this.watchers = new Watchers(memory);
    this.table = new LockTable(nextId);
  }

  /** The lock with that id, held or enqueued. O(sessions): for the requests of operators. */
  lockById(id: number): SessionLock | undefined {
    for (const session of this.sessions) {
      const lock = session.locks.get(id);
      if (lock !== undefined) return lock;
    }
    return undefined;
  }

  /**
   * All locks, held and enqueued, in the order in which releasing one grants none of the others.
   */
  locksNewestFirst(): SessionLock[] {
    return newestFirst([...this.table.findLocks([])].map((match) => match.lock));
  }

  /** The session with that id. O(sessions). */
  sessionById(id: number): Session | undefined {
    for (const session of this.sessions) if (session.id === id) return session;
    return undefined;
  }
}

/** All namespaces in use. Their tables share one counter of ids. */
export class Namespaces implements SessionRegistry, Iterable<Namespace> {
  readonly #nextId: () => number;
  readonly #byName = new Map<string, Namespace>();
  readonly #names = new SortedNames();
  #sessions = 0;
  /** Lost sessions without locks, the longest idle first. */
  readonly #idle = new Set<Session>();
  /** Their memory in bytes, with a namespace for each: an upper bound of what they can free. */
  #idleBytes = 0;
  /** Sessions that can be resumed, by their keys. */
  readonly #resumable = new Map<string, Session>();
  #isDraining = false;
  /** Those that began during the drain. */
  readonly #administrators = new Set<Session>();
  /** The account for the clients of all namespaces. */
  readonly memory: MemoryAccount;
  readonly ages = new LockAges();
  #whenDrained: (() => void) | undefined;
  #lastSessionId = 0;

  /**
   * @param nextId gives lock ids: rising integers, larger than all earlier ones
   * @param maxMemoryBytes the limit of the memory account
   */
  constructor(nextId: () => number, maxMemoryBytes: number) {
    this.#nextId = nextId;
    this.memory = new MemoryAccount(maxMemoryBytes, {
      bytes: () => this.#idleBytes,
      giveWay: () => this.#endIdle(),
    });
  }

  get size(): number {
    return this.#byName.size;
  }

  /** How many sessions all namespaces have. */
  get sessions(): number {
    return this.#sessions;
  }

  /**
   * Why no session may begin now; undefined if one may. At a limit, lost sessions without locks are
   * ended to make space: their clients lose nothing but the name.
   */
  refuseSession(limits: Limits): 'too_many_sessions' | 'server_full' | undefined {
    if (this.#sessions >= limits.maxSessions) this.#endIdle();
    if (this.#sessions >= limits.maxSessions) return 'too_many_sessions';
    return this.memory.hasRoom(maxSessionBytes(limits)) ? undefined : 'server_full';
  }

  /** Ends the longest idle session; false if there is none. */
  #endIdle(): boolean {
    const [oldest] = this.#idle;
    oldest?.end();
    return oldest !== undefined;
  }

  nextSessionId(): number {
    return ++this.#lastSessionId;
  }

  get lastSessionId(): number {
    return this.#lastSessionId;
  }

  /** No session id up to `id` is given out from now on. */
  skipSessionIds(id: number): void {
    this.#lastSessionId = Math.max(this.#lastSessionId, id);
  }

  get(name: string): Namespace | undefined {
    return this.#byName.get(name);
  }

  /**
   * The namespaces whose names come after `name`, in the order of their UTF-16 code units; none may
   * be created or removed meanwhile. The cost is that of those which are read.
   */
  *after(name: string): Generator<Namespace, void, undefined> {
    for (const next of this.#names.after(name)) {
      const namespace = this.#byName.get(next);
      if (namespace !== undefined) yield namespace;
    }
  }

  /** The session with that key, if it has not ended. */
  resumable(key: string): Session | undefined {
    return this.#resumable.get(key);
  }

  /** How many sessions can be resumed, open ones included. */
  get resumableCount(): number {
    return this.#resumable.size;
  }

  get isDraining(): boolean {
    return this.#isDraining;
  }

  setIdle(session: Session, isIdle: boolean): void {
    if (isIdle === this.#idle.has(session)) return;
    const bytes = session.bytes + namespaceBytes(session.namespace.name);
    this.#idleBytes += isIdle ? bytes : -bytes;
    if (isIdle) this.#idle.add(session);
    else this.#idle.delete(session);
  }

  [Symbol.iterator](): Iterator<Namespace> {
    return this.#byName.values();
  }

  join(name: string, session: Session): Namespace {
    let namespace = this.#byName.get(name);
    if (namespace === undefined) {
      namespace = new Namespace(name, this.#nextId, this.memory);
      this.#byName.set(name, namespace);
      this.#names.add(name);
      this.memory.charge(namespaceBytes(name));
    }
    this.memory.charge(session.bytes);
    namespace.sessions.add(session);
    this.#sessions++;
    if (this.#isDraining) this.#administrators.add(session);
    if (session.key !== undefined) this.#resumable.set(session.key, session);
    return namespace;
  }

  leave(session: Session): void {
    const { namespace } = session;
    if (!namespace.sessions.delete(session)) return;
    this.#sessions--;
    this.memory.discharge(session.bytes);
    this.setIdle(session, false);
    if (session.key !== undefined) this.#resumable.delete(session.key);
    this.#administrators.delete(session);
    if (namespace.sessions.size === 0) {
      this.#byName.delete(namespace.name);
      this.#names.delete(namespace.name);
      this.memory.discharge(namespaceBytes(namespace.name));
    }
    this.#checkDrained();
  }

  /** Calls `drained`, once or more, when no session is left that a drain waits for. */
  onDrained(drained: () => void): void {
    this.#whenDrained = drained;
    this.#checkDrained();
  }

  #checkDrained(): void {
    if (this.#sessions === this.#administrators.size) this.#whenDrained?.();
  }

  /**
   * Begins the drain: takes waiting locks out of their queues and ends the sessions without locks.
   * Their peers are notified.
   */
  drain(): void {
    this.#isDraining = true;
    for (const namespace of [...this]) {
      for (const lock of namespace.locksNewestFirst()) {
        if (lock.state === 'enqueued') lock.context.session.dropForDrain(lock);
      }
      for (const session of [...namespace.sessions]) {
        if (session.locks.size === 0) session.endForDrain();
      }
    }
  }

  /**
   * All connections are lost, or about to be: takes the waiting locks of sessions that can't be
   * resumed out of their queues, as no client can come back for them. If their sessions were lost
   * one by one, some would be granted what others leave, and keep it for the abandon timeout.
   * Newest first, none is.
   */
  leaveQueues(): void {
    const leaving = [...this.ages.waiting].filter(
      ({ context }) => context.session.key === undefined,
    );
    for (const lock of leaving.sort((a, b) => b.id - a.id)) {
      lock.context.session.release(lock, 'lost');
    }
  }

  /** Ends every session and with it every namespace. No lock is granted meanwhile. */
  endAll(): void {
    for (const namespace of [...this]) {
      for (const lock of namespace.locksNewestFirst()) lock.context.session.release(lock, 'ended');
      for (const session of [...namespace.sessions]) session.end();
    }
  }
}
