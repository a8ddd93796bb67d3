/**
 * Many clients that lock, extend and release, on one driven clock, from a seed; and the judge of what
 * they rely on. After every event the locks that all of them trust are compared.
 */
import assert from 'node:assert/strict';
import { type Client, connectClient } from '../../src/client/client.ts';
import type { ClientClock, Environment } from '../../src/client/environment.ts';
import type { HeldLock } from '../../src/client/held-lock.ts';
import type { LockOptions } from '../../src/client/options.ts';
import type { Transport, TransportEvents } from '../../src/client/transport.ts';
import type { Address } from '../../src/client/url.ts';
import type { Resource } from '../../src/table/resource.ts';
import { limitsThatCount, locksConflict } from '../support/lock-model.ts';
import type { Random } from '../support/random.ts';
import type { SimClock } from './sim-clock.ts';

interface Held {
  readonly client: string;
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

export interface SimClientsOptions {
  /** True time. */
  readonly clock: SimClock;
  readonly addresses: readonly Address[];
  open(client: string, address: Address, events: TransportEvents): Transport;
  /** Of the first client, of the second one, and so on, over and over. */
  readonly abandonTimeoutsMs: readonly number[];
  /** Milliseconds for which locks are held, at most; from which each hold chooses. */
  readonly holdsMs: readonly number[];
  /** Milliseconds between two locks, at most. */
  readonly restMs: number;
  /** Every 20 ms a hold is extended once in so many times. */
  readonly extendOneIn: number;
  /** No lock has a `waitMs`, a `holdMs` or a signal. */
  readonly isPlain?: boolean;
}

export class SimClients {
  readonly #random: Random;
  readonly #options: SimClientsOptions;
  readonly #trusted = new Set<Held>();
  /** The last lock that was granted on each set of resources. */
  readonly #granted = new Map<string, Held>();
  readonly #skewed: SkewedClock[] = [];
  readonly #clients: Promise<Client>[] = [];
  readonly #abandonTimeouts = new Map<string, number>();
  readonly #restUntilMs = new Map<string, number>();
  #newestId = 0;
  #isPeace = false;
  grants = 0;
  losses = 0;

  constructor(random: Random, options: SimClientsOptions) {
    this.#random = random;
    this.#options = options;
  }

