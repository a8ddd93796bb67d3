/**
 * One server of a simulation: the real one but for its sockets, its time and its randomness. With a
 * store it may be replaced by another one, as after a crash: nothing of it is used any more.
 */
import assert from 'node:assert/strict';
import type { LineHost } from '../../src/net/lines/line-connection.ts';
import { makeStreamHost } from '../../src/net/stream/stream-host.ts';
import { Auth } from '../../src/protocol/auth.ts';
import { ShiftedClock } from '../../src/runtime/clock.ts';
import { IdCounter } from '../../src/runtime/id-counter.ts';
import type { Limits } from '../../src/runtime/limits.ts';
import { Counters } from '../../src/session/counters.ts';
import { Namespaces } from '../../src/session/namespace.ts';
import type { LockObserver } from '../../src/session/session-host.ts';
import { SLOW_COMMIT_MS } from '../../src/store/ledger.ts';
import { Persistence } from '../../src/store/persistence.ts';
import type { Store } from '../../src/store/store.ts';
import { SimulatedClock } from './simulated-clock.ts';

export interface ServerParts {
  readonly limits: Limits;
  readonly defaultAbandonTimeoutMs: number;
  readonly newName: () => string;
  readonly observer: LockObserver;
}

export interface Backing {
  readonly store: Store;
  /** Milliseconds since 1970, or less: wall clocks are set back. */
  readonly wallClockMs: number;
}

/** So few that even small worlds have output that waits for later turns. */
const FLUSHED_TOGETHER = { replies: 2, notifications: 1 };

/** Lock ids of a server without a store start above this many milliseconds times 1000. */
const FIRST_MS = 1000;

export class SimulatedServer {
  /** Its process has just started: time begins at zero. */
  readonly clock = new SimulatedClock();
  readonly lockIds: IdCounter;
  readonly registry: Namespaces;
  readonly persistence: Persistence | undefined;
  readonly host: LineHost;
  /** When the last commit began, and when input had last been held then. */
  #commitMs = 0;
  #heldBeforeMs = Number.NEGATIVE_INFINITY;

  constructor(parts: ServerParts, backing?: Backing) {
    const { limits } = parts;
    this.lockIds = new IdCounter(backing === undefined ? FIRST_MS : 0);
    this.registry = new Namespaces(this.lockIds.next, limits.maxLockBytes);
    const { lockIds, registry } = this;
    const clock = new ShiftedClock(this.clock);
    this.persistence =
      backing &&
      new Persistence(backing.store, {
        ...{ clock, lockIds, registry },
        wallNow: () => backing.wallClockMs,
        failed: (error) => assert.fail(error),
      });
    if (backing !== undefined) this.#noteCommits(backing.store);
    const ledger = this.persistence?.ledger;
    this.host = {
      ...parts,
      registry,
      clock,
      startedMs: 0,
      streams: makeStreamHost(clock, limits.maxBufferBytes, {
        gate: ledger,
        flushedTogether: FLUSHED_TOGETHER,
      }),
      counters: new Counters(),
      journal: ledger,
      auth: new Auth({ client: [], admin: [] }),
      adminObserver: undefined,
      authFailed: () => assert.fail('no token is wanted here'),
    };
  }

  /**
   * When, up to `nowMs`, which may have passed, the store was last so slow that no input was read;
   * by `clock`. -Infinity if never.
   */
  inputHeldMs(nowMs: number): number {
    if (this.persistence === undefined) return Number.NEGATIVE_INFINITY;
    const { isBehind } = this.persistence.ledger;
    if (!isBehind) return this.#lastHeldMs;
    return nowMs - this.#commitMs > SLOW_COMMIT_MS ? nowMs : this.#heldBeforeMs;
  }

  get #lastHeldMs(): number {
    const shiftMs = this.host.clock.now() - this.clock.now();
    return (this.persistence?.ledger.lastBehindMs ?? Number.NEGATIVE_INFINITY) - shiftMs;
  }

  /** Notes when commits begin. */
  #noteCommits(store: Store): void {
    const commit = store.commit.bind(store);
    store.commit = (batch) => {
      this.#commitMs = this.clock.now();
      this.#heldBeforeMs = this.#lastHeldMs;
      return commit(batch);
    };
  }

  /** Whether output waits for the store. */
  get isHeldBack(): boolean {
    return this.persistence !== undefined && this.persistence.ledger.heldBackBytes > 0;
  }

  /** Restores what the store has, within one moment. */
  async recover(): Promise<void> {
    let isDone = false;
    const recovery = this.persistence?.recover(this.host).finally(() => {
      isDone = true;
    });
    for (let turns = 0; !isDone; turns++) {
      assert.ok(turns < 1000, 'a recovery ends');
      // No turn passes after its end: that would be the first step of the server.
      for (let jobs = 0; jobs < 20 && !isDone; jobs++) await Promise.resolve();
      if (!isDone) this.clock.runTurn();
    }
    await recovery;
  }
}
