/**
 * Two servers that share an etcd, many clients with the addresses of both, bad networks, and clocks
 * that run apart, from a seed. Servers are stopped, suspended, killed, told to stop, and cut off from
 * etcd or from their clients, for shorter and for longer than their lease; requests to etcd are
 * carried out late, twice or never, and their answers are lost.
 *
 * The judge is that of the clients: at no moment do two of them trust conflicting locks.
 */
import assert from 'node:assert/strict';
import { SimClients } from '../client/sim-clients.ts';
import { SimClock } from '../client/sim-clock.ts';
import type { Random } from '../support/random.ts';
import { EtcdModel } from './etcd-model.ts';
import { type Bugs, type SimServer, TTL_MS } from './sim-server.ts';
import { Site } from './sim-site.ts';

/** Milliseconds of trouble in a round, and of peace after it, at most. */
const TROUBLE_MS = 25_000;
const PEACE_MS = 120_000;

/** The abandon timeout of a client that outlasts all. */
const PATIENT_MS = 16_000;
/** That of a client that outlasts an owner which stands still for longer than its lease. */
const QUITE_PATIENT_MS = 4 * TTL_MS;

export class CellWorld {
  readonly clock = new SimClock();
  readonly etcd = new EtcdModel(() => this.clock.now());
  readonly random: Random;
  readonly bugs: Bugs;
  readonly clients: SimClients;
  readonly #sites: readonly [Site, Site];
  /** Whether a scene is played instead of trouble of all kinds: see `#part`. */
  readonly #isStaged: boolean;
  /** Milliseconds between two troubles, at most. */
  readonly #troubleEveryMs: number;
  #names = 0;
  #failure: unknown;
  isPeace = false;

  constructor(random: Random, bugs: Bugs = {}) {
    this.random = random;
    this.bugs = bugs;
    this.#troubleEveryMs = random.pick([500, 2000, 5000]);
    const rate = (): number => 0.96 + random.below(81) / 1000;
    this.#sites = [new Site(this, 'a', rate()), new Site(this, 'b', rate())];
    const [a, b] = this.#sites;
    this.#isStaged = random.oneIn(2);
    const rough = {
      abandonTimeoutsMs: random.pick([[200], [1000, 500], [200, 1000, 5000]]),
      ...random.pick([
        { holdsMs: [30, 300], restMs: 50, extendOneIn: 4 },
        { holdsMs: [3000], restMs: 1000, extendOneIn: 1000 },
      ]),
    };
    const staged = {
      abandonTimeoutsMs: random.pick([
        [200, PATIENT_MS],
        [500, PATIENT_MS],
        [QUITE_PATIENT_MS, PATIENT_MS],
      ]),
      ...{ holdsMs: [60_000], restMs: 500, extendOneIn: 100_000, isPlain: true },
    };
    this.clients = new SimClients(random, {
      clock: this.clock,
      addresses: ['a', 'b'].map((name) => ({ kind: 'unix', path: '', name })),
      open: (client, { name }, events) => (name === 'a' ? a : b).network.connect(client, events),
      ...(this.#isStaged ? staged : rough),
    });
  }

  newName(): string {
    return `s${++this.#names}`;
  }

  failed(error: unknown): void {
    this.#failure ??= error;
  }

  /** How often servers have lost the cell. */
  get losses(): number {
    return this.#sites.reduce((sum, { server }) => sum + server.losses, 0);
  }

  /** Plays the round: trouble, then peace in which everything must come to its end. */
  async play(): Promise<void> {
    let isDone = false;
    this.clients.work(2 + this.random.below(4)).then(
      () => {
        isDone = true;
      },
      (error: unknown) => this.failed(error),
    );
    if (this.#isStaged) this.#stage();
    else this.#troubleLater();
    await this.#run(TROUBLE_MS, () => false);
    this.isPeace = true;
    for (const site of this.#sites) site.heal();
    this.clients.makePeace();
    await this.#run(TROUBLE_MS + PEACE_MS, () => isDone);
    assert.ok(isDone, 'every call has come to its end');
    this.clients.close();
    const servers = (): SimServer[] => this.#sites.map(({ server }) => server);
    const isOver = (): boolean => servers().some((one) => one.isServing && one.sessions === 0);
    await this.#run(this.clock.now() + PEACE_MS, isOver);
    assert.ok(isOver(), 'one of them serves, and has nothing left');
    for (const server of servers()) server.kill();
  }

  #run(untilMs: number, isEnough: () => boolean): Promise<void> {
    const judge = (): void => {
      this.clients.compare();
      if (this.#failure !== undefined) throw this.#failure;
    };
    return this.clock.run(untilMs, judge, isEnough);
  }

  #troubleLater(): void {
    this.clock.setTimer(this.random.below(this.#troubleEveryMs), () => {
      if (this.isPeace) return;
      this.#trouble();
      this.#troubleLater();
    });
  }

  #trouble(): void {
    const { random } = this;
    const [serving, other] = this.#split;
    // Mostly the one that serves.
    const site = random.oneIn(4) ? other : serving;
    const ms = random.pick([200, 0.8 * TTL_MS, 1.3 * TTL_MS, 2 * TTL_MS, 3 * TTL_MS]);
    switch (random.below(10)) {
      case 0:
        site.stand(ms);
        break;
      case 1:
      case 2:
        site.cutOff(ms);
        break;
      case 3:
        void site.replace(random.oneIn(2));
        break;
      case 4:
        for (const name of this.clients.names()) site.network.cut(name, ms);
        break;
      case 5:
        for (const one of this.#sites) one.cutOff(ms);
        break;
      case 6:
        this.clients.sleep();
        break;
      case 7:
        if (random.oneIn(4)) this.etcd.revokeOwner();
        break;
      default:
        site.network.disturb();
    }
  }

  /** The site that serves, if one does, and the other one. */
  get #split(): readonly [Site, Site] {
    const [a, b] = this.#sites;
    return b.server.isServing ? [b, a] : [a, b];
  }

  /** Looks until the moment has come for a scene. */
  #stage(): void {
    this.clock.setTimer(100, () => {
      if (this.isPeace) return;
      const patient = this.clients.names(PATIENT_MS);
      const others = this.clients.names().filter((name) => !patient.includes(name));
      const isMoment = this.clients.isHolding(others) && this.random.oneIn(4);
      if (!isMoment || !this.#split[0].server.isServing) this.#stage();
      else this.#part(patient, others);
    });
  }

  /**
   * What is worst for an owner and its clients: it is replaced without noticing, some clients reach
   * only it, and patient ones only its successor. Nobody asks it for what it would have to store, and
   * it does not end a session that it has lost.
   */
  #part(patient: readonly string[], others: readonly string[]): void {
    const { random } = this;
    const [owner, successor] = this.#split;
    for (const name of patient) owner.network.refuse(name, PATIENT_MS);
    for (const name of others) successor.network.cut(name, PATIENT_MS);
    this.clients.rest(others, PATIENT_MS);
    if (this.clients.names(QUITE_PATIENT_MS).length === patient.length) {
      owner.cutOff(PATIENT_MS, 0);
      if (!random.oneIn(3)) this.etcd.revokeOwner();
      return;
    }
    owner.standWhileProven(random.pick([2, 3]) * TTL_MS);
  }
}
