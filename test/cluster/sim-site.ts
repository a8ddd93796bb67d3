/** A machine with a server, over all its processes, and its way to etcd. */
import type { JsonObject } from '../../src/runtime/unknown.ts';
import { EtcdError } from '../../src/store/etcd-error.ts';
import type { SimClock } from '../client/sim-clock.ts';
import { SimNetwork } from '../client/sim-network.ts';
import type { Random } from '../support/random.ts';
import type { EtcdModel } from './etcd-model.ts';
import { SimProcess } from './sim-process.ts';
import { type Bugs, SimServer, type SimServerHost, TTL_MS } from './sim-server.ts';

/** Milliseconds in which etcd must answer. */
const TRY_MS = 400;

/** What a site sees of its world. */
export interface SiteWorld {
  /** True time. */
  readonly clock: SimClock;
  readonly random: Random;
  readonly etcd: EtcdModel;
  readonly bugs: Bugs;
  /** Nothing goes wrong any more. */
  readonly isPeace: boolean;
  newName(): string;
  failed(error: unknown): void;
}

export class Site {
  readonly network: SimNetwork;
  readonly #world: SiteWorld;
  readonly #host: SimServerHost;
  readonly #rate: number;
  server: SimServer;
  /** Called when etcd has proven once more that this server is the owner. */
  #proven = (): void => {};
  /** Until then requests to etcd, or its answers, are lost. */
  requestsCutUntilMs = 0;
  answersCutUntilMs = 0;

  constructor(world: SiteWorld, name: string, rate: number) {
    const { random, clock } = world;
    this.#world = world;
    this.#rate = rate;
    this.#host = {
      name,
      bugs: world.bugs,
      ask: (process, path, body) => this.#ask(process, path, body),
      newName: () => world.newName(),
      store: {
        minRewriteBytes: random.pick([0, 2000, 1_000_000]),
        sliceLength: random.pick([1, 1000]),
      },
      failed: (error) => world.failed(error),
    };
    this.server = this.#start();
    this.network = new SimNetwork(clock, random, (link) => this.server.converse(link));
  }

  #start(): SimServer {
    const { random, clock } = this.#world;
    const wallOffsetMs = random.pick([0, 0, -100_000, 100_000]);
    return new SimServer(new SimProcess(clock, random, this.#rate, wallOffsetMs), this.#host);
  }

  /**
   * It stands still for a while.
   *
   * @param isCutOff whether it is cut off when it goes on; otherwise it may be
   */
  stand(ms: number, isCutOff = false): void {
    const { random, clock } = this.#world;
    const { process } = this.server;
    process.stand(random.oneIn(2));
    clock.setTimer(ms, () => {
      if (isCutOff) this.cutOff(2 * TTL_MS, 0);
      else if (random.oneIn(2)) this.cutOff(TTL_MS);
      process.goOn();
    });
  }

  /** The same, while the answer to a proof is on its way: it waits in the socket. */
  standWhileProven(ms: number): void {
    this.#proven = () => {
      this.#proven = () => {};
      this.stand(ms, true);
    };
  }

  /** @param what is lost: requests and answers, answers, or requests */
  cutOff(ms: number, what = this.#world.random.below(3)): void {
    const untilMs = this.#world.clock.now() + ms;
    if (what !== 1) this.requestsCutUntilMs = untilMs;
    if (what !== 2) this.answersCutUntilMs = untilMs;
  }

  /** Its process ends, and another one begins later. */
  async replace(isKilled: boolean): Promise<void> {
    const { server } = this;
    const { random, clock } = this.#world;
    if (server.process.isDead || server.process.isStanding) return;
    if (isKilled) server.kill();
    else await server.stop();
    clock.setTimer(random.below(2000), () => {
      if (this.server === server) this.server = this.#start();
    });
  }

  /** All that ails it ends. */
  heal(): void {
    this.server.process.goOn();
    this.requestsCutUntilMs = 0;
    this.answersCutUntilMs = 0;
    this.network.isCalm = true;
  }

  #ask(process: SimProcess, path: string, body: object): Promise<JsonObject> {
    const { clock, random, etcd, isPeace } = this.#world;
    return new Promise((resolve, reject) => {
      let isOver = false;
      const end = (settle: () => void): void =>
        process.happens('input', () => {
          if (isOver) return;
          isOver = true;
          timeout.cancel();
          settle();
        });
      const timeout = process.setTimer(TRY_MS, () => {
        isOver = true;
        reject(new EtcdError('unavailable', 'no answer'));
      });
      const arrive = (): void => {
        if (process.isDead) return;
        let answer: JsonObject | EtcdError;
        try {
          answer = etcd.call(path, body);
        } catch (error) {
          if (!(error instanceof EtcdError)) throw error;
          answer = error;
        }
        if (clock.now() < this.answersCutUntilMs) return;
        if (path === '/v3/kv/range' && process === this.server.process) this.#proven();
        const settle = answer instanceof EtcdError ? () => reject(answer) : () => resolve(answer);
        clock.setTimer(this.#delayMs(), () => end(settle));
      };
      if (process.isDead) return;
      const cutMs = Math.max(0, this.requestsCutUntilMs - clock.now());
      if (cutMs === 0) clock.setTimer(this.#delayMs(), arrive);
      // What was held up on its way may arrive all the same, and a second time.
      const isLate = !isPeace && random.oneIn(6);
      if (isLate) clock.setTimer(cutMs + random.below(random.pick([100, 1000, 5000])), arrive);
    });
  }

  #delayMs(): number {
    const { random, isPeace } = this.#world;
    return random.below(!isPeace && random.oneIn(30) ? 2 * TRY_MS : 5);
  }
}
