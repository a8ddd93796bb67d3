/**
 * One lock of the caller, from the request to its end, and what the server says about it.
 *
 *     asking --> queued --> held --> leaving --> (gone)
 *        |          |         |         ^
 *        |          |         +-- lost: not trusted any more
 *        +----------+-- cancelled: to be released as soon as there is a connection
 *
 * - `asking`: not sent, or sent and not answered.
 * - `queued`: it waits on the server.
 * - `held`: the caller holds it.
 * - `leaving`: the caller has released, lost or cancelled it, and the server may still have it.
 *
 * It is held only while the session is trusted. Once lost it never comes back: if the server has kept
 * it, it is released.
 */
import type { ClientClock } from './environment.ts';
import type { LockLostError, LocktopusError, ProtocolError } from './errors.ts';
import { Holding, type Keeper } from './held-lock.ts';
import { Hold } from './hold.ts';
import type { LockTerms } from './options.ts';
import { lossOf, outOfReach, refused, timedOut, waitEnded } from './outcomes.ts';
import { outOfTurn, type Reply, type ReplyError } from './replies.ts';
import { type Request, releaseRequest } from './requests.ts';
import { type Moment, momentOf } from './trust.ts';
import type { Wait } from './wait.ts';

/** What a lock needs of the session that it belongs to. */
export interface LockHost {
  readonly clock: ClientClock;
  /** Whether requests can be sent: there is a connection, and a session on it. */
  readonly isReady: boolean;
  /** For how many milliseconds locks may be trusted now, counted from `confirmedAt`. */
  readonly trust: { readonly leftMs: number; readonly confirmedAt: Moment } | undefined;
  /** Why there is no connection, if an attempt has failed. */
  readonly lastFailure: LocktopusError | undefined;
  nextRef(): number;
  send(request: Request): void;
  /** A grant arrived too late to be trusted: reconnects, so that the list of locks tells. */
  doubt(): void;
  /** Marks locks as lost that can't be trusted any more. */
  check(): void;
  /** A held lock was lost. Runs the caller's handlers. */
  lockLost(holding: Holding, error: LockLostError): void;
}

/** What a lock needs of the client's other locks. */
export interface LockSet {
  /** Whether that owner holds a lock. */
  isHolder(owner: string): boolean;
  /** The caller has no more interest in the lock. */
  callerDone(): void;
  /** The server no longer has the lock, or has never had it. */
  remove(entry: LockEntry): void;
}

/** As in the diagram above. */
export type EntryState = 'asking' | 'queued' | 'held' | 'leaving';

export class LockEntry implements Request, Keeper {
  readonly action = 'lock';
  readonly ref: number;
  readonly terms: LockTerms;
  readonly #wait: Wait;
  readonly #host: LockHost;
  readonly #set: LockSet;
  #state: EntryState = 'asking';
  /** Whether the server may know of it, in this session. */
  #isSent = false;
  #id: string | undefined;
  /** Whether the caller awaits it, holds it, or waits for its release. */
  #isInUse = true;
  #holding: Holding | undefined;
  /** Once it is held, if it has a limit. */
  #hold: Hold | undefined;
  #released: (() => void) | undefined;

  constructor(ref: number, terms: LockTerms, wait: Wait, host: LockHost, set: LockSet) {
    this.ref = ref;
    this.terms = terms;
    this.#wait = wait;
    this.#host = host;
    this.#set = set;
  }

  get state(): EntryState {
    return this.#state;
  }

  get id(): string | undefined {
    return this.#id;
  }

  /** The shortest `holdMs` that may count now, in milliseconds; Infinity without one. */
  get shortestHoldMs(): number {
    return this.#hold?.shortestMs ?? this.terms.holdMs ?? Number.POSITIVE_INFINITY;
  }

