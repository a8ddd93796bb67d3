/** One lock request of the caller, from the call to the end of the lock. */

import type { ClientClock, Timer } from './environment.ts';
import type { LockLostError, LocktopusError, ProtocolError } from './errors.ts';
import type { HeldLock, Holding } from './held-lock.ts';
import type { Reply } from './replies.ts';
import type { Request } from './requests.ts';
import type { Resource } from './resources.ts';
import { elapsedMs, type Moment, momentOf } from './trust.ts';

export interface LockTerms {
  readonly resources: readonly Resource[];
  readonly waitMs: number | undefined;
  readonly holdMs: number | undefined;
  readonly owner: string | undefined;
  readonly label: string | undefined;
}

/** Settles the caller's promise. */
export interface Outcome {
  resolve(lock: HeldLock): void;
  reject(reason: unknown): void;
}

/**
 * - `asking`: not sent, or sent and not answered.
 * - `queued`: it waits on the server.
 * - `held`: the caller holds it.
 * - `leaving`: the caller has released, lost or cancelled it, and the server may still have it.
 */
export type EntryState = 'asking' | 'queued' | 'held' | 'leaving';

export class LockEntry implements Request {
  readonly action = 'lock';
  readonly ref: number;
  readonly terms: LockTerms;
  state: EntryState = 'asking';
  /** Whether the server may know of it, in this session. */
  isSent = false;
  id: string | undefined;
  /** Whether the caller awaits it, holds it, or waits for its release. */
  isWanted = true;
  holding: Holding | undefined;
  /** It was not granted before this moment. */
  heldSince: Moment | undefined;
  /** For the wait, then for the hold. */
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

  /** Calls `cancel` if `signal` aborts while the caller waits. */
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
    // Part of the wait may have passed before the request is sent.
    const leftMs =
      waitMs === undefined ? undefined : Math.max(0, Math.ceil(waitMs - this.waitedMs));
    return { action: 'lock', ref: this.ref, resources, waitMs: leftMs, holdMs, owner, label };
  }

  answered(reply: Reply): 'done' | ProtocolError {
    return this.#answered(this, reply);
  }

  /** Back to the state before it was sent. */
  park(): void {
    this.state = 'asking';
    this.isSent = false;
    this.id = undefined;
  }

  /** Resolves the caller's promise. */
  grant(holding: Holding): void {
    this.holding = holding;
    const outcome = this.#settle();
    outcome?.resolve(holding);
  }

  /** Rejects the caller's promise, if it is still pending. */
  fail(reason: unknown): void {
    this.#settle()?.reject(reason);
  }

  /** Resolves when the server no longer has it, or that no longer matters. */
  untilReleased(): Promise<void> {
    return new Promise((resolve) => {
      this.#released = resolve;
    });
  }

  /** Settles `untilReleased`; no effect if it is not awaited. */
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
  /** The number of locks that the caller awaits or holds has changed. */
  changed(): void;
}
