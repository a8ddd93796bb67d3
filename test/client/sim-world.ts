/**
 * The conversations of a server, many clients, a bad network and one clock, from a seed. After every
 * event the locks that all clients trust are compared.
 */
import assert from 'node:assert/strict';
import { type Client, connectClient } from '../../src/client/client.ts';
import type { ClientClock } from '../../src/client/environment.ts';
import type { HeldLock } from '../../src/client/held-lock.ts';
import type { LockOptions } from '../../src/client/options.ts';
import { Auth } from '../../src/protocol/auth.ts';
import type { ProtocolHost } from '../../src/protocol/channel.ts';
import { SessionProtocol } from '../../src/protocol/session-protocol.ts';
import { DEFAULT_LIMITS } from '../../src/runtime/limits.ts';
import { Counters } from '../../src/session/counters.ts';
import { Namespaces } from '../../src/session/namespace.ts';
import type { Resource } from '../../src/table/resource.ts';
import { limitsThatCount, locksConflict } from '../support/lock-model.ts';
import type { Random } from '../support/random.ts';
import { SimClock, SimNetwork } from './sim-network.ts';

/** Milliseconds of trouble in a round, and of peace after it. */
const TROUBLE_MS = 8000;
const PEACE_MS = 60_000;

interface Held {
  readonly id: number;
  readonly lock: HeldLock;
  readonly resources: readonly Resource[];
  /** Read when it was granted: reading `lock.signal` again would check the clock. */
  readonly signal: AbortSignal;
}

/** A client's clocks: they run a little wrong, and its machine may sleep. */
class SkewedClock implements ClientClock {
  readonly #clock: SimClock;
  readonly #rate: number;
  sleptMs = 0;

  constructor(clock: SimClock, rate: number) {
    this.#clock = clock;
    this.#rate = rate;
  }

  now(): number {
    return this.#clock.now() * this.#rate;
  }

  wallNow(): number {
    return this.now() + this.sleptMs;
  }

  setTimer(delayMs: number, callback: () => void) {
    return this.#clock.setTimer(delayMs / this.#rate, callback);
  }
}

