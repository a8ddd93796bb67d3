/**
 * Namespaces: separate lock tables by name. One is made when the first session opens it and gone
 * when the last has ended; a session that lost its connection counts until it is abandoned.
 *
 * Draining: the server is about to stop, and lets those finish who hold locks. From then on there are
 * no new sessions and no new locks, nothing waits, and every session holds at least one lock: one that
 * has released its last ends. So it is over when there is no namespace any more.
 */

import type { Limits } from '../runtime/limits.ts';
import { LockTable } from '../table/lock-table.ts';
import { type LockRecord, newestFirst, type SessionLock } from './lock-record.ts';
import { MemoryAccount, maxSessionBytes, namespaceBytes } from './memory.ts';
import type { Session } from './session.ts';
import type { SessionRegistry } from './session-host.ts';
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

  /** The lock with that id, held or enqueued. Looks through all sessions: for people who ask. */
  lockById(id: number): SessionLock | undefined {
    for (const session of this.sessions) {
      const lock = session.locks.get(id);
      if (lock !== undefined) return lock;
    }
    return undefined;
  }

  /** All locks, held and enqueued, in an order in which releasing one lets none of the others through. */
  locksNewestFirst(): SessionLock[] {
    return newestFirst([...this.table.findLocks([])].map((match) => match.lock));
  }

  /** The session with that id. Looks through all of them, too. */
  sessionById(id: number): Session | undefined {
    for (const session of this.sessions) if (session.id === id) return session;
    return undefined;
  }
}

/** All namespaces in use; tables share one counter of ids. */
export class Namespaces implements SessionRegistry, Iterable<Namespace> {
  readonly #nextId: () => number;
  readonly #byName = new Map<string, Namespace>();
  #sessions = 0;
  /** Sessions without a lock whose connection is gone, idle for longest first. */
  readonly #idle = new Set<Session>();
  /** Bytes of memory of those, each with a namespace of its own. */
  #idleBytes = 0;
  /** The sessions that can be resumed, by their secret names. */
  readonly #resumable = new Map<string, Session>();
  #isDraining = false;
  /** What is kept for the clients of all of them. */
  readonly memory: MemoryAccount;
  #whenEmpty: (() => void) | undefined;
  #lastSessionId = 0;

  /**
   * @param nextId gives lock ids: rising integers, larger than any handed out before
   * @param maxMemoryBytes that may be kept for clients, by estimate
   */
  constructor(nextId: () => number, maxMemoryBytes: number) {
    this.#nextId = nextId;
    const idleBytes = (): number => this.#idleBytes;
    this.memory = new MemoryAccount(maxMemoryBytes, {
      get bytes() {
        return idleBytes();
      },
      giveWay: () => this.#endIdle(),
    });
  }

  get size(): number {
    return this.#byName.size;
  }

  /** Sessions in all of them. */
  get sessions(): number {
    return this.#sessions;
  }

  /**
   * Why no session may begin now, if so. When there are as many as may be, or no memory is left, those
   * that lost their connection and hold nothing give way: all that their clients lose is a name.
   */
  refuseSession(limits: Limits): 'too_many_sessions' | 'server_full' | undefined {
    if (this.#sessions >= limits.maxSessions) this.#endIdle();
    if (this.#sessions >= limits.maxSessions) return 'too_many_sessions';
    return this.memory.hasRoom(maxSessionBytes(limits)) ? undefined : 'server_full';
  }

  /** Ends the session that is idle for longest; false if there is none. */
  #endIdle(): boolean {
    const [oldest] = this.#idle;
    oldest?.end();
    return oldest !== undefined;
  }

  nextSessionId(): number {
    return ++this.#lastSessionId;
  }

  get(name: string): Namespace | undefined {
    return this.#byName.get(name);
  }

  /** The session with that secret name, if it has not ended. */
  resumable(name: string): Session | undefined {
    return this.#resumable.get(name);
  }

  /** Sessions that can be resumed, open ones among them. */
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
      this.memory.charge(namespaceBytes(name));
    }
    this.memory.charge(session.bytes);
    namespace.sessions.add(session);
    this.#sessions++;
    if (session.name !== undefined) this.#resumable.set(session.name, session);
    return namespace;
  }

  leave(session: Session): void {
    const { namespace } = session;
    if (!namespace.sessions.delete(session)) return;
    this.#sessions--;
    this.memory.discharge(session.bytes);
    this.setIdle(session, false);
    if (session.name !== undefined) this.#resumable.delete(session.name);
    if (namespace.sessions.size > 0) return;
    this.#byName.delete(namespace.name);
    this.memory.discharge(namespaceBytes(namespace.name));
    if (this.#byName.size === 0) this.#whenEmpty?.();
  }

  /** Calls `emptied` when no namespace is left: at once, or each time the last one goes. */
  onEmpty(emptied: () => void): void {
    this.#whenEmpty = emptied;
    if (this.#byName.size === 0) emptied();
  }

  /**
   * Begins to drain: takes what waits out of its queues and ends the sessions that hold nothing. The
   * peers hear.
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

  /** Ends every session and with it every namespace; no lock is granted for what another leaves. */
  endAll(): void {
    for (const namespace of [...this]) {
      for (const lock of namespace.locksNewestFirst()) lock.context.session.release(lock, 'ended');
      for (const session of [...namespace.sessions]) session.end();
    }
  }
}
