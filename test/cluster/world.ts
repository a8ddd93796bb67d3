/**
 * A world of servers that share a cell, in simulated time: processes pause and are suspended, etcd
 * is out of reach, clocks run apart, requests and answers take any time or are lost, leases run out.
 *
 * It judges by what clients may believe: an old owner says nothing after the timers of sessions have
 * started at a newer one.
 */
import assert from 'node:assert/strict';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Ownership } from '../../src/cluster/ownership.ts';
import type {
  Cell,
  Claimed,
  Clocks,
  OwnershipOptions,
} from '../../src/cluster/ownership-options.ts';
import type { Clock, Timer } from '../../src/runtime/clock.ts';
import { EtcdError } from '../../src/store/etcd-error.ts';
import type { Random } from '../support/random.ts';

export const TTL_MS = 10_000;
const STEP_MS = 50;
const TRY_MS = 400;

/** What a test plants or leaves out. */
export interface Faults {
  /** Pauses, partitions, lost answers, clocks apart; without it everything is quick and exact. */
  readonly isRough: boolean;
  /** Makes the ownership of a server; by default the real one. */
  readonly make?: (options: OwnershipOptions) => Ownership;
  /** Of the grace that the new owner waits. By default 1. */
  readonly graceFactor?: number;
  /** A server knows its monotonic clock alone. */
  readonly isMonotonicOnly?: boolean;
}

interface Job {
  readonly dueMs: number;
  readonly run: () => void;
}

