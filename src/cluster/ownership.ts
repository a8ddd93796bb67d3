/**
 * One server's ownership of a cell: of several servers that share a store, the owner serves and the
 * others wait for their turn.
 *
 *     waiting ---> owning <---> silent
 *        |           |            |
 *        |           +----+-------+----> lost       another server may own the cell
 *        +----------------+------------> released   this server stops, or has handed over
 *
 * **The owner proves itself.** An owner that was paused, or cut off from etcd, may be replaced
 * without noticing. It can't store anything then, but it could still say what needs no store: that a
 * lock is held, that a client is alive. So it speaks only while its last proof is fresh: a committed
 * transaction or a linearizable read that shows the owner key, *sent* less than the lease's time
 * minus a margin ago. Not received: an answer may lie in the socket of a paused process for any
 * time. And not a keepalive, which etcd may answer without knowing that the lease is over.
 *
 * **The new owner waits.** What the old owner says last is said less than `ttl - margin` after it
 * was the owner for certain. A new owner begins the abandon timeouts of the sessions that it restores
 * `ttl + margin` after its takeover. So no session ends sooner than a client believes that was
 * answered by the old owner: clients count from the sending of their requests. Holds go on at once:
 * they count from the grant, or from an extension, which was stored before it was answered.
 *
 * Time that passed is the most that any clock says: the monotonic one stands still while a machine
 * is suspended, and the wall clock may be set back.
 */
import type { Timer } from '../runtime/clock.ts';
import { EtcdError } from '../store/etcd-error.ts';
import { type EtcdClaim, NotOwnerError } from '../store/etcd-store.ts';
import { StoreError } from '../store/store.ts';
import type {
  Cell,
  Claimed,
  Clocks,
  OwnershipEvents,
  OwnershipOptions,
  OwnershipStatistics,
} from './ownership-options.ts';

/** What output passes on its way to clients. */
export interface Gate {
  whenStored(job: () => void, bytes?: number): void;
  whenCaughtUp(job: () => void): void;
  readonly isBehind: boolean;
}

export interface OwnershipSnapshot extends Readonly<OwnershipStatistics> {
  readonly isOwner: boolean;
  /** Milliseconds since the last proof was sent; undefined for a server that does not own. */
  readonly proofAgeMs: number | undefined;
}

export type OwnershipState = 'waiting' | 'owning' | 'silent' | 'lost' | 'released';

/** Milliseconds between two looks whether the cell is free: a planned hand-over takes as long. */
const LOOK_MS = 100;

/** Milliseconds for which a hand-over is tried. Then the lease has to run out. */
const RESIGN_MS = 2000;

/** Parts of the lease's time. */
const MARGIN = 0.1;
const KEEP_ALIVE = 0.3;
const PROVE = 0.25;
const TICK = 0.02;

interface Moment {
  readonly monotonicMs: number;
  readonly wallMs: number;
  readonly uptimeMs: number;
}

export class Ownership implements EtcdClaim {
  /** Milliseconds that a new owner waits before abandon timeouts of restored sessions begin. */
  readonly graceMs: number;
  readonly #cell: Cell;
  readonly #clocks: Clocks;
  readonly #ttlMs: number;
  readonly #address: (() => string) | undefined;
  readonly #statistics: OwnershipStatistics;
  readonly #observers: OwnershipEvents[] = [];
  #state: OwnershipState = 'waiting';
  #ownerAddress: string | undefined;
  #claimed: Claimed | undefined;
  #lost: (error: StoreError) => void = () => {};
  /** When the last request was sent that proved the ownership. */
  #proof: Moment;
  #keptAlive: Moment;
  #isProving = false;
  #isKeepingAlive = false;
  #ticker: Timer | undefined;
  /** Ends the pause of `acquire`. */
  #wake: () => void = () => {};
  #acquiring: Promise<string> | undefined;

  constructor(options: OwnershipOptions) {
    const { cell, clocks, ttlMs, address, statistics = { takeovers: 0, retries: 0 } } = options;
    this.#address = address;
    this.#statistics = statistics;
    this.#cell = cell;
    this.#clocks = clocks;
    this.#ttlMs = ttlMs;
    this.graceMs = ttlMs * (1 + MARGIN);
    this.#proof = this.#now();
    this.#keptAlive = this.#proof;
  }

  observe(events: OwnershipEvents): void {
    this.#observers.push(events);
  }

  get state(): OwnershipState {
    return this.#state;
  }

  /** Where clients find this server. */
  get address(): string | undefined {
    return this.#address?.();
  }

  /** The address of the server that owns the cell, while this one waits and knows it. */
  get ownerAddress(): string | undefined {
    return this.#state === 'waiting' ? this.#ownerAddress : undefined;
  }

