/**
 * Stands between the server and its store. It gathers changes into batches, keeps one commit under
 * way, and holds output back until what it depends on is stored: nothing is said before that. So a
 * crash at any moment is to clients what a lost connection is.
 *
 * The changes of some turns of the event loop go into one batch; while a batch is being committed the
 * next one gathers. A lock that begins and ends within one batch is never written.
 *
 * Invariants:
 *  1. A job given to `whenStored` runs after the commit of every change recorded before it.
 *  2. Jobs run in the order in which they were given.
 *  3. No id above those in the last committed batch reaches a client.
 */
import type { Clock } from '../runtime/clock.ts';
import type { SessionLock } from '../session/lock-record.ts';
import type { Session } from '../session/session.ts';
import type { Journal } from '../session/session-host.ts';
import { CommitStatistics } from './commit-statistics.ts';
import { Gathering, lockPut, sessionPut } from './gathering.ts';
import type { Batch, Position, Store } from './store.ts';

/**
 * Ids are stored ahead, so that a batch is rarely needed for ids alone: a lock that begins and ends
 * within a batch leaves no other trace, but its id may be a fencing token.
 */
const LOCK_IDS_AHEAD = 1_000_000;
const SESSION_IDS_AHEAD = 1000;

/** A commit under way for this long, in milliseconds, counts as a store that is behind. */
export const SLOW_COMMIT_MS = 1000;

/** More output held back than this, in bytes, too. */
const MUCH_HELD_BACK_BYTES = 64 * 1024 * 1024;

/**
 * A batch gathers for so many milliseconds as long as each turn adds to it: about two writes to a fast
 * disk. With 64 clients that wait for each answer, batches are larger and there is less to write: 0.61
 * of the cycles in memory instead of 0.51. A single change does not wait.
 */
const GATHER_MS = 0.3;

type Job = () => void;

/** The counters of ids that a batch carries. */
export interface IdSources {
  /** The id of a lock that was given out last. */
  lastLockId(): number;
  lastSessionId(): number;
}

export interface LedgerOptions {
  readonly clock: Clock;
  readonly ids: IdSources;
  /** Called once, when the store fails. No job runs any more. */
  readonly failed: (error: Error) => void;
}

export class Ledger implements Journal {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #ids: IdSources;
  readonly #failed: (error: Error) => void;
  readonly statistics = new CommitStatistics();
  /** Sessions with a record, committed or gathered. */
  readonly #stored = new Set<Session>();
  #gathering = new Gathering();
  /** What had gathered when the ledger was frozen, until it is committed. */
  #frozen: readonly string[] = [];
  /** Jobs that wait for the commit under way; undefined if there is none. */
  #underWay: Job[] | undefined;
  #commitStartMs = 0;
  /** Jobs that wait for the batch that gathers. */
  #waiting: Job[] = [];
  #waitingBytes = 0;
  #underWayBytes = 0;
  #caughtUp: Job[] = [];
  #lastBehindMs = Number.NEGATIVE_INFINITY;
  /** The last batch, committed or under way. */
  #position: Position = { batch: 0, lockIds: 0, sessionIds: 0, clockMs: 0 };
  #isSealDue = false;
  /** When the first of what gathers was noticed, and how much it was in the last turn. */
  #gatheringSinceMs = 0;
  #gathered = 0;
  /** Ends the wait of `finish` if the store fails. */
  #whenFailed: Job = () => {};
  #state: 'open' | 'frozen' | 'failed' = 'open';

  constructor(store: Store, { clock, ids, failed }: LedgerOptions) {
    this.#store = store;
    this.#clock = clock;
    this.#ids = ids;
    this.#failed = failed;
  }

  /**
   * Continues after what the store has loaded, which is all restored.
   *
   * @param sessions that the store has records of
   */
  async start(batch: number, sessions: Iterable<Session>): Promise<void> {
    for (const session of sessions) this.#stored.add(session);
    const position = this.#next(batch);
    await this.#store.start(position, () => this.#live());
    this.#position = position;
  }

