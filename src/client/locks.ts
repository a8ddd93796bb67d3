/** All locks of a client, awaited, held or being released, and what happens to them together. */
import { type LockLostError, type LocktopusErrorCode, ProtocolError } from './errors.ts';
import type { HeldLock } from './held-lock.ts';
import { LockEntry, type LockHost, type LockSet } from './lock-entry.ts';
import type { LockTerms } from './options.ts';
import { lossBecause, lossOf } from './outcomes.ts';
import { outOfTurn, type Reply } from './replies.ts';
import { releaseRequest } from './requests.ts';
import type { Moment } from './trust.ts';
import { Wait } from './wait.ts';

export interface LocksHost extends LockHost {
  /** The number of locks that the caller awaits or holds has changed. */
  changed(): void;
}

export class Locks implements LockSet {
  readonly #host: LocksHost;
  /** By `ref`. */
  readonly #entries = new Map<number, LockEntry>();
  /** Locks that the caller awaits, holds, or waits to see released. */
  #inUse = 0;

  constructor(host: LocksHost) {
    this.#host = host;
  }

  /** Whether the caller awaits or holds a lock. */
  get isBusy(): boolean {
    return this.#inUse > 0;
  }

  /** The shortest `holdMs` of a lock that is awaited or held, in milliseconds; Infinity without one. */
  get shortestHoldMs(): number {
    let shortestMs = Number.POSITIVE_INFINITY;
    for (const { state, shortestHoldMs } of this.#entries.values()) {
      if (state !== 'leaving') shortestMs = Math.min(shortestMs, shortestHoldMs);
    }
    return shortestMs;
  }

  /** Requests a lock. Rejects with the reason of `signal` if that aborts first. */
  ask(terms: LockTerms, signal: AbortSignal | undefined): Promise<HeldLock> {
    if (signal?.aborted) return Promise.reject(signal.reason);
    return new Promise((resolve, reject) => {
      const ref = this.#host.nextRef();
      const wait = new Wait(this.#host, terms.waitMs, { resolve, reject });
      const entry = new LockEntry(ref, terms, wait, this.#host, this);
      this.#entries.set(ref, entry);
      this.#inUse++;
      this.#host.changed();
      entry.begin(signal);
    });
  }

  /** A lock has changed: a message that answers no request. */
  heard(reply: Reply): ProtocolError | undefined {
    const { ref, id } = reply;
    const entry = ref === undefined ? undefined : this.#entries.get(ref);
    if (entry === undefined || id === undefined) return outOfTurn(reply);
    return entry.heard(id, reply);
  }

  /** A session has begun or was resumed: sends the requests that were not answered. */
  begin(): void {
    for (const entry of [...this.#entries.values()]) entry.resend();
  }

  /** Why a resumed session can't have these locks, if so. */
  checkList(list: readonly Reply[]): ProtocolError | undefined {
    const refs = new Set(list.map(({ ref }) => ref));
    if (refs.size !== list.length) return new ProtocolError('the server listed a lock twice');
    for (const reply of list) {
      const entry = this.#entries.get(reply.ref ?? -1);
      if (entry !== undefined && !entry.canBeListed(reply)) return outOfTurn(reply);
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
      if (reply !== undefined) entry.listed(reply, since);
      else if (entry.state === 'held') missing.push(entry);
      else entry.notListed();
    }
    for (const { ref, id } of list) {
      if (id === undefined || this.#entries.has(ref ?? -1)) continue;
      // It belongs to a request that was given up while disconnected.
      this.#host.send(releaseRequest(this.#host.nextRef(), id, () => {}));
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
      else if (entry.state === 'leaving') entry.gone();
      else {
        entry.park();
        waiting.push(entry);
      }
    }
    this.#lose(held, 'gone', (id, terms) => lossBecause(id, terms, code, message));
    if (refusal !== undefined) for (const entry of waiting) entry.cancel(refusal);
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
      else if (entry.state === 'leaving') entry.leave();
    }
    this.#lose(held, 'leave', (id, terms) => lossOf(id, terms, 'unconfirmed'));
    return held.length > 0;
  }

  /** Rejects all waits. */
  refuseAll(error: Error): void {
    for (const entry of [...this.#entries.values()]) entry.refuse(error);
  }

  /** Marks locks as lost whose `holdMs` may have passed. */
  checkHolds(): void {
    for (const entry of [...this.#entries.values()]) entry.checkHold();
  }

  isHolder(owner: string): boolean {
    return [...this.#entries.values()].some(
      ({ state, terms }) => state === 'held' && terms.owner === owner,
    );
  }

  callerDone(): void {
    this.#inUse--;
    this.#host.changed();
  }

  remove({ ref }: LockEntry): void {
    this.#entries.delete(ref);
  }

  /** Marks all as lost, and only then runs the caller's handlers. */
  #lose(
    entries: readonly LockEntry[],
    how: 'gone' | 'leave',
    errorFor: (id: string, terms: LockTerms) => LockLostError,
  ): void {
    const losses = entries.map((entry) => [entry, errorFor(entry.id ?? '', entry.terms)] as const);
    for (const [entry, error] of losses) entry[how](error);
    for (const [entry, error] of losses) entry.reportLoss(error);
  }
}
