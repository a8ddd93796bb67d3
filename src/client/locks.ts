/**
 * All locks of a client, awaited, held or being released, and what the server says about them.
 *
 *     asking --> queued --> held --> leaving --> (gone)
 *        |          |         |         ^
 *        |          |         +-- lost: not trusted any more
 *        +----------+-- cancelled: to be released as soon as there is a connection
 *
 * A lock is held only while the session is trusted. A lost lock never comes back: if the server has kept
 * it, it is released.
 */

import { type LockLostError, type LocktopusErrorCode, ProtocolError } from './errors.ts';
import { type HeldLock, Holding } from './held-lock.ts';
import { LockEntry, type LockHost, type LockTerms } from './lock-entry.ts';
import { lossBecause, lossOf, outOfReach, refused, timedOut, waitEnded } from './outcomes.ts';
import { outOfTurn, type Reply, type ReplyError } from './replies.ts';
import { elapsedMs, holdTrustMs, type Moment } from './trust.ts';

/** Milliseconds by which the server may be late to report that a wait is over. */
const ANSWER_SLACK_MS = 5000;

export class Locks {
  readonly #host: LockHost;
  readonly #entries = new Map<number, LockEntry>();
  /** Locks that the caller awaits, holds, or waits to see released. */
  #wanted = 0;

  constructor(host: LockHost) {
    this.#host = host;
  }

  /** Whether the caller awaits or holds a lock. */
  get isBusy(): boolean {
    return this.#wanted > 0;
  }

  /** The shortest `holdMs` of a lock that is awaited or held, in milliseconds; Infinity without one. */
  get shortestHoldMs(): number {
    let shortestMs = Number.POSITIVE_INFINITY;
    for (const { terms, state } of this.#entries.values()) {
      if (state !== 'leaving') shortestMs = Math.min(shortestMs, terms.holdMs ?? shortestMs);
    }
    return shortestMs;
  }

