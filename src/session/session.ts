/**
 * A session: one client's namespace and locks. It outlives a broken connection by its abandon
 * timeout. Until then, if it has a name, another connection can resume it; after that, or when it
 * says goodbye, all its locks are released.
 *
 *             resume                 abandon timeout
 *      +------------------- lost ----------------------> ended
 *      v                     ^                             ^
 *     open ----- lose -------+                             |
 *      +------------------ end, evict ---------------------+    (evict: also when lost)
 *
 * Invariants: `locks` holds exactly the locks of this session that are not released; only one with
 * a name has waiting locks while it is lost; an ended one has neither locks nor timers.
 *
 * The peer hears of a lock the moment it is held, from inside the call that made it so. By then the
 * table is whole again, so the peer may act; it must not throw.
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
import { lockBytes, sessionBytes } from './memory.ts';
import type { Namespace } from './namespace.ts';
import { OWNERS_OF_LOCKS, Owners } from './owners.ts';
import type { LockError, Peer, SessionHost, SessionSettings } from './session-host.ts';

export class Session {
  /** The number by which people know it; no secret. */
  readonly id: number;
  readonly namespace: Namespace;
  readonly abandonTimeoutMs: number;
  readonly label: string | undefined;
  readonly name: string | undefined;
  /** What the session takes without its locks, as charged to the account of memory. */
  readonly bytes: number;
  readonly locks = new LockIndex();
  readonly #host: SessionHost;
  /** Made when the client names the first. */
  #owners: Owners | undefined;
  #client: string;
  #peer: Peer | undefined;
  #abandonTimer: Timer | undefined;
  #state: 'open' | 'lost' | 'ended' = 'open';

  constructor(host: SessionHost, settings: SessionSettings, peer: Peer) {
    this.#host = host;
    this.#peer = peer;
    this.#client = settings.client;
    this.abandonTimeoutMs = settings.abandonTimeoutMs;
    this.label = settings.label;
    this.name = settings.name;
    this.bytes = sessionBytes(settings);
    this.id = host.registry.nextSessionId();
    this.namespace = host.registry.join(settings.namespace, this);
  }

  /** The client as people know it: the address of its last connection. */
  get client(): string {
    return this.#client;
  }

  /** Whether its connection is gone and it has not been resumed yet. */
  get isLost(): boolean {
    return this.#state === 'lost';
  }

  /** Whether it holds a lock. */
  get isHolder(): boolean {
    for (const { state } of this.locks) if (state === 'acquired') return true;
    return false;
  }

  /**
   * Asks for `resources` together.
   *
   * @param ref the client's name for the request; no lock of this session may have it already
   * @returns the lock, acquired or enqueued (the peer hears when that one is held), or why there is
   *   none; then nothing has changed for anybody
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
        // The newest lock stands behind all others: taking it out again lets nobody through.
        this.namespace.table.release(lock);
        this.#owners?.disown(lock);
        return error;
      }
    }
    this.locks.add(lock);
    registry.memory.charge(bytes);
    if (lock.state === 'acquired') {
      this.#hold(lock);
    } else {
      this.#limitWait(lock);
      observer?.enqueued(lock);
      this.namespace.watchers.tell('enqueued', lock);
    }
    return lock;
  }

  /**
   * Releases one of this session's locks, or takes it out of the queue.
   *
   * @param cause what is to be said of it to those who look on
   */
  release(lock: SessionLock, cause: ReleaseCause = 'released'): void {
    this.#drop(lock, cause);
  }

  /**
   * The connection of `peer` broke. What is held stays for a while, and so does what is waited for
   * if it can be resumed. Nothing happens if `peer` has been taken over from.
   */
  lose(peer: Peer): void {
    if (this.#state !== 'open' || this.#peer !== peer) return;
    this.#state = 'lost';
    this.#peer = undefined;
    if (this.name === undefined) {
      for (const lock of newestFirst(this.locks)) {
        if (lock.state === 'enqueued') this.#drop(lock, 'lost');
      }
    }
    const isWorthKeeping = this.name !== undefined || this.locks.size > 0;
    if (!isWorthKeeping || this.abandonTimeoutMs === 0) {
      this.#finish('abandoned');
      return;
    }
    if (this.locks.size === 0) this.#host.registry.setIdle(this, true);
    this.#abandonTimer = this.#host.clock.setTimer(this.abandonTimeoutMs, () => {
      this.#finish('abandoned');
    });
  }

  /** Goes on with another connection, with everything as it is; the one before hears of it. */
  resume(peer: Peer, client: string): void {
    const before = this.#peer;
    this.#abandonTimer?.cancel();
    this.#host.registry.setIdle(this, false);
    this.#state = 'open';
    this.#peer = peer;
    this.#client = client;
    before?.sessionEnded('taken_over');
  }

  /**
   * Releases everything at once, for good.
   *
   * @param cause what is to be said of its locks to those who look on
   */
  end(cause: ReleaseCause = 'ended'): void {
    if (this.#state !== 'ended') this.#finish(cause);
  }

  /** Takes away one of this session's locks. Its peer hears before those who get what it leaves. */
  evictLock(lock: SessionLock): void {
    this.#peer?.lockChanged(lock, 'evicted');
    // A peer of v1 ends its session with that.
    if (lock.state !== 'released') this.#drop(lock, 'evicted');
  }

  /** Ends the session on an administrator's word, for good; its peer hears first. */
  evict(): void {
    if (this.#state === 'ended') return;
    const peer = this.#peer;
    // From here on the peer can't lose, release or resume anything.
    this.#state = 'ended';
    peer?.sessionEnded('evicted');
    this.#finish('evicted');
  }

  /** The server drains: `lock`, which waits, leaves the queue. */
  dropForDrain(lock: SessionLock): void {
    this.#peer?.lockChanged(lock, 'draining');
    this.#drop(lock, 'draining');
  }

  /** The server drains and there is nothing to be waited for here: ends it, and the peer hears. */
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
    this.#host.registry.leave(this);
  }

  /** Why `lock`, which must wait, should not. */
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

  /** `lock` leaves, whatever for; who waited for it alone gets what it left. */
  #drop(lock: SessionLock, cause: ReleaseCause): void {
    const { observer, counters, registry } = this.#host;
    counters.locksEnded[cause]++;
    lock.context.timer?.cancel();
    this.locks.remove(lock);
    if (this.#state === 'lost' && this.locks.size === 0) registry.setIdle(this, true);
    registry.memory.discharge(lock.context.bytes);
    this.#owners?.disown(lock);
    const acquired = this.namespace.table.release(lock);
    observer?.released(lock, cause);
    this.namespace.watchers.tell(cause, lock);
    // A peer that was just told may have released one that is still in the list.
    for (const next of acquired) if (next.state === 'acquired') next.context.session.#grant(next);
    if (registry.isDraining && this.locks.size === 0 && this.#state !== 'ended') {
      this.endForDrain();
    }
  }

  #grant(lock: SessionLock): void {
    lock.context.timer?.cancel();
    this.#owners?.granted(lock);
    const { clock, counters } = this.#host;
    const nowMs = Math.ceil(clock.now());
    counters.waits.add(nowMs - lock.context.sinceMs);
    lock.context.sinceMs = nowMs;
    this.#hold(lock);
    this.#peer?.lockChanged(lock, 'acquired');
  }

  #hold(lock: SessionLock): void {
    const { observer, clock, counters } = this.#host;
    counters.locksAcquired++;
    const record = lock.context;
    const { holdMs } = record.terms;
    record.timer =
      holdMs === undefined ? undefined : clock.setTimer(holdMs, () => this.#expire(lock));
    observer?.acquired(lock);
    this.namespace.watchers.tell('acquired', lock);
  }

  #limitWait(lock: SessionLock): void {
    const { waitMs } = lock.context.terms;
    if (waitMs === undefined) return;
    lock.context.timer = this.#host.clock.setTimer(waitMs, () => {
      // Before those behind it are told that they moved up.
      this.#peer?.lockChanged(lock, 'timeout');
      this.#drop(lock, 'timeout');
    });
  }

  #ownerNamed(name: string): Owner {
    this.#owners ??= new Owners(this);
    return this.#owners.named(name);
  }

  #expire(lock: SessionLock): void {
    this.#peer?.lockChanged(lock, 'expired');
    this.#drop(lock, 'expired');
  }
}
