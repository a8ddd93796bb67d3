/**
 * A session: one client's locks in one namespace. It outlives a lost connection by its abandon
 * timeout. Until then, if it has a key, another connection can resume it; after that, or on `bye`,
 * all its locks are released.
 *
 *             resume                 abandon timeout
 *      +------------------- lost ----------------------> ended
 *      v                     ^                             ^
 *     open ----- lose -------+                             |
 *      +------------------ end, evict ---------------------+    (evict: also when lost)
 *
 * Invariants: `locks` has exactly the locks of this session that are not released; only a session
 * with a key has waiting locks while it is lost; an ended session has neither locks nor timers.
 *
 * The peer is notified of a grant inside the call that caused it. The table is consistent by then,
 * so the peer may call back; it must not throw.
 */

import type { Timer } from '../runtime/clock.ts';
import type { Resource } from '../table/resource.ts';
import type { ReleaseCause } from './lock-events.ts';
import { LockIndex } from './lock-index.ts';
import {
  LockRecord,
  type LockTerms,
  newestFirst,
  type Owner,
  type Ref,
  type SessionLock,
} from './lock-record.ts';
import { lockBytes, sessionBytes, termsBytes } from './memory.ts';
import type { Namespace } from './namespace.ts';
import { OWNERS_OF_LOCKS, Owners } from './owners.ts';
import type { LockError, Peer, SessionHost, SessionSettings } from './session-host.ts';
import type { StoredLock } from './stored.ts';

export class Session {
  /** Identifies the session for people; not a secret. */
  readonly id: number;
  readonly namespace: Namespace;
  readonly abandonTimeoutMs: number;
  readonly label: string | undefined;
  /** By which it can be resumed; undefined if it can't be. */
  readonly key: string | undefined;
  /** Bytes charged to the memory account for the session without its locks. */
  readonly bytes: number;
  readonly locks = new LockIndex();
  readonly #host: SessionHost;
  /** Made for the first owner. */
  #owners: Owners | undefined;
  #client: string;
  #peer: Peer | undefined;
  #abandonTimer: Timer | undefined;
  /** When the last connection was lost, by the clock. */
  #lostMs = 0;
  #state: 'open' | 'lost' | 'ended';

  /**
   * @param peer undefined for a session from a store, which is lost
   * @param id its own in a store; else a new one
   */
  constructor(
    host: SessionHost,
    settings: SessionSettings,
    peer: Peer | undefined,
    id: number = host.registry.nextSessionId(),
  ) {
    this.#host = host;
    this.#peer = peer;
    this.#state = peer === undefined ? 'lost' : 'open';
    this.#client = settings.client;
    this.abandonTimeoutMs = settings.abandonTimeoutMs;
    this.label = settings.label;
    this.key = settings.key;
    this.bytes = sessionBytes(settings);
    this.id = id;
    this.namespace = host.registry.join(settings.namespace, this);
    if (peer !== undefined) host.sessionObserver?.began(this);
  }

  /** The address of the last connection. */
  get client(): string {
    return this.#client;
  }

  /** Whether the connection is lost and the session not yet resumed. */
  get isLost(): boolean {
    return this.#state === 'lost';
  }