  /** Requests a lock. Rejects with the reason of `signal` if that aborts first. */
  ask(terms: LockTerms, signal: AbortSignal | undefined): Promise<HeldLock> {
    if (signal?.aborted) return Promise.reject(signal.reason);
    const { clock, isReady } = this.#host;
    return new Promise((resolve, reject) => {
      const ref = this.#host.nextRef();
      const entry = new LockEntry(ref, terms, clock, { resolve, reject }, (...answer) =>
        this.#answered(...answer),
      );
      this.#entries.set(ref, entry);
      this.#countWanted(1);
      if (signal !== undefined) entry.listen(signal, (reason) => this.#cancel(entry, reason));
      if (isReady) this.#sendAsk(entry);
      const { waitMs } = terms;
      if (waitMs === 0 && !isReady) this.#waitIsOver(entry);
      else if (waitMs !== undefined) this.#limitWait(entry, waitMs);
    });
  }

  /** A lock has changed: a message that answers no request. */
  heard(reply: Reply): ProtocolError | undefined {
    const { ref, id, state, error } = reply;
    const entry = ref === undefined ? undefined : this.#entries.get(ref);
    if (entry === undefined || id === undefined || entry.id !== id) return outOfTurn(reply);
    if (entry.state === 'leaving') {
      // A grant can cross a release. Every other state is final.
      if (state !== 'acquired') this.#gone(entry);
      return undefined;
    }
    if (entry.state === 'queued') return this.#waitEnded(entry, id, reply);
    if (entry.state !== 'held' || error !== undefined) return outOfTurn(reply);
    if (state !== 'expired' && state !== 'evicted') return outOfTurn(reply);
    this.#lose([entry], 'gone', (id, terms) => lossOf(id, terms, state));
    return undefined;
  }

  /** A session has begun or was resumed: sends the requests that were not answered. */
  begin(): void {
    for (const entry of [...this.#entries.values()]) {
      if (entry.state === 'asking' && this.#host.isReady) this.#sendAsk(entry);
    }
  }

  /** Why a resumed session can't have these locks, if so. */
  checkList(list: readonly Reply[]): ProtocolError | undefined {
    const refs = new Set(list.map(({ ref }) => ref));
    if (refs.size !== list.length) return new ProtocolError('the server listed a lock twice');
    for (const reply of list) {
      const entry = this.#entries.get(reply.ref ?? -1);
      const isOther = entry?.id !== undefined && entry.id !== reply.id;
      const isBack = entry?.state === 'held' && reply.state !== 'acquired';
      if (isOther || isBack) return outOfTurn(reply);
    }
    return undefined;
  }

  /**
   * The session was resumed with these locks. A held lock that is not listed is lost; an unanswered
   * request that is not listed is sent again.
   *
   * @param since a lock that was granted meanwhile was not granted before this
   * @returns reports the losses; must be called last, since it runs the caller's handlers
   */
  resume(list: readonly Reply[], since: Moment): () => void {
    const listed = new Map(list.map((reply) => [reply.ref, reply]));
    const missing: LockEntry[] = [];
    for (const entry of [...this.#entries.values()]) {
      const reply = listed.get(entry.ref);
      if (reply === undefined) this.#notListed(entry, missing);
      else this.#listed(entry, reply, since);
    }
    for (const { ref, id } of list) {
      if (id !== undefined && !this.#entries.has(ref ?? -1)) this.#sendRelease(id, undefined);
    }
    this.begin();
    return () => this.#lose(missing, 'gone', (id, terms) => lossOf(id, terms, 'missing'));
  }

  /**
   * The session has ended, and all its locks with it. Waits go on in the next one.
   *
   * @param refusal rejects the waits as well
   */
  sessionGone(code: LocktopusErrorCode, message: string, refusal?: Error): void {
    const held: LockEntry[] = [];
    const waiting: LockEntry[] = [];
    for (const entry of [...this.#entries.values()]) {
      if (entry.state === 'held') held.push(entry);
      else if (entry.state === 'leaving') this.#gone(entry);
      else {
        entry.park();
        waiting.push(entry);
      }
    }
    this.#lose(held, 'gone', (id, terms) => lossBecause(id, terms, code, message));
    if (refusal !== undefined) for (const entry of waiting) this.#cancel(entry, refusal);
  }

  /**
   * The session is not trusted any more: held locks are lost, though the server may still have them.
   *
   * @returns whether anything was lost
   */
  loseAll(): boolean {
    const held: LockEntry[] = [];
    for (const entry of [...this.#entries.values()]) {
      if (entry.state === 'held') held.push(entry);
      else if (entry.state === 'leaving') this.#detach(entry);
    }
    this.#lose(held, 'leaving', (id, terms) => lossOf(id, terms, 'unconfirmed'));
    return held.length > 0;
  }

  /** Rejects all waits. */
  refuseAll(error: Error): void {
    for (const entry of [...this.#entries.values()]) {
      if (entry.isAwaited) this.#cancel(entry, error);
    }
  }

  #sendAsk(entry: LockEntry): void {
    entry.isSent = true;
    this.#host.send(entry);
  }

  #answered(entry: LockEntry, reply: Reply): 'done' | ProtocolError {
    const { id, state, error } = reply;
    if (entry.state === 'queued' || entry.state === 'held') return outOfTurn(reply);
    if (error !== undefined) {
      if (entry.state === 'leaving') this.#gone(entry);
      else this.#refused(entry, error);
      return 'done';
    }
    if (id === undefined || (entry.id !== undefined && entry.id !== id)) return outOfTurn(reply);
    if (state === 'timeout') {
      if (entry.state !== 'leaving') entry.fail(timedOut(entry.terms));
      this.#gone(entry);
      return 'done';
    }
    if (state !== 'acquired' && state !== 'enqueued') return outOfTurn(reply);
    this.#placed(entry, id, state);
    return 'done';
  }

  /**
   * The server has it, held or in the queue.
   *
   * @param since if it is held, it was not granted before this
   */
  #placed(entry: LockEntry, id: string, state: 'acquired' | 'enqueued', since?: Moment): void {
    entry.id = id;
    if (entry.state === 'leaving') this.#sendRelease(id, entry);
    else if (state === 'acquired') this.#grant(entry, id, since);
    else entry.state = 'queued';
  }

  #waitEnded(entry: LockEntry, id: string, reply: Reply): ProtocolError | undefined {
    const { state, error } = reply;
    if (error !== undefined) {
      this.#refused(entry, error);
    } else if (state === 'acquired') {
      this.#grant(entry, id);
    } else if (state === 'timeout' || state === 'evicted') {
      entry.fail(state === 'timeout' ? timedOut(entry.terms) : waitEnded(entry.terms, state));
      this.#gone(entry);
    } else return outOfTurn(reply);
    return undefined;
  }

  #grant(entry: LockEntry, id: string, since?: Moment): void {
    const { trust, clock } = this.#host;
    if (trust === undefined || trust.leftMs <= 0) {
      // It arrived too late: the server may have granted it to another client since.
      entry.state = 'queued';
      this.#host.doubt();
      return;
    }
    const { resources, owner, holdMs = Number.POSITIVE_INFINITY } = entry.terms;
    const heldSince = since ?? trust.confirmedAt;
    const leftMs = holdTrustMs(holdMs) - elapsedMs(clock, heldSince);
    if (leftMs <= 0) {
      this.#cancel(entry, lossOf(id, entry.terms, 'too late'));
      return;
    }
    entry.state = 'held';
    entry.heldSince = heldSince;
    const holding = new Holding(id, resources, owner, {
      check: () => {
        this.#host.check();
        this.#checkHold(entry);
      },
      release: () => this.#release(entry),
    });
    entry.grant(holding);
    if (entry.terms.holdMs !== undefined) this.#limitHold(entry, leftMs);
  }

  #limitHold(entry: LockEntry, delayMs: number): void {
    entry.timer = this.#host.clock.setTimer(delayMs, () => {
      this.#checkHold(entry);
      // A timer can fire slightly early.
      if (entry.state === 'held') this.#limitHold(entry, 1);
    });
  }