export class World {
  readonly clock = new SimClock();
  readonly #random: Random;
  readonly #network: SimNetwork;
  readonly #host: ProtocolHost;
  readonly #trusted = new Set<Held>();
  readonly #skewed: SkewedClock[] = [];
  readonly #clients: Promise<Client>[] = [];
  #isPeace = false;
  /** What a worker threw. */
  #failure: unknown;
  grants = 0;
  losses = 0;

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
  }

  get connects(): number {
    return this.#network.connects;
  }

  /** Plays the round: trouble, then peace in which everything must come to its end. */
  async play(): Promise<void> {
    const count = 2 + this.#random.below(4);
    const work = Array.from({ length: count }, (_, i) => this.#client(i)).flat();
    const done = Promise.all(work);
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
    await this.#run(TROUBLE_MS + PEACE_MS, () => isDone);
    assert.ok(isDone, 'every call has come to its end');
    await done;
    for (const client of this.#clients) void (await client).close();
    await this.#run(this.clock.now() + PEACE_MS, () => false);
    for (const { table } of this.#host.registry) assert.deepEqual(table.size.acquired, 0);
    assert.equal([...this.#host.registry].length, 0, 'nothing is left on the server');
    assert.ok(this.clock.isEmpty, 'no timer is left');
  }

  async #run(untilMs: number, isEnough: () => boolean): Promise<void> {
    while (!isEnough() && this.clock.step(untilMs)) {
      // Every promise that is settled has its effect before the next tick.
      await new Promise<void>((resolve) => process.nextTick(resolve));
      this.#compare();
      if (this.#failure !== undefined) throw this.#failure;
    }
  }

  /** No two clients trust conflicting locks, and no limit is exceeded. */
  #compare(): void {
    const trusted = [...this.#trusted].filter(({ signal }) => !signal.aborted);
    for (const [i, one] of trusted.entries()) {
      for (const other of trusted.slice(0, i)) {
        const pair = `${JSON.stringify(one.resources)} and ${JSON.stringify(other.resources)}`;
        assert.ok(!locksConflict(one, other), `conflict at ${this.clock.now()} ms: ${pair}`);
      }
    }
    const counts = new Map<string, number>();
    for (const { resources } of trusted) {
      for (const [path, limit] of limitsThatCount(resources)) {
        const count = (counts.get(path) ?? 0) + 1;
        counts.set(path, count);
        assert.ok(count <= limit, `limit of ${limit} exceeded at ${path}: ${count}`);
      }
    }
  }

  #troubleLater(): void {
    this.clock.setTimer(this.#random.below(300), () => {
      if (this.#isPeace) return;
      if (this.#random.oneIn(20)) {
        const slept = this.#random.pick(this.#skewed);
        slept.sleptMs += this.#random.pick([10, 500, 5000]);
      } else this.#network.disturb();
      this.#troubleLater();
    });
  }

  #client(number: number): Promise<void>[] {
    const random = this.#random;
    const clock = new SkewedClock(this.clock, 0.99 + random.below(21) / 1000);
    this.#skewed.push(clock);
    const name = `client ${number}`;
    const environment = {
      clock,
      random: () => random.below(1000) / 1000,
      open: (_address: unknown, _token: unknown, events: Parameters<SimNetwork['connect']>[1]) =>
        this.#network.connect(name, events),
      keepAlive: () => {},
      report: (error: unknown) => assert.fail(String(error)),
      context: undefined,
    };
    const abandonTimeoutMs = random.pick([150, 400, 1000, 3000]);
    const target = {
      addresses: [{ kind: 'unix', path: '', name }] as const,
      namespace: undefined,
    };
    const connecting = async (): Promise<Client> => {
      for (;;) {
        try {
          return await connectClient(environment, target, {
            abandonTimeoutMs,
            connectTimeoutMs: 500,
          });
        } catch {
          await this.clock.sleep(50);
        }
      }
    };
    const client = connecting();
    this.#clients.push(client);
    return Array.from({ length: 1 + random.below(3) }, () => this.#work(client));
  }

  async #work(connecting: Promise<Client>): Promise<void> {
    const client = await connecting;
    while (!this.#isPeace) await this.#lockOnce(client);
    // In peace every request succeeds.
    const lock = await client.lock({ type: 'write', path: ['a'] });
    await lock.release();
  }

  async #lockOnce(client: Client): Promise<void> {
    const random = this.#random;
    const resources = this.#drawResources();
    const controller = new AbortController();
    const options: LockOptions = {
      waitMs: random.oneIn(2) ? undefined : random.pick([0, 10, 1000]),
      holdMs: random.oneIn(4) ? random.pick([20, 200, 2000]) : undefined,
      signal: random.oneIn(4) ? controller.signal : undefined,
    };
    if (options.signal !== undefined) {
      this.clock.setTimer(random.below(random.pick([2, 20, 500])), () => controller.abort());
    }
    let lock: HeldLock;
    try {
      lock = await client.lock(resources, options);
    } catch {
      await this.clock.sleep(random.below(50));
      return;
    }
    assert.ok(!lock.signal.aborted, 'what is granted is held');
    const held = { id: Number(lock.id), lock, resources, signal: lock.signal };
    this.grants++;
    this.#trusted.add(held);
    this.#compare();
    const holdMs = random.below(random.pick([3, 30, 300]));
    for (let leftMs = holdMs; leftMs > 0 && !held.signal.aborted; leftMs -= 20) {
      if (random.oneIn(4)) lock.extend(random.pick([null, 40, 400])).catch(() => {});
      await this.clock.sleep(Math.min(leftMs, 20));
    }
    this.#trusted.delete(held);
    if (held.signal.aborted) this.losses++;
    const released = lock.release();
    if (random.oneIn(2)) await released;
  }

  #drawResources(): Resource[] {
    const random = this.#random;
    return Array.from({ length: 1 + random.below(2) }, (): Resource => {
      const path = random.pick([['a'], ['a', '1'], ['b'], []]);
      const type = random.below(5);
      if (type < 3) return { type: 'write', path };
      return type === 3 ? { type: 'read', path } : { type: 'read', path: ['a'], limit: 2 };
    });
  }
}