  /** Begins so many clients; resolves when all have done their work, which they do until peace. */
  async work(count: number): Promise<void> {
    await Promise.all(Array.from({ length: count }, (_, i) => this.#client(i)).flat());
  }

  /** From now on every request succeeds. */
  makePeace(): void {
    this.#isPeace = true;
  }

  /** These ask for nothing new in that time. */
  rest(names: readonly string[], ms: number): void {
    for (const name of names) this.#restUntilMs.set(name, this.#nowMs + ms);
  }

  /** Whether one of these holds a lock. */
  isHolding(names: readonly string[]): boolean {
    return [...this.#trusted].some(
      ({ client, signal }) => names.includes(client) && !signal.aborted,
    );
  }

  /** The names of those with so long an abandon timeout at least. */
  names(abandonTimeoutMs = 0): readonly string[] {
    return [...this.#abandonTimeouts]
      .filter(([, ms]) => ms >= abandonTimeoutMs)
      .map(([name]) => name);
  }

  /** The machine of one of them sleeps. */
  sleep(): void {
    this.#random.pick(this.#skewed).sleptMs += this.#random.pick([10, 500, 5000]);
  }

  close(): void {
    for (const client of this.#clients) void client.then((connected) => connected.close());
  }

  /** No two clients trust conflicting locks, and no limit is exceeded. */
  compare(): void {
    const trusted = [...this.#trusted].filter(({ signal }) => !signal.aborted);
    for (const [i, one] of trusted.entries()) {
      for (const other of trusted.slice(0, i)) {
        assert.ok(!locksConflict(one, other), `conflict at ${this.#nowMs} ms: ${told(one, other)}`);
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

  get #nowMs(): number {
    return this.#options.clock.now();
  }

  /**
   * Ids are fencing tokens: conflicting locks are granted in the order of their ids, and what is
   * asked for later has a higher one.
   *
   * @param olderId the highest id that any client had heard of when this lock was asked for
   */
  #note(held: Held, olderId: number): void {
    assert.ok(held.id > olderId, `id ${held.id} was asked for after ${olderId} was granted`);
    for (const other of this.#granted.values()) {
      const isInOrder = other.id < held.id || !locksConflict(held, other);
      assert.ok(isInOrder, `out of order at ${this.#nowMs} ms: ${told(held, other)}`);
    }
    const key = JSON.stringify(held.resources);
    const newest = this.#granted.get(key);
    if (newest === undefined || newest.id < held.id) this.#granted.set(key, held);
    this.#newestId = Math.max(this.#newestId, held.id);
  }

  #client(number: number): Promise<void>[] {
    const random = this.#random;
    const { clock, addresses, open, abandonTimeoutsMs } = this.#options;
    const skewed = new SkewedClock(clock, 0.99 + random.below(21) / 1000);
    this.#skewed.push(skewed);
    const name = `client ${number}`;
    const environment: Environment = {
      clock: skewed,
      random: () => random.below(1000) / 1000,
      open: (address, _token, events) => open(name, address, events),
      keepAlive: () => {},
      report: (error) => assert.fail(String(error)),
      context: undefined,
    };
    const abandonTimeoutMs = abandonTimeoutsMs[number % abandonTimeoutsMs.length];
    assert.ok(abandonTimeoutMs !== undefined);
    this.#abandonTimeouts.set(name, abandonTimeoutMs);
    const options = { abandonTimeoutMs, connectTimeoutMs: 500 };
    const connecting = async (): Promise<Client> => {
      for (;;) {
        try {
          return await connectClient(environment, { addresses, namespace: undefined }, options);
        } catch {
          await clock.sleep(50);
        }
      }
    };
    const client = connecting();
    this.#clients.push(client);
    return Array.from({ length: 1 + random.below(3) }, () => this.#work(name, client));
  }

  async #work(name: string, connecting: Promise<Client>): Promise<void> {
    const client = await connecting;
    while (!this.#isPeace) await this.#lockOnce(name, client);
    const lock = await client.lock({ type: 'write', path: ['a'] });
    await lock.release();
  }

  async #lockOnce(name: string, client: Client): Promise<void> {
    const random = this.#random;
    const { clock, holdsMs, restMs, extendOneIn, isPlain = false } = this.#options;
    const leftMs = (this.#restUntilMs.get(name) ?? 0) - this.#nowMs;
    if (leftMs > 0) await clock.sleep(leftMs);
    const resources = this.#drawResources();
    const controller = new AbortController();
    const options: LockOptions = isPlain
      ? {}
      : {
          waitMs: random.oneIn(2) ? undefined : random.pick([0, 10, 1000]),
          holdMs: random.oneIn(4) ? random.pick([20, 200, 2000]) : undefined,
          signal: random.oneIn(4) ? controller.signal : undefined,
        };
    if (options.signal !== undefined) {
      clock.setTimer(random.below(random.pick([2, 20, 500])), () => controller.abort());
    }
    const olderId = this.#newestId;
    let lock: HeldLock;
    try {
      lock = await client.lock(resources, options);
    } catch {
      await clock.sleep(random.below(restMs));
      return;
    }
    assert.ok(!lock.signal.aborted, 'what is granted is held');
    const held = { client: name, id: Number(lock.id), lock, resources, signal: lock.signal };
    this.grants++;
    this.#trusted.add(held);
    this.compare();
    this.#note(held, olderId);
    const holdMs = random.below(random.pick(holdsMs));
    for (let leftMs = holdMs; leftMs > 0 && !held.signal.aborted; leftMs -= 20) {
      if (this.#isPeace && leftMs > 1000) break;
      if (random.oneIn(extendOneIn)) lock.extend(random.pick([null, 40, 400])).catch(() => {});
      await clock.sleep(Math.min(leftMs, 20));
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

function told(...locks: readonly Held[]): string {
  return locks.map(({ id, resources }) => `${id} ${JSON.stringify(resources)}`).join(' and ');
}
