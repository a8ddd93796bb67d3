/** One lock request of the caller's, from the call to the end of the lock, as the client keeps it. */
import { elapsedMs, type Moment, momentOf } from './belief.ts';
import type { ClientClock, Timer } from './environment.ts';
import type { LockLostError, LocktopusError, ProtocolError } from './errors.ts';
import type { HeldLock, Holding } from './held-lock.ts';
import type { Reply } from './replies.ts';
import type { Request } from './requests.ts';
import type { Resource } from './resources.ts';

export interface LockTerms {
  readonly resources: readonly Resource[];
  readonly waitMs: number | undefined;
  readonly holdMs: number | undefined;
  readonly owner: string | undefined;
  readonly label: string | undefined;
}

/** How the caller is told. */
export interface Outcome {
  resolve(lock: HeldLock): void;
  reject(reason: unknown): void;
}

/**
 * - `asking`: the server has not answered, if it was asked at all.
 * - `queued`: it waits there.
 * - `held`: the caller has it.
 * - `leaving`: the caller has done with it, or lost it, and the server may have it still.
 */
export type EntryState = 'asking' | 'queued' | 'held' | 'leaving';

export class LockEntry implements Request {
  readonly action = 'lock';
  readonly ref: number;
  readonly terms: LockTerms;
  state: EntryState = 'asking';
  /** Whether this session may know of it. */
  isSent = false;
  id: string | undefined;
  /** Whether the caller awaits it, holds it, or waits to be rid of it. */
  isOwed = true;
  holding: Holding | undefined;
  /** The server held it no earlier than this. */
  heldSince: Moment | undefined;
  /** Of the wait, then of the hold. */
  timer: Timer | undefined;
  readonly #clock: ClientClock;
  readonly #askedAt: Moment;
  readonly #answered: (entry: LockEntry, reply: Reply) => 'done' | ProtocolError;
  #outcome: Outcome | undefined;
  #stopListening: (() => void) | undefined;
  #released: (() => void) | undefined;

  constructor(
    ref: number,
    terms: LockTerms,
    clock: ClientClock,
    outcome: Outcome,
    answered: (entry: LockEntry, reply: Reply) => 'done' | ProtocolError,
  ) {
    this.ref = ref;
    this.terms = terms;
    this.#clock = clock;
    this.#askedAt = momentOf(clock);
    this.#outcome = outcome;
    this.#answered = answered;
  }

  /** Calls `cancel` when `signal` aborts while the caller waits. */
  listen(signal: AbortSignal, cancel: (reason: unknown) => void): void {
    const listener = (): void => cancel(signal.reason);
    signal.addEventListener('abort', listener, { once: true });
    this.#stopListening = () => signal.removeEventListener('abort', listener);
  }

  get isAwaited(): boolean {
    return this.#outcome !== undefined;
  }

  get waitedMs(): number {
    return elapsedMs(this.#clock, this.#askedAt);
  }

  message(): object {
    const { resources, waitMs, holdMs, owner, label } = this.terms;
    // A part of the wait may be over before the server hears of it.
    const leftMs =
      waitMs === undefined ? undefined : Math.max(0, Math.ceil(waitMs - this.waitedMs));
    return { action: 'lock', ref: this.ref, resources, waitMs: leftMs, holdMs, owner, label };
  }

  answered(reply: Reply): 'done' | ProtocolError {
    return this.#answered(this, reply);
  }

  /** Back to where it was before the server was asked. */
  park(): void {
    this.state = 'asking';
    this.isSent = false;
    this.id = undefined;
  }

  /** The caller has its lock. */
  grant(holding: Holding): void {
    this.holding = holding;
    const outcome = this.#settle();
    outcome?.resolve(holding);
  }

  /** The caller gets none. */
  fail(reason: unknown): void {
    this.#settle()?.reject(reason);
  }

  /** Resolves when the server has it no more, or it does not matter any more. */
  untilReleased(): Promise<void> {
    return new Promise((resolve) => {
      this.#released = resolve;
    });
  }

  /** Tells a caller that waits for the release; no effect if none does. */
  release(): void {
    this.timer?.cancel();
    this.#released?.();
    this.#released = undefined;
  }

  #settle(): Outcome | undefined {
    const outcome = this.#outcome;
    this.#outcome = undefined;
    this.timer?.cancel();
    this.timer = undefined;
    this.#stopListening?.();
    this.#stopListening = undefined;
    return outcome;
  }
}

/** What `Locks` needs of the session that it belongs to. */
export interface LockHost {
  readonly clock: ClientClock;
  /** Whether requests can be sent: connected, greeted, and of one mind with the server. */
  readonly isReady: boolean;
  /** Milliseconds for which a lock may be believed in now, and from when on that is reckoned. */
  readonly belief: { readonly leftMs: number; readonly confirmedAt: Moment } | undefined;
  /** Why there is no connection, if there was an attempt. */
  readonly lastFailure: LocktopusError | undefined;
  nextRef(): number;
  send(request: Request): void;
  /** The server granted something that can't be believed: ask anew on another connection. */
  doubt(): void;
  /** Loses what can't be believed in any more. */
  check(): void;
  /** A lock that was held is lost. Runs code of the caller's. */
  lockLost(holding: Holding, error: LockLostError): void;
  /** The number of locks that the caller awaits or holds has changed. */
  changed(): void;
}
