/**
 * A server's sessions and locks in a store: reads them at the start, keeps them up to date by the
 * ledger, and leaves them there at the end.
 */
import type { ShiftedClock, Timer } from '../runtime/clock.ts';
import type { IdCounter } from '../runtime/id-counter.ts';
import type { Namespaces } from '../session/namespace.ts';
import { restore } from '../session/recovery.ts';
import type { SessionHost } from '../session/session-host.ts';
import { Ledger } from './ledger.ts';
import type { Store } from './store.ts';

/** What a recovery has brought back. */
export interface Recovered {
  readonly sessions: number;
  readonly locks: number;
  /** Milliseconds that it took. */
  readonly ms: number;
  /** Bytes that the store occupies, if it knows. */
  readonly bytes: number | undefined;
}

export interface PersistenceOptions {
  readonly clock: ShiftedClock;
  /** Counts the locks of all tables. Has given out none before the recovery. */
  readonly lockIds: IdCounter;
  readonly registry: Namespaces;
  /** Milliseconds since 1970, as from `Date.now`: it may have been set back. */
  readonly wallNow: () => number;
  /**
   * Milliseconds (>= 0) before the abandon timeouts of restored sessions begin: an earlier server may
   * go on speaking to their clients for so long. Default 0.
   */
  readonly graceMs?: number;
  /** Called once, when the store fails: the server must not serve any more. */
  readonly failed: (error: Error) => void;
}

export class Persistence {
  readonly ledger: Ledger;
  readonly #store: Store;
  readonly #options: PersistenceOptions;
  #recovered: Recovered | undefined;
  #recovery: Promise<Recovered> | undefined;
  #closed: Promise<void> | undefined;
  #grace: Timer | undefined;

  constructor(store: Store, options: PersistenceOptions) {
    const { clock, lockIds, registry, failed } = options;
    this.#store = store;
    this.#options = options;
    this.ledger = new Ledger(store, {
      clock,
      ids: { lastLockId: () => lockIds.last, lastSessionId: () => registry.lastSessionId },
      failed,
    });
    clock.holdsInput(() => this.ledger.lastBehindMs);
  }

  /** Undefined until the recovery is complete: no client may be served before. */
  get recovered(): Recovered | undefined {
    return this.#recovered;
  }

  /** For the metrics. */
  snapshot() {
    const { statistics, heldBackBytes } = this.ledger;
    const { commits, records, bytes: bytesWritten } = statistics;
    const { sessions = 0, locks = 0 } = this.#recovered ?? {};
    const bytes = this.#store.bytes ?? 0;
    return { commits, records, bytesWritten, bytes, heldBackBytes, recovered: { sessions, locks } };
  }

  /**
   * Restores what the store has. Rejects with a `StoreError`, and with nothing in the store
   * changed, if it can't be used.
   */
  recover(host: SessionHost): Promise<Recovered> {
    this.#recovery = this.#recover(host);
    return this.#recovery;
  }

  async #recover(host: SessionHost): Promise<Recovered> {
    const { clock, lockIds, registry, wallNow, graceMs = 0 } = this.#options;
    const startMs = performance.now();
    const { position, sessions, locks } = await this.#store.load((error) =>
      this.ledger.fail(error),
    );
    clock.continueFrom(position.clockMs);
    const restored = await restore({ ...host, clock }, lockIds, sessions, locks);
    lockIds.skipTo(position.lockIds);
    lockIds.skipToTime(wallNow());
    registry.skipSessionIds(position.sessionIds);
    await this.ledger.start(position.batch + 1, restored);
    // Only now: what ends from here on is recorded.
    registry.leaveQueues();
    for (const session of restored) session.goOn();
    const awaitResumes = (): void => {
      for (const session of restored) session.recovered();
    };
    if (graceMs === 0) awaitResumes();
    else this.#grace = clock.setTimer(graceMs, awaitResumes);
    const ms = performance.now() - startMs;
    this.#recovered = {
      sessions: sessions.length,
      locks: locks.length,
      ms,
      bytes: this.#store.bytes,
    };
    return this.#recovered;
  }

  /** Records nothing from now on: what the server ends as it stops stays in the store. */
  freeze(): void {
    this.ledger.freeze();
  }

  /** Commits what is left, and gives up the store; after the recovery, if one is under way. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    await this.#recovery?.catch(() => {});
    this.#grace?.cancel();
    await this.ledger.finish();
    await this.#store.close();
  }
}