  get leftMs(): number {
    const trustMs = this.#host.trust?.leftMs ?? 0;
    return Math.max(0, Math.min(trustMs, this.#hold?.leftMs ?? trustMs));
  }

  /** Requests it, and limits the wait by its `waitMs` and by `signal`. */
  begin(signal: AbortSignal | undefined): void {
    if (signal !== undefined) this.#wait.listen(signal, (reason) => this.cancel(reason));
    this.#ask();
    this.#wait.limit(() => this.#waitIsOver());
  }

  /** There is a new connection: sends what was not answered. */
  resend(): void {
    this.#ask();
    if (this.#state === 'held') this.#hold?.resend();
  }

  message(): object {
    const { resources, holdMs, owner, label } = this.terms;
    const { leftMs } = this.#wait;
    return { action: 'lock', ref: this.ref, resources, waitMs: leftMs, holdMs, owner, label };
  }

  answered(reply: Reply): 'done' | ProtocolError {
    const { id, state, error } = reply;
    if (this.#state === 'queued' || this.#state === 'held') return outOfTurn(reply);
    if (error !== undefined) {
      if (this.#state === 'leaving') this.gone();
      else this.#refused(error);
      return 'done';
    }
    if (id === undefined || (this.#id !== undefined && this.#id !== id)) return outOfTurn(reply);
    if (state === 'timeout') {
      this.#endWait(timedOut(this.terms));
      return 'done';
    }
    if (state !== 'acquired' && state !== 'enqueued') return outOfTurn(reply);
    this.#placed(id, state);
    return 'done';
  }

  /** It has changed: a message that answers no request. */
  heard(id: string, reply: Reply): ProtocolError | undefined {
    const { state, error } = reply;
    if (id !== this.#id) return outOfTurn(reply);
    if (this.#state === 'leaving') {
      // A grant can cross a release. Every other state is final.
      if (state !== 'acquired') this.gone();
      return undefined;
    }
    if (this.#state === 'queued') return this.#waitChanged(id, reply);
    if (this.#state !== 'held' || error !== undefined) return outOfTurn(reply);
    if (state !== 'expired' && state !== 'evicted') return outOfTurn(reply);
    const loss = lossOf(id, this.terms, state);
    this.gone(loss);
    this.reportLoss(loss);
    return undefined;
  }

  /** Whether a resumed session can have it like this. */
  canBeListed({ id, state }: Reply): boolean {
    if (this.#id !== undefined && this.#id !== id) return false;
    return this.#state !== 'held' || state === 'acquired';
  }

  /**
   * A resumed session has it.
   *
   * @param since if it was granted meanwhile, then not before this
   */
  listed({ id = '', state }: Reply, since: Moment): void {
    if (this.#state === 'held') return;
    this.#placed(id, state === 'acquired' ? 'acquired' : 'enqueued', since);
  }

  /** A resumed session does not have it, and it is not held. */
  notListed(): void {
    if (this.#state === 'leaving') this.gone();
    else if (this.#state === 'queued') {
      const isTimeout = this.#wait.leftMs === 0;
      this.#endWait(isTimeout ? timedOut(this.terms) : waitEnded(this.terms, 'missing'));
    }
  }

  /** Back to the state before it was sent. */
  park(): void {
    this.#state = 'asking';
    this.#isSent = false;
    this.#id = undefined;
  }

  /** Rejects the wait, if it is still going on. */
  refuse(error: Error): void {
    if (!this.#wait.isOver) this.cancel(error);
  }

  /** The caller stops waiting: it leaves the queue, and if granted nevertheless is released. */
  cancel(reason: unknown): void {
    this.#wait.fail(reason);
    if (!this.#isSent) {
      this.gone();
      return;
    }
    this.leave();
    this.#sendRelease();
  }

  /** Marks it as lost if it can't be trusted any more. */
  check(): void {
    this.#host.check();
    this.checkHold();
  }

  /** Marks it as lost if its hold may have ended. */
  checkHold(): void {
    if (this.#state !== 'held' || this.#hold === undefined || this.#hold.leftMs > 0) return;
    const loss = lossOf(this.#id ?? '', this.terms, 'expired');
    this.leave(loss);
    this.reportLoss(loss);
    this.#sendRelease();
  }

  extend(holdMs: number): Promise<void> {
    // Most locks have no limit, and no `Hold` before they are extended: it would cost 2.5 us a cycle.
    this.#hold ??= this.#holdOf(Number.POSITIVE_INFINITY, momentOf(this.#host.clock));
    return this.#hold.extend(holdMs);
  }

  release(): Promise<void> {
    if (this.#state !== 'held') return Promise.resolve();
    this.#hold?.release();
    this.#state = 'leaving';
    const released = new Promise<void>((resolve) => {
      this.#released = resolve;
    });
    this.#sendRelease();
    return released;
  }

  /**
   * The caller has no more interest in it, but the server may still have it.
   *
   * @param lostBy if it was held, and is lost
   */
  leave(lostBy?: LockLostError): void {
    this.#state = 'leaving';
    if (lostBy !== undefined) this.#holding?.markLost(lostBy);
    this.#hold?.end(lostBy);
    this.#detach();
  }

  /**
   * The server no longer has it.
   *
   * @param lostBy as for `leave`
   */
  gone(lostBy?: LockLostError): void {
    this.leave(lostBy);
    this.#set.remove(this);
  }

  /** It is marked as lost: reports it. Must come last, since it runs the caller's handlers. */
  reportLoss(error: LockLostError): void {
    if (this.#holding === undefined) return;
    this.#holding.abort();
    this.#host.lockLost(this.#holding, error);
  }

  #ask(): void {
    if (this.#state !== 'asking' || !this.#host.isReady) return;
    this.#isSent = true;
    this.#host.send(this);
  }

  /**
   * The server has it, held or in the queue.
   *
   * @param since if it is held, it was not granted before this
   */
  #placed(id: string, state: 'acquired' | 'enqueued', since?: Moment): void {
    this.#id = id;
    if (this.#state === 'leaving') this.#sendRelease();
    else if (state === 'acquired') this.#grant(id, since);
    else this.#state = 'queued';
  }

  #waitChanged(id: string, reply: Reply): ProtocolError | undefined {
    const { state, error } = reply;
    if (error !== undefined) this.#refused(error);
    else if (state === 'acquired') this.#grant(id);
    else if (state === 'timeout') this.#endWait(timedOut(this.terms));
    else if (state === 'evicted') this.#endWait(waitEnded(this.terms, state));
    else return outOfTurn(reply);
    return undefined;
  }

  #grant(id: string, since?: Moment): void {
    const { trust } = this.#host;
    if (trust === undefined || trust.leftMs <= 0) {
      // It arrived too late: the server may have granted it to another client since.
      this.#state = 'queued';
      this.#host.doubt();
      return;
    }
    const { resources, owner, holdMs } = this.terms;
    const hold =
      holdMs === undefined ? undefined : this.#holdOf(holdMs, since ?? trust.confirmedAt);
    if (hold !== undefined && hold.leftMs <= 0) {
      this.cancel(lossOf(id, this.terms, 'too late'));
      return;
    }
    this.#state = 'held';
    this.#hold = hold;
    this.#holding = new Holding(id, resources, owner, this);
    this.#wait.grant(this.#holding);
    hold?.limit();
  }

  #holdOf(holdMs: number, since: Moment): Hold {
    return new Hold(this.#host, this.#id ?? '', holdMs, since, () => this.checkHold());
  }

  #sendRelease(): void {
    if (!this.#host.isReady || this.#id === undefined) return;
    this.#host.send(releaseRequest(this.#host.nextRef(), this.#id, () => this.gone()));
  }

  #refused(error: ReplyError): void {
    const { waitMs, owner } = this.terms;
    // The next server, or this one after its restart, may grant it. But an owner whose lock the drain
    // waits for must not wait for the end of the drain.
    const delaysDrain = owner !== undefined && this.#set.isHolder(owner);
    if (error.code === 'draining' && waitMs !== 0 && !delaysDrain) this.park();
    else this.#endWait(refused(error));
  }

  #waitIsOver(): void {
    const { lastFailure, isReady } = this.#host;
    const isWaiting = isReady && this.#state === 'queued';
    this.cancel(isWaiting ? timedOut(this.terms) : outOfReach(this.terms, lastFailure));
  }

  /** The server has ended the wait. */
  #endWait(reason: LocktopusError): void {
    this.#wait.fail(reason);
    this.gone();
  }

  #detach(): void {
    this.#released?.();
    this.#released = undefined;
    if (!this.#isInUse) return;
    this.#isInUse = false;
    this.#set.callerDone();
  }
}