  /** Marks locks as lost whose `holdMs` may have passed. */
  checkHolds(): void {
    for (const entry of [...this.#entries.values()]) this.#checkHold(entry);
  }

  #checkHold(entry: LockEntry): void {
    const { holdMs } = entry.terms;
    if (entry.state !== 'held' || holdMs === undefined || entry.heldSince === undefined) return;
    if (elapsedMs(this.#host.clock, entry.heldSince) < holdTrustMs(holdMs)) return;
    this.#lose([entry], 'leaving', (id, terms) => lossOf(id, terms, 'expired'));
    if (this.#host.isReady && entry.id !== undefined) this.#sendRelease(entry.id, entry);
  }

  #refused(entry: LockEntry, error: ReplyError): void {
    // The next server, or this one after its restart, may grant it. But an owner whose lock the drain
    // waits for must not wait for the end of the drain.
    const mayWait = entry.terms.waitMs !== 0 && !this.#delaysDrain(entry);
    if (error.code === 'draining' && mayWait) {
      entry.park();
      return;
    }
    entry.fail(refused(error));
    this.#gone(entry);
  }

  #delaysDrain({ terms: { owner } }: LockEntry): boolean {
    if (owner === undefined) return false;
    for (const { state, terms } of this.#entries.values()) {
      if (state === 'held' && terms.owner === owner) return true;
    }
    return false;
  }

  #listed(entry: LockEntry, { id = '', state }: Reply, since: Moment): void {
    if (entry.state === 'held') return;
    this.#placed(entry, id, state === 'acquired' ? 'acquired' : 'enqueued', since);
  }

  #notListed(entry: LockEntry, missing: LockEntry[]): void {
    const { waitMs } = entry.terms;
    if (entry.state === 'held') missing.push(entry);
    else if (entry.state === 'leaving') this.#gone(entry);
    else if (entry.state === 'queued') {
      const isOver = waitMs !== undefined && entry.waitedMs >= waitMs;
      entry.fail(isOver ? timedOut(entry.terms) : waitEnded(entry.terms, 'missing'));
      this.#gone(entry);
    }
  }

  #release(entry: LockEntry): Promise<void> {
    if (entry.state !== 'held') return Promise.resolve();
    entry.timer?.cancel();
    entry.state = 'leaving';
    const released = entry.untilReleased();
    if (this.#host.isReady && entry.id !== undefined) this.#sendRelease(entry.id, entry);
    return released;
  }

  /** @param entry is removed with the answer; undefined for a lock that this client doesn't know */
  #sendRelease(id: string, entry: LockEntry | undefined): void {
    const ref = this.#host.nextRef();
    this.#host.send({
      ref,
      action: 'release',
      message: () => ({ action: 'release', ref, id }),
      answered: (reply) => {
        const isReleased = reply.state === 'released' && reply.id === id;
        if (!isReleased && reply.error?.code !== 'no_such_lock') return outOfTurn(reply);
        if (entry !== undefined) this.#gone(entry);
        return 'done';
      },
    });
  }

  #limitWait(entry: LockEntry, delayMs: number): void {
    entry.timer = this.#host.clock.setTimer(delayMs, () => {
      const isLate = entry.waitedMs >= (entry.terms.waitMs ?? 0) + ANSWER_SLACK_MS;
      // While connected, the server reports it.
      if (this.#host.isReady && !isLate) this.#limitWait(entry, ANSWER_SLACK_MS);
      else this.#waitIsOver(entry);
    });
  }

  #waitIsOver(entry: LockEntry): void {
    const { lastFailure, isReady } = this.#host;
    const isWaiting = isReady && entry.state === 'queued';
    this.#cancel(entry, isWaiting ? timedOut(entry.terms) : outOfReach(entry.terms, lastFailure));
  }

  /** The caller stops waiting: the request leaves the queue, and if granted nevertheless is released. */
  #cancel(entry: LockEntry, reason: unknown): void {
    entry.fail(reason);
    if (!entry.isSent) {
      this.#gone(entry);
      return;
    }
    this.#detach(entry);
    entry.state = 'leaving';
    if (this.#host.isReady && entry.id !== undefined) this.#sendRelease(entry.id, entry);
  }

  /** Marks all as lost, and only then runs the caller's handlers. */
  #lose(
    entries: readonly LockEntry[],
    to: 'gone' | 'leaving',
    errorFor: (id: string, terms: LockTerms) => LockLostError,
  ): void {
    for (const entry of entries) {
      entry.state = 'leaving';
      if (to === 'gone') this.#gone(entry);
      else this.#detach(entry);
    }
    for (const { id = '', terms, holding } of entries) {
      const error = errorFor(id, terms);
      holding?.lose(error);
      if (holding !== undefined) this.#host.lockLost(holding, error);
    }
  }

  #gone(entry: LockEntry): void {
    this.#entries.delete(entry.ref);
    this.#detach(entry);
  }

  /** The caller has no more interest in it, whatever the server still says. */
  #detach(entry: LockEntry): void {
    entry.release();
    if (!entry.isWanted) return;
    entry.isWanted = false;
    this.#countWanted(-1);
  }

  #countWanted(change: 1 | -1): void {
    this.#wanted += change;
    this.#host.changed();
  }
}