/** Time as one process sees it. */
class ProcessClock implements Clock {
  readonly jobs = new Set<Job>();
  #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  now(): number {
    return this.#now();
  }

  setTimer(delayMs: number, run: () => void): Timer {
    const job = { dueMs: this.#now() + delayMs, run };
    this.jobs.add(job);
    return { cancel: () => void this.jobs.delete(job) };
  }

  soon(job: () => void): void {
    queueMicrotask(job);
  }

  nextTurn(job: () => void): void {
    this.setTimer(0, job);
  }

  runDue(): void {
    for (const job of this.jobs) {
      if (job.dueMs > this.#now() || !this.jobs.delete(job)) continue;
      job.run();
    }
  }
}

interface Owner {
  readonly server: SimulatedServer;
  readonly revision: string;
  expiresMs: number;
}

export class World {
  readonly random: Random;
  readonly faults: Faults;
  nowMs = 0;
  owner: Owner | undefined;
  revision = 1;
  readonly servers: SimulatedServer[] = [];
  /** Times at which servers became owner in truth. */
  readonly takeovers: { readonly server: SimulatedServer; readonly atMs: number }[] = [];

  constructor(random: Random, faults: Faults) {
    this.random = random;
    this.faults = faults;
    this.servers = [new SimulatedServer(this), new SimulatedServer(this)];
  }

  /** What happens in etcd, whichever server is paused. */
  readonly #due: Job[] = [];

  later(dueMs: number, run: () => void): void {
    this.#due.push({ dueMs, run });
  }

  async run(ms: number): Promise<void> {
    for (const untilMs = this.nowMs + ms; this.nowMs < untilMs; ) {
      this.nowMs += STEP_MS;
      if (this.owner !== undefined && this.owner.expiresMs <= this.nowMs) this.owner = undefined;
      for (const job of this.#due.splice(0)) {
        if (job.dueMs <= this.nowMs) job.run();
        else this.#due.push(job);
      }
      for (const server of this.servers) server.step();
      // Promises settle, however many follow from one another.
      await nextTurn();
      for (const server of this.servers) server.speak();
    }
  }

  /** A server has spoken: no newer owner may have started the timers of sessions. */
  judge(speaker: SimulatedServer): void {
    const mine = this.takeovers.findLastIndex(({ server }) => server === speaker);
    for (const { server, atMs } of this.takeovers.slice(mine + 1)) {
      const { timersStarted } = server;
      assert.ok(
        !timersStarted,
        `seed ${this.random.seed}: at ${this.nowMs} an owner speaks that was replaced at ${atMs}`,
      );
    }
  }
}

export class SimulatedServer implements Cell {
  readonly #world: World;
  readonly #rate: number;
  #monotonicMs = 0;
  #wallOffsetMs = 0;
  #lastMs = 0;
  #sleep: { readonly untilMs: number; readonly isSuspend: boolean } | undefined;
  /** Until then it can't reach etcd. */
  #cutOffUntilMs = 0;
  readonly #clock: ProcessClock;
  /** Answers that wait in the socket. */
  #answers: Job[] = [];
  ownership: Ownership;
  #owningSinceMs: number | undefined;
  spoke = 0;
  losses = 0;
  isKilled = false;

  constructor(world: World) {
    this.#world = world;
    this.#rate = world.faults.isRough ? 0.95 + world.random.below(101) / 1000 : 1;
    this.#clock = new ProcessClock(() => this.#monotonicMs);
    this.ownership = this.begin();
  }

  /** Whether sessions of earlier owners may end here. */
  get timersStarted(): boolean {
    const { graceFactor = 1 } = this.#world.faults;
    if (this.#owningSinceMs === undefined) return false;
    return this.#monotonicMs - this.#owningSinceMs >= this.ownership.graceMs * graceFactor;
  }

  begin(): Ownership {
    const { make = (options: OwnershipOptions) => new Ownership(options), isMonotonicOnly } =
      this.#world.faults;
    const monotonic = (): number => this.#monotonicMs;
    const clocks: Clocks = {
      clock: this.#clock,
      wallMs: isMonotonicOnly
        ? monotonic
        : () => this.#world.nowMs * this.#rate + this.#wallOffsetMs,
      uptimeMs: isMonotonicOnly ? monotonic : () => this.#world.nowMs * this.#rate,
    };
    this.#owningSinceMs = undefined;
    const ownership = make({ cell: this, clocks, ttlMs: TTL_MS });
    this.ownership = ownership;
    ownership.observe({
      owning: () => {
        this.#owningSinceMs = this.#monotonicMs;
      },
    });
    const again = (): void => {
      this.losses++;
      void ownership.release();
      this.begin();
    };
    ownership.acquire(again).catch(() => {});
    return ownership;
  }

  step(): void {
    const { random, nowMs, faults } = this.#world;
    const passedMs = (nowMs - this.#lastMs) * this.#rate;
    this.#lastMs = nowMs;
    if (this.isKilled) return;
    if (this.#sleep?.isSuspend !== true) this.#monotonicMs += passedMs;
    if (this.#sleep !== undefined && nowMs < this.#sleep.untilMs) return;
    this.#sleep = undefined;
    if (faults.isRough && random.oneIn(200)) {
      const ms = random.pick([500, 3000, 12_000, 30_000]);
      this.#sleep = { untilMs: nowMs + ms, isSuspend: random.oneIn(2) };
      if (random.oneIn(4)) this.#wallOffsetMs -= 60_000;
      return;
    }
    if (faults.isRough && random.oneIn(400)) this.#cutOffUntilMs = nowMs + random.below(20_000);
    // After a pause timers may run before answers are read, and the other way round.
    if (random.oneIn(2)) this.#clock.runDue();
    const due = this.#answers.filter(({ dueMs }) => dueMs <= nowMs);
    this.#answers = this.#answers.filter((answer) => !due.includes(answer));
    for (const { run } of due) run();
    this.#clock.runDue();
    if (random.oneIn(20)) void this.#transact();
  }

  /** It has something to say that needs no store. */
  speak(): void {
    if (this.isKilled || this.#sleep !== undefined || !this.ownership.maySpeak()) return;
    this.spoke++;
    this.#world.judge(this);
  }

  async #transact(): Promise<void> {
    const { ownership } = this;
    if (ownership.state !== 'owning') return;
    const proved = ownership.sending();
    const isDone = await this.#asked(() => this.#world.owner?.server === this);
    if (isDone === true && this.ownership === ownership) proved();
  }

  owner(): Promise<string | undefined> {
    return this.#ask(() => {
      const { owner } = this.#world;
      return owner === undefined || owner.server === this ? undefined : 'other:9009';
    });
  }

  claim(): Promise<Claimed | undefined> {
    return this.#ask(() => {
      const world = this.#world;
      if (world.owner === undefined) {
        const revision = String(++world.revision);
        world.owner = { server: this, revision, expiresMs: world.nowMs + TTL_MS };
        world.takeovers.push({ server: this, atMs: world.nowMs });
      }
      const { server, revision } = world.owner;
      return server === this ? { lease: revision, createRevision: revision } : undefined;
    });
  }

  keepAlive({ lease }: Claimed): Promise<boolean> {
    return this.#ask(() => {
      const { owner, nowMs, faults, random } = this.#world;
      const isAlive = owner?.revision === lease;
      if (isAlive) owner.expiresMs = nowMs + TTL_MS;
      // A member that lags behind.
      return isAlive || (faults.isRough && random.oneIn(2));
    });
  }

  prove({ createRevision }: Claimed): Promise<boolean> {
    return this.#ask(() => this.#world.owner?.revision === createRevision);
  }

  resign({ createRevision }: Claimed): Promise<void> {
    return this.#ask(() => {
      if (this.#world.owner?.revision === createRevision) this.#world.owner = undefined;
    });
  }

  async #asked<T>(effect: () => T): Promise<T | undefined> {
    return this.#ask(effect).catch(() => undefined);
  }

  /** Takes effect after a while, or never; is answered later, or fails although it took effect. */
  #ask<T>(effect: () => T): Promise<T> {
    const { random, nowMs, faults } = this.#world;
    const slow = (ms: number): number => (faults.isRough ? random.below(ms) : 0);
    const isLost = nowMs < this.#cutOffUntilMs || (faults.isRough && random.oneIn(10));
    const sentMs = nowMs;
    return new Promise((resolve, reject) => {
      const fail = (): void => reject(new EtcdError('unavailable', 'lost'));
      const takeEffect = (): void => {
        const value = effect();
        const run = random.oneIn(faults.isRough ? 10 : 1e9) ? fail : () => resolve(value);
        this.#answers.push({ dueMs: this.#world.nowMs + slow(TRY_MS / 2), run });
      };
      if (isLost) this.#answers.push({ dueMs: sentMs + TRY_MS, run: fail });
      else if (faults.isRough) this.#world.later(sentMs + slow(TRY_MS / 2), takeEffect);
      else takeEffect();
    });
  }
}