  /**
   * Milliseconds for which its locks are kept unless it is resumed: an integer, rounded down;
   * undefined if it is not lost.
   *
   * @param nowMs the present time of the clock
   */
  abandonedInMs(nowMs: number): number | undefined {
    if (!this.isLost) return undefined;
    // The timeout of a restored session has not begun.
    if (this.#abandonTimer === undefined) return this.abandonTimeoutMs;
    return Math.max(0, Math.floor(this.abandonTimeoutMs - (nowMs - this.#lostMs)));
  }

  /** Whether it holds a lock. */
  get isHolder(): boolean {
    for (const { state } of this.locks.inAnyOrder()) if (state === 'acquired') return true;
    return false;
  }

  /**
   * Requests an atomic set of resources.
   *
   * @param ref the client's name for the request; no live lock of this session may have it
   * @returns the lock, acquired or enqueued (then the peer is notified of the grant), or an error,
   *   which leaves all locks unchanged
   */
  lock(resources: readonly Resource[], terms: LockTerms, ref?: Ref): SessionLock | LockError {
    const { registry, limits, observer, clock, counters } = this.#host;
    counters.locksRequested++;
    if (registry.isDraining) return { code: 'draining' };
    if (this.locks.size >= limits.maxLocksPerSession) return { code: 'too_many_locks' };
    const bytes = lockBytes(resources, terms, ref);
    if (!registry.memory.hasRoom(bytes)) return { code: 'server_full' };
    const owner = terms.owner === undefined ? undefined : this.#ownerNamed(terms.owner);
    const record = new LockRecord(this, ref, terms, owner, bytes, Math.ceil(clock.now()));
    const lock = this.namespace.table.lock(resources, record);
    this.#owners?.own(lock);
    if (lock.state === 'enqueued') {
      const error = this.#checkWait(lock);
      if (error !== undefined) {
        // No lock is behind the newest one, so removing it grants none.
        this.namespace.table.release(lock);
        this.#owners?.disown(lock);
        return error;
      }
    }
    this.locks.add(lock);
    registry.memory.charge(bytes);
    this.#host.journal?.lockAdded(lock);
    if (lock.state === 'acquired') {
      this.#hold(lock, 0);
    } else {
      registry.ages.waits(lock);
      this.#limit(lock, terms.waitMs, 'timeout');
      observer?.enqueued(lock);
      this.namespace.watchers.tell('enqueued', lock);
    }
    return lock;
  }

  /**
   * Releases one of this session's locks, or takes it out of the queue.
   *
   * @param cause what `watch` and the metrics report
   */
  release(lock: SessionLock, cause: ReleaseCause = 'released'): void {
    this.#drop(lock, cause);
  }

  /**
   * The hold of one of this session's locks, which is acquired, ends `holdMs` milliseconds (>= 1)
   * from now, whatever was requested before; undefined: it has no end.
   *
   * @returns false if the memory limit is reached; then nothing has changed
   */
  extend(lock: SessionLock, holdMs: number | undefined): boolean {
    const { clock, registry } = this.#host;
    const record = lock.context;
    const terms = { ...record.terms, holdMs: holdMs && record.holdSince(clock.now(), holdMs) };
    const bytes = termsBytes(terms) - termsBytes(record.terms);
    if (!registry.memory.hasRoom(bytes)) return false;
    registry.memory.charge(bytes);
    record.bytes += bytes;
    record.terms = terms;
    this.#host.journal?.lockChanged(lock);
    this.#limit(lock, holdMs, 'expired');
    return true;
  }

  /**
   * The connection of `peer` is lost. Held locks stay until the abandon timeout, and so do waiting
   * locks if the session can be resumed. No effect if another connection has taken the session
   * over.
   */
  lose(peer: Peer): void {
    if (this.#state !== 'open' || this.#peer !== peer) return;
    this.#state = 'lost';
    this.#peer = undefined;
    this.#awaitResume();
  }

  #awaitResume(): void {
    this.#lostMs = this.#host.clock.now();
    if (this.key === undefined) {
      for (const lock of newestFirst(this.locks)) {
        if (lock.state === 'enqueued') this.#drop(lock, 'lost');
      }
    }
    if (this.key === undefined && this.locks.size === 0) {
      this.#finish('abandoned');
      return;
    }
    if (this.abandonTimeoutMs === 0) {
      this.#abandon();
      return;
    }
    if (this.locks.size === 0) this.#host.registry.setIdle(this, true);
    this.#abandonTimer = this.#host.clock.setTimer(this.abandonTimeoutMs, () => {
      this.#abandon();
    });
  }

  #abandon(): void {
    this.#host.counters.sessionsAbandoned++;
    this.#host.sessionObserver?.abandoned(this);
    this.#finish('abandoned');
  }

  /**
   * Enters a lock from a store into the table, with its id. No limit, counter or observer applies:
   * all of this happened before. The caller enters it into the registry's `ages`.
   *
   * @param stored its id is the one that the table gives out next
   * @param nowMs the present time of the clock, rounded up to an integer
   */
  restore(stored: StoredLock, nowMs: number): SessionLock {
    const { resources, ref, terms, wasHeld, sinceMs } = stored;
    const { registry } = this.#host;
    const owner = terms.owner === undefined ? undefined : this.#ownerNamed(terms.owner);
    const bytes = lockBytes(resources, terms, ref);
    // The clock may have gone back by a part of a millisecond.
    const record = new LockRecord(this, ref, terms, owner, bytes, Math.min(sinceMs, nowMs));
    const lock = this.namespace.table.lock(resources, record);
    // It was granted after it was stored: nothing says when, and a hold must not end early.
    if (lock.state === 'acquired' && !wasHeld) record.sinceMs = nowMs;
    this.#owners?.own(lock);
    this.locks.add(lock);
    registry.memory.charge(bytes);
    return lock;
  }

  /** Everything is restored: waits and holds go on. */
  goOn(): void {
    const nowMs = this.#host.clock.now();
    for (const lock of this.locks) {
      const { sinceMs, terms } = lock.context;
      const left = (ms: number): number => Math.max(0, sinceMs + ms - nowMs);
      if (lock.state === 'enqueued') {
        this.#limit(lock, terms.waitMs && left(terms.waitMs), 'timeout');
      } else this.#limit(lock, terms.holdMs && left(terms.holdMs), 'expired');
    }
  }

  /**
   * A restored session is from now on as one whose connection is lost, unless it has ended or was
   * resumed meanwhile.
   */
  recovered(): void {
    // Lost again after it was resumed, it waits already.
    if (this.#state === 'lost' && this.#abandonTimer === undefined) this.#awaitResume();
  }

  /** Continues on another connection, with all locks; the previous peer is notified. */
  resume(peer: Peer, client: string): void {
    const before = this.#peer;
    this.#abandonTimer?.cancel();
    this.#host.counters.sessionsResumed++;
    this.#host.registry.setIdle(this, false);
    this.#state = 'open';
    this.#peer = peer;
    this.#client = client;
    this.#host.sessionObserver?.resumed(this);
    before?.sessionEnded('taken_over');
  }

  /**
   * Ends the session and releases all its locks. No effect if it has ended.
   *
   * @param cause what `watch` and the metrics report of its locks
   */
  end(cause: ReleaseCause = 'ended'): void {
    if (this.#state !== 'ended') this.#finish(cause);
  }

  /** Takes away one of this session's locks. The peer is notified before any lock is granted. */
  evictLock(lock: SessionLock): void {
    this.#peer?.lockChanged(lock, 'evicted');
    // A v1 peer ends its session when notified, which releases the lock.
    if (lock.state !== 'released') this.#drop(lock, 'evicted');
  }

  /** Ends the session for an administrator. The peer is notified before any lock is granted. */
  evict(): void {
    if (this.#state === 'ended') return;
    const peer = this.#peer;
    // From here on calls of the peer have no effect.
    this.#state = 'ended';
    peer?.sessionEnded('evicted');
    this.#finish('evicted');
  }

  /** The server drains: removes `lock`, which waits, from the queue. */
  dropForDrain(lock: SessionLock): void {
    this.#peer?.lockChanged(lock, 'draining');
    this.#drop(lock, 'draining');
  }

  /** The server drains and the session has no locks: ends it and notifies the peer. */
  endForDrain(): void {
    const peer = this.#peer;
    this.#finish('ended');
    peer?.sessionEnded('draining');
  }

  #finish(cause: ReleaseCause): void {
    this.#state = 'ended';
    this.#peer = undefined;
    this.#abandonTimer?.cancel();
    for (const lock of newestFirst(this.locks)) this.#drop(lock, cause);
    this.#host.journal?.sessionEnded(this);
    this.#host.registry.leave(this);
  }

  /** Why `lock`, which is enqueued, must not wait; undefined if it may. */
  #checkWait(lock: SessionLock): LockError | undefined {
    const { table } = this.namespace;
    if (lock.context.terms.waitMs === 0) {
      this.#host.counters.locksMissed++;
      return { code: 'timeout', id: lock.id };
    }
    if (table.size.enqueued > this.#host.limits.maxWaitersPerNamespace) {
      return { code: 'too_many_waiters' };
    }
    if (lock.context.owner === undefined) return undefined;
    const cycle = table.findDeadlock(lock, OWNERS_OF_LOCKS);
    return cycle === undefined ? undefined : { code: 'deadlock', cycle };
  }

  /** Removes `lock`, for any cause, and grants the locks that waited only for it. */
  #drop(lock: SessionLock, cause: ReleaseCause): void {
    const { observer, counters, registry, journal, clock } = this.#host;
    // The table may have granted a lock of which its client has not heard yet.
    const wasHeld = lock.context.ageList === registry.ages.held;
    const forMs = Math.ceil(clock.now()) - lock.context.sinceMs;
    if (wasHeld) counters.holds.add(forMs);
    registry.ages.ends(lock);
    counters.locksEnded[cause]++;
    lock.context.timer?.cancel();
    this.locks.remove(lock);
    journal?.lockRemoved(lock);
    if (this.#state === 'lost' && this.locks.size === 0) registry.setIdle(this, true);
    registry.memory.discharge(lock.context.bytes);
    this.#owners?.disown(lock);
    const acquired = this.namespace.table.release(lock);
    observer?.released(lock, cause, { wasHeld, forMs });
    this.namespace.watchers.tell(cause, lock);
    // A peer that was just notified may have released a lock that is still in the list.
    for (const next of acquired) if (next.state === 'acquired') next.context.session.#grant(next);
    if (registry.isDraining && this.locks.size === 0 && this.#state !== 'ended') {
      this.endForDrain();
    }
  }

  #grant(lock: SessionLock): void {
    this.#owners?.granted(lock);
    const { clock, counters } = this.#host;
    const nowMs = Math.ceil(clock.now());
    const waitedMs = nowMs - lock.context.sinceMs;
    counters.waits.add(waitedMs);
    lock.context.sinceMs = nowMs;
    this.#hold(lock, waitedMs);
    this.#peer?.lockChanged(lock, 'acquired');
  }

  #hold(lock: SessionLock, waitedMs: number): void {
    const { observer, counters, registry } = this.#host;
    counters.locksAcquired++;
    registry.ages.holds(lock);
    this.#limit(lock, lock.context.terms.holdMs, 'expired');
    observer?.acquired(lock, waitedMs);
    this.namespace.watchers.tell('acquired', lock);
  }

  /** Replaces the timer of `lock`: in `ms` milliseconds it ends like that; undefined: never. */
  #limit(lock: SessionLock, ms: number | undefined, end: 'timeout' | 'expired'): void {
    const record = lock.context;
    record.timer?.cancel();
    record.timer =
      ms === undefined
        ? undefined
        : this.#host.clock.setTimer(ms, () => {
            // The peer is notified before any lock behind this one is granted.
            this.#peer?.lockChanged(lock, end);
            this.#drop(lock, end);
          });
  }

  #ownerNamed(name: string): Owner {
    this.#owners ??= new Owners(this);
    return this.#owners.named(name);
  }
}
