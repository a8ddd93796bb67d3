/** What a server would keep in a store: random sessions and locks, and the batches of their changes. */
import { NO_TERMS } from '../../src/session/lock-record.ts';
import type { StoredLock, StoredSession } from '../../src/session/stored.ts';
import {
  deleteLockRecord,
  deleteSessionRecord,
  lockRecord,
  sessionRecord,
} from '../../src/store/record.ts';
import type { Batch, Loaded, Position } from '../../src/store/store.ts';
import type { Random } from './random.ts';

export class StoreModel {
  readonly #random: Random;
  readonly #sessions = new Map<number, StoredSession>();
  readonly #locks = new Map<number, StoredLock>();
  /** The records of the next batch, by what they are about. */
  readonly #changes = new Map<string, string>();
  #position: Position = { batch: 0, lockIds: 0, sessionIds: 0, clockMs: 0 };
  /** Called for each record that is drawn. */
  drawn: () => void = () => {};

  constructor(random: Random) {
    this.#random = random;
  }

  /** Goes on from what was loaded. */
  static from(loaded: Loaded, random: Random): StoreModel {
    const model = new StoreModel(random);
    for (const session of loaded.sessions) model.#sessions.set(session.id, session);
    for (const lock of loaded.locks) model.#locks.set(lock.id, lock);
    model.#position = loaded.position;
    return model;
  }

  /** What a store that has all changes up to now holds. */
  state(): Loaded {
    const byId = (a: { id: number }, b: { id: number }): number => a.id - b.id;
    return {
      position: this.#position,
      sessions: [...this.#sessions.values()].sort(byId),
      locks: [...this.#locks.values()].sort(byId),
    };
  }

  /** The number for `start`. */
  next(): Position {
    this.#position = { ...this.#position, batch: this.#position.batch + 1 };
    return this.#position;
  }

  /** The batch of all changes since the one before. */
  seal(): Batch {
    const records = [...this.#changes.values()];
    this.#changes.clear();
    return { ...this.next(), records };
  }

  /** A random change. */
  step(): void {
    if (this.#sessions.size === 0 || this.#random.oneIn(8)) this.beginSession();
    else if (this.#random.oneIn(20)) this.endSession(this.#pick(this.#sessions).id);
    else if (this.#locks.size > 0 && this.#random.oneIn(2))
      this.endLock(this.#pick(this.#locks).id);
    else this.lock();
  }

  beginSession(): number {
    const { sessionIds, clockMs } = this.#position;
    const id = sessionIds + 1;
    const session: StoredSession = {
      id,
      namespace: this.#random.pick(['default', 'a\nb', '\ud800#']),
      abandonTimeoutMs: this.#random.below(60_000),
      label: this.#random.oneIn(2) ? `session ${id}` : undefined,
      key: this.#random.oneIn(2) ? `key-of-${id}` : undefined,
    };
    this.#sessions.set(id, session);
    this.#changes.set(`session ${id}`, sessionRecord(session));
    this.#position = { ...this.#position, sessionIds: id, clockMs: clockMs + 1 };
    return id;
  }

  lock(session = this.#pick(this.#sessions).id): number {
    const { lockIds, clockMs } = this.#position;
    const id = lockIds + 1 + this.#random.below(3);
    const lock: StoredLock = {
      id,
      session,
      resources: [{ type: 'write', path: ['orders', String(id)] }],
      ref: this.#random.oneIn(2) ? id : undefined,
      terms: NO_TERMS,
      wasHeld: this.#random.oneIn(2),
      sinceMs: clockMs,
    };
    this.#locks.set(id, lock);
    this.#changes.set(`lock ${id}`, lockRecord(lock));
    this.#position = { ...this.#position, lockIds: id };
    return id;
  }

  endLock(id: number): void {
    this.#locks.delete(id);
    if (!this.#changes.delete(`lock ${id}`)) this.#changes.set(`-lock ${id}`, deleteLockRecord(id));
  }

  /** Ends a lock, if there is one. */
  endAnyLock(): void {
    if (this.#locks.size > 0) this.endLock(this.#pick(this.#locks).id);
  }

  endSession(id: number): void {
    for (const lock of this.#locks.values()) if (lock.session === id) this.endLock(lock.id);
    this.#sessions.delete(id);
    if (this.#changes.delete(`session ${id}`)) return;
    this.#changes.set(`-session ${id}`, deleteSessionRecord(id));
  }

  /** Puts of all that is live, drawn while it changes. */
  readonly live = (): Generator<string> => this.#draw();

  *#draw(): Generator<string> {
    for (const session of this.#sessions.values()) {
      yield sessionRecord(session);
      for (const lock of this.#locks.values()) {
        if (lock.session !== session.id) continue;
        yield lockRecord(lock);
        this.drawn();
      }
    }
  }

  #pick<T>(from: ReadonlyMap<number, T>): T {
    return this.#random.pick([...from.values()]);
  }
}
