/** The conversations of a server, many clients, a bad network and one clock, from a seed. */
import assert from 'node:assert/strict';
import { Auth } from '../../src/protocol/auth.ts';
import type { ProtocolHost } from '../../src/protocol/channel.ts';
import { SessionProtocol } from '../../src/protocol/session-protocol.ts';
import { DEFAULT_LIMITS } from '../../src/runtime/limits.ts';
import { Counters } from '../../src/session/counters.ts';
import { Namespaces } from '../../src/session/namespace.ts';
import type { Random } from '../support/random.ts';
import { SimClients } from './sim-clients.ts';
import { SimClock } from './sim-clock.ts';
import { SimNetwork } from './sim-network.ts';

/** Milliseconds of trouble in a round, and of peace after it. */
const TROUBLE_MS = 8000;
const PEACE_MS = 60_000;

export class World {
  readonly clock = new SimClock();
  readonly clients: SimClients;
  readonly #random: Random;
  readonly #network: SimNetwork;
  readonly #host: ProtocolHost;
  #isPeace = false;
  /** What a worker threw. */
  #failure: unknown;

  constructor(random: Random) {
    this.#random = random;
    let lastId = 0;
    let names = 0;
    this.#host = {
      registry: new Namespaces(() => ++lastId, DEFAULT_LIMITS.maxLockBytes),
      newName: () => `s${++names}`,
      clock: this.clock,
      startedMs: 0,
      counters: new Counters(),
      limits: DEFAULT_LIMITS,
      observer: undefined,
      defaultAbandonTimeoutMs: 1000,
      auth: new Auth({ client: [], admin: [] }),
      adminObserver: undefined,
      authFailed: () => assert.fail('no token is wanted here'),
    };
    this.#network = new SimNetwork(
      this.clock,
      random,
      (channel) => new SessionProtocol(this.#host, channel),
    );
    this.clients = new SimClients(random, {
      clock: this.clock,
      addresses: [{ kind: 'unix', path: '', name: 'server' }],
      open: (client, _address, events) => this.#network.connect(client, events),
      abandonTimeoutsMs: random.pick([[150, 400], [400, 1000, 3000], [1000, 150], [3000]]),
      holdsMs: [3, 30, 300],
      restMs: 50,
      extendOneIn: 4,
    });
  }

  get connects(): number {
    return this.#network.connects;
  }

  /** Plays the round: trouble, then peace in which everything must come to its end. */
  async play(): Promise<void> {
    const done = this.clients.work(2 + this.#random.below(4));
    let isDone = false;
    done.then(
      () => {
        isDone = true;
      },
      (error) => {
        this.#failure = error;
      },
    );
    this.#troubleLater();
    await this.#run(TROUBLE_MS, () => false);
    this.#isPeace = true;
    this.#network.isCalm = true;
    this.clients.makePeace();
    await this.#run(TROUBLE_MS + PEACE_MS, () => isDone);
    assert.ok(isDone, 'every call has come to its end');
    this.clients.close();
    await this.#run(this.clock.now() + PEACE_MS, () => false);
    for (const { table } of this.#host.registry) assert.deepEqual(table.size.acquired, 0);
    assert.equal([...this.#host.registry].length, 0, 'nothing is left on the server');
    assert.ok(this.clock.isEmpty, 'no timer is left');
  }

  #run(untilMs: number, isEnough: () => boolean): Promise<void> {
    const judge = (): void => {
      this.clients.compare();
      if (this.#failure !== undefined) throw this.#failure;
    };
    return this.clock.run(untilMs, judge, isEnough);
  }

  #troubleLater(): void {
    this.clock.setTimer(this.#random.below(300), () => {
      if (this.#isPeace) return;
      if (this.#random.oneIn(20)) this.clients.sleep();
      else this.#network.disturb();
      this.#troubleLater();
    });
  }
}
