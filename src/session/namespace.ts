/**
 * Namespaces: separate lock tables by name. One is made when the first session opens it and gone
 * when the last has ended; a session that lost its connection counts until it is abandoned.
 */

import type { Limits } from '../runtime/limits.ts';
import { LockTable } from '../table/lock-table.ts';
import type { LockRecord, SessionLock } from './lock-record.ts';
import { MemoryAccount, maxSessionBytes, namespaceBytes } from './memory.ts';
import type { Session } from './session.ts';
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

  /** The session with that id. Looks through all of them, too. */
  sessionById(id: number): Session | undefined {
    for (const session of this.sessions) if (session.id === id) return session;
    return undefined;
  }
}

/** All namespaces that somebody uses; tables share one counter of ids. */
export class Namespaces implements Iterable<Namespace> {
  readonly #nextId: () => number;
  readonly #byName = new Map<string, Namespace>();
  #sessions = 0;
  /** Sessions without a lock whose connection is gone, longest gone first. Kept by the sessions. */
  readonly idle = new Set<Session>();
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
    this.memory = new MemoryAccount(maxMemoryBytes, () => this.#endIdle());
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

  /** Ends the session that is lost for longest among those without a lock; false if there is none. */
  #endIdle(): boolean {
    const [oldest] = this.idle;
    oldest?.end();
    return oldest !== undefined;
  }

  /** The number of a new session: from 1, over all namespaces. */
  nextSessionId(): number {
    return ++this.#lastSessionId;
  }

  get(name: string): Namespace | undefined {
    return this.#byName.get(name);
  }

  [Symbol.iterator](): Iterator<Namespace> {
    return this.#byName.values();
  }

  /** Enters `session` in the namespace of that name, which is made when there is none. */
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
    return namespace;
  }

  /** Takes out a session that holds and awaits nothing any more. */
  leave(namespace: Namespace, session: Session): void {
    if (namespace.sessions.delete(session)) {
      this.#sessions--;
      this.memory.discharge(session.bytes);
    }
    if (namespace.sessions.size > 0) return;
    if (this.#byName.delete(namespace.name)) this.memory.discharge(namespaceBytes(namespace.name));
    if (this.#byName.size === 0) this.#whenEmpty?.();
  }

  /** Calls `emptied` when no namespace is left: at once, or each time the last one goes. */
  onEmpty(emptied: () => void): void {
    this.#whenEmpty = emptied;
    if (this.#byName.size === 0) emptied();
  }

  /** Ends every session and with it every namespace; nobody is granted what another leaves. */
  endAll(): void {
    for (const { table, sessions } of [...this.#byName.values()]) {
      // A lock waits for earlier ones only: newest first, none lets another one through.
      for (const lock of [...table.findLocks([])].map((match) => match.lock).reverse()) {
        lock.context.session.release(lock, 'ended');
      }
      for (const session of [...sessions]) session.end();
    }
  }
}