  /* Journal: called by sessions. */

  lockAdded(lock: SessionLock): void {
    if (this.#state !== 'open') return;
    const { session } = lock.context;
    if (!this.#stored.has(session)) {
      this.#stored.add(session);
      this.#gathering.newSessions.add(session);
    }
    this.#gathering.newLocks.add(lock);
    this.#sealSoon();
  }

  lockChanged(lock: SessionLock): void {
    if (this.#state !== 'open') return;
    if (!this.#gathering.newLocks.has(lock)) this.#gathering.changedLocks.add(lock);
    this.#sealSoon();
  }

  lockRemoved(lock: SessionLock): void {
    if (this.#state !== 'open') return;
    if (this.#gathering.newLocks.delete(lock)) return;
    this.#gathering.changedLocks.delete(lock);
    this.#gathering.endedLocks.push(lock.id);
    this.#sealSoon();
  }

  sessionEnded(session: Session): void {
    if (this.#state !== 'open' || !this.#stored.delete(session)) return;
    if (this.#gathering.newSessions.delete(session)) return;
    this.#gathering.endedSessions.push(session.id);
    this.#sealSoon();
  }

  /* OutputGate: called by output buffers. */

  whenStored(job: Job, bytes = 0): void {
    // Changes that have cancelled out leave jobs that wait: later ones must stay behind them.
    if (this.#waiting.length > 0 || this.#isDirty()) {
      this.#waiting.push(job);
      this.#waitingBytes += bytes;
      this.#sealSoon();
    } else if (this.#underWay !== undefined) {
      this.#underWay.push(job);
      this.#underWayBytes += bytes;
    } else if (!this.#hasFailed()) job();
  }

  /** Bytes of output that wait for a commit. */
  get heldBackBytes(): number {
    return this.#waitingBytes + this.#underWayBytes;
  }

  /** Whether the store is so slow that reading more input would only add to what waits. */
  get isBehind(): boolean {
    if (this.#underWay === undefined) return false;
    const isSlow = this.#clock.now() - this.#commitStartMs > SLOW_COMMIT_MS;
    return isSlow || this.heldBackBytes > MUCH_HELD_BACK_BYTES;
  }

  /** When the store was last behind, by the clock; -Infinity if never. */
  get lastBehindMs(): number {
    return this.isBehind ? this.#clock.now() : this.#lastBehindMs;
  }

  /** Calls `job` when the commit under way has ended. */
  whenCaughtUp(job: Job): void {
    this.#caughtUp.push(job);
  }

  /** Nothing is recorded from now on: the server stops, and what is stored stays. */
  freeze(): void {
    if (this.#state !== 'open') return;
    this.#state = 'frozen';
    // Sessions and locks are about to end, so they are described now.
    this.#forgetIdleSessions();
    this.#frozen = this.#gathering.records();
    this.#gathering = new Gathering();
    this.#store.freeze();
  }

  /**
   * Commits all that is recorded, and the time at which the server stops. Resolves when that is
   * done, and also if the store fails.
   */
  async finish(): Promise<void> {
    if (this.#hasFailed() || this.#position.batch === 0) return;
    await Promise.race([
      new Promise<void>((resolve) => this.whenStored(resolve)),
      new Promise<void>((resolve) => (this.#whenFailed = resolve)),
    ]);
    if (this.#hasFailed()) return;
    const last = { ...this.#next(this.#position.batch + 1), records: [] };
    await this.#store.commit(last).then(
      () => {},
      (error: unknown) => this.fail(error),
    );
  }

  #hasFailed(): boolean {
    return this.#state === 'failed';
  }

  #isDirty(): boolean {
    // The store takes no commits before its start.
    if (this.#position.batch === 0) return false;
    const { lockIds, sessionIds } = this.#position;
    return (
      !this.#gathering.isEmpty ||
      this.#frozen.length > 0 ||
      this.#ids.lastLockId() > lockIds ||
      this.#ids.lastSessionId() > sessionIds
    );
  }

  #sealSoon(): void {
    if (this.#isSealDue || this.#underWay !== undefined) return;
    this.#isSealDue = true;
    this.#gathered = 1;
    this.#gatheringSinceMs = this.#clock.now();
    this.#clock.nextTurn(this.#sealUnlessGrowing);
  }

  readonly #sealUnlessGrowing = (): void => {
    const before = this.#gathered;
    this.#gathered = this.#gathering.size + this.#waiting.length;
    const waitedMs = this.#clock.now() - this.#gatheringSinceMs;
    const isUnderWay = this.#underWay !== undefined;
    if (!isUnderWay && this.#gathered > before && waitedMs < GATHER_MS) {
      this.#clock.nextTurn(this.#sealUnlessGrowing);
      return;
    }
    this.#isSealDue = false;
    if (!isUnderWay) this.#seal();
  };

  /** Commits what has gathered. No commit is under way. */
  #seal(): void {
    if (this.#hasFailed()) return;
    const jobs = this.#waiting;
    this.#waiting = [];
    this.#forgetIdleSessions();
    if (!this.#isDirty()) {
      this.#waitingBytes = 0;
      run(jobs);
      return;
    }
    const records = [...this.#frozen, ...this.#gathering.records()];
    this.#frozen = [];
    this.#gathering = new Gathering();
    this.#position = this.#next(this.#position.batch + 1);
    this.#commitStartMs = this.#clock.now();
    this.#underWay = jobs;
    this.#underWayBytes = this.#waitingBytes;
    this.#waitingBytes = 0;
    this.#commit({ ...this.#position, records });
  }

  /** A new session whose locks have ended already needs no record yet. */
  #forgetIdleSessions(): void {
    for (const session of this.#gathering.newSessions) {
      if (session.locks.size > 0) continue;
      this.#gathering.newSessions.delete(session);
      this.#stored.delete(session);
    }
  }

  #commit(batch: Batch): void {
    this.#store.commit(batch).then(
      () => this.#committed(batch),
      (error: unknown) => this.fail(error),
    );
  }

  /** The store has failed. */
  fail(error: unknown): void {
    if (this.#hasFailed()) return;
    this.#state = 'failed';
    this.#whenFailed();
    this.#failed(error instanceof Error ? error : new Error(String(error)));
  }

  #committed({ records }: Batch): void {
    if (this.#hasFailed()) return;
    const jobs = this.#underWay ?? [];
    this.#lastBehindMs = this.lastBehindMs;
    this.#underWay = undefined;
    this.#underWayBytes = 0;
    this.statistics.add(records, this.#clock.now() - this.#commitStartMs);
    this.#forgetIdleSessions();
    run(jobs);
    // Not at once: those who have their answers now ask again, and then that is in the next batch, too.
    // Two groups of clients in turn cost more than the disk saves while it has none: pipelined 5 %.
    if (this.#isDirty() || this.#waiting.length > 0) this.#sealSoon();
    const caughtUp = this.#caughtUp;
    this.#caughtUp = [];
    run(caughtUp);
  }

  #next(batch: number): Position {
    return {
      batch,
      lockIds: this.#ids.lastLockId() + LOCK_IDS_AHEAD,
      sessionIds: this.#ids.lastSessionId() + SESSION_IDS_AHEAD,
      // Rounded down: a hold that is restored must not end early.
      clockMs: Math.floor(this.#clock.now()),
    };
  }

  *#live(): Generator<string> {
    for (const session of this.#stored) {
      yield sessionPut(session);
      for (const lock of session.locks.inAnyOrder()) {
        if (lock.state !== 'released') yield lockPut(lock);
      }
    }
  }
}

function run(jobs: readonly Job[]): void {
  for (const job of jobs) job();
}