  /** For the metrics. */
  snapshot(): OwnershipSnapshot {
    const isOwner = this.#state === 'owning' || this.#state === 'silent';
    const proofAgeMs = isOwner ? this.#since(this.#proof) : undefined;
    return { isOwner, proofAgeMs, ...this.#statistics };
  }

  /**
   * Whether the server may say anything to a client now. If not, connections have been cut, or are
   * within the call.
   */
  maySpeak(): boolean {
    if (this.#state !== 'owning') return false;
    if (this.#since(this.#proof) < this.#ttlMs * (1 - MARGIN)) return true;
    this.#silence();
    return false;
  }

  /**
   * Holds output back until it may be said: until `inner` lets it through, and only while the
   * ownership is proven. Otherwise it is never said.
   */
  gate(inner: Gate): Gate {
    return {
      whenStored: (job, bytes) => {
        inner.whenStored(() => {
          if (this.maySpeak()) job();
        }, bytes);
      },
      whenCaughtUp: (job) => inner.whenCaughtUp(job),
      get isBehind() {
        return inner.isBehind;
      },
    };
  }

  acquire(lost: (error: StoreError) => void): Promise<string> {
    this.#lost = lost;
    this.#acquiring = this.#acquire();
    return this.#acquiring;
  }

  async #acquire(): Promise<string> {
    while (this.#state === 'waiting') {
      try {
        const claimed = await this.#tryToOwn();
        if (claimed !== undefined) return claimed.createRevision;
      } catch (error) {
        if (!(error instanceof EtcdError)) throw error;
        if (error.failure === 'refused') throw new StoreError(error.message);
        this.trouble(error);
      }
      await this.#pause(LOOK_MS);
    }
    throw new StoreError('this server stops, and waits no more for its turn');
  }

  async #tryToOwn(): Promise<Claimed | undefined> {
    const owner = await this.#cell.owner();
    if (owner !== undefined) {
      const isNew = owner !== this.#ownerAddress;
      this.#ownerAddress = owner;
      if (isNew) for (const observer of this.#observers) observer.waiting?.(owner);
      return undefined;
    }
    const proved = this.sending();
    const claimed = await this.#cell.claim();
    if (claimed === undefined) return undefined;
    this.#claimed = claimed;
    if (this.#state !== 'waiting') return undefined;
    this.#state = 'owning';
    this.#statistics.takeovers++;
    proved();
    this.#keptAlive = this.#proof;
    for (const observer of this.#observers) observer.owning?.();
    this.#tickLater();
    return claimed;
  }

  sending(): () => void {
    const sentAt = this.#now();
    return () => {
      if (this.#since(sentAt) >= this.#since(this.#proof)) return;
      this.#proof = sentAt;
      // An old proof does not make it speak.
      const isFresh = this.#since(sentAt) < this.#ttlMs * (1 - MARGIN);
      if (this.#state === 'silent' && isFresh) this.#state = 'owning';
    };
  }

  stopWaiting(): void {
    if (this.#state !== 'waiting') return;
    this.#state = 'released';
    this.#wake();
  }

  async release(): Promise<void> {
    if (this.#state !== 'lost') this.#state = 'released';
    this.#ticker?.cancel();
    this.#wake();
    // A claim may be under way.
    await this.#acquiring?.catch(() => {});
    if (this.#claimed === undefined || this.#state === 'lost') return;
    const claimed = this.#claimed;
    this.#claimed = undefined;
    const startedAt = this.#now();
    while (this.#since(startedAt) < RESIGN_MS) {
      try {
        await this.#cell.resign(claimed);
        return;
      } catch {
        await this.#pause(LOOK_MS);
      }
    }
  }

  #tickLater(): void {
    this.#ticker = this.#clocks.clock.setTimer(this.#ttlMs * TICK, () => this.#tick());
  }

  #tick(): void {
    const claimed = this.#claimed;
    if (claimed === undefined || (this.#state !== 'owning' && this.#state !== 'silent')) return;
    this.#tickLater();
    this.maySpeak();
    const isOld = this.#since(this.#proof) >= this.#ttlMs * PROVE;
    if ((isOld || this.#state === 'silent') && !this.#isProving) void this.#prove(claimed);
    const isDue = this.#since(this.#keptAlive) >= this.#ttlMs * KEEP_ALIVE;
    if (isDue && !this.#isKeepingAlive) void this.#keepAlive(claimed);
  }

  async #prove(claimed: Claimed): Promise<void> {
    this.#isProving = true;
    const proved = this.sending();
    const isOwner = await this.#tried(this.#cell.prove(claimed));
    this.#isProving = false;
    if (isOwner === true) proved();
    else if (isOwner === false) this.#lose('another server owns its locks in etcd now');
  }

  async #keepAlive(claimed: Claimed): Promise<void> {
    this.#isKeepingAlive = true;
    const sentAt = this.#now();
    const isAlive = await this.#tried(this.#cell.keepAlive(claimed));
    this.#isKeepingAlive = false;
    if (isAlive === true) this.#keptAlive = sentAt;
    else if (isAlive === false) this.#lose('its lease in etcd has run out');
  }

  /** Undefined if it failed. */
  async #tried(asked: Promise<boolean>): Promise<boolean | undefined> {
    try {
      return await asked;
    } catch (error) {
      if (!(error instanceof EtcdError)) throw error;
      this.trouble(error);
      return undefined;
    }
  }

  /** A request to etcd has failed, here or in the store, and will be tried again. */
  trouble(error: EtcdError): void {
    this.#statistics.retries++;
    for (const observer of this.#observers) observer.trouble?.(error);
  }

  #silence(): void {
    if (this.#state !== 'owning') return;
    this.#state = 'silent';
    for (const observer of this.#observers) observer.silenced?.();
  }

  #lose(why: string): void {
    if (this.#state !== 'owning' && this.#state !== 'silent') return;
    this.#silence();
    this.#state = 'lost';
    this.#ticker?.cancel();
    this.#lost(new NotOwnerError(`this server has stopped serving: ${why}`));
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#clocks.clock.setTimer(ms, resolve);
      this.#wake = () => {
        timer.cancel();
        resolve();
      };
    });
  }

  #now(): Moment {
    const { clock, wallMs, uptimeMs } = this.#clocks;
    return { monotonicMs: clock.now(), wallMs: wallMs(), uptimeMs: uptimeMs() };
  }

  /** Milliseconds that have passed, by the clock by which it was most. */
  #since({ monotonicMs, wallMs, uptimeMs }: Moment): number {
    const now = this.#now();
    return Math.max(now.monotonicMs - monotonicMs, now.wallMs - wallMs, now.uptimeMs - uptimeMs);
  }
}
