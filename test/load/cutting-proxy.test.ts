/**
 * Real sockets that break: a proxy between clients and the server cuts connections after a random
 * number of bytes, with a reset, a FIN or in the middle of a message. The clients are the library's:
 * they resume their sessions and ask again for what was not answered. Each writes in a shared ledger
 * what it holds: no two may hold what conflicts, and none may lose a lock.
 *
 * The library asks again only for what a resumed session does not list. That a retry of a lock that the
 * server has takes no second one is for the simulation, whose own clients send such retries.
 *
 * `CUT_SECONDS=60` keeps it up for a minute; `SEED=n` draws the same scripts and cuts again.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Client, connectClient } from '../../src/client/client.ts';
import { systemClock } from '../../src/client/environment.ts';
import { UnreachableError } from '../../src/client/errors.ts';
import { parseUrl } from '../../src/client/url.ts';
import type { Resource } from '../../src/table/resource.ts';
import { environmentBy } from '../client/support.ts';
import { CuttingProxy } from '../support/cutting-proxy.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { locksConflict, type ModelLock } from '../support/lock-model.ts';
import { Random } from '../support/random.ts';
import { NOTHING_LEFT, startServer, until } from '../support/running-server.ts';

const CLIENTS = 20;
const CUT_MS = Number(process.env.CUT_SECONDS ?? 5) * 1000;
const PATHS = ['a', 'b', 'c', 'd'];
const ABANDON_TIMEOUT_MS = 60_000;

/** What the clients hold. */
class Ledger {
  readonly #held = new Map<number, ModelLock>();
  entered = 0;

  enter(entry: ModelLock): void {
    for (const other of this.#held.values()) {
      if (other.id !== entry.id && locksConflict(entry, other)) {
        assert.fail(`lock ${entry.id} was granted while ${other.id} is held`);
      }
    }
    this.#held.set(entry.id, entry);
    this.entered++;
  }

  leave(id: number): void {
    this.#held.delete(id);
  }

  get size(): number {
    return this.#held.size;
  }
}

/** A client that locks and releases. */
class Worker {
  readonly #port: number;
  readonly #random: Random;
  readonly #ledger: Ledger;
  resumes = 0;
  done = 0;
  /** What must not happen, whatever breaks. */
  readonly faults: Error[] = [];

  constructor(port: number, random: Random, ledger: Ledger) {
    this.#port = port;
    this.#random = random;
    this.#ledger = ledger;
  }

  async live(isOver: () => boolean): Promise<void> {
    const client = await this.#connect();
    client.on('resumed', () => this.resumes++);
    client.on('connected', () => this.faults.push(new Error('a session was gone')));
    client.on('lost', ({ error }) => this.faults.push(error));
    client.on('disconnected', ({ error }) => {
      if (error.code === 'protocol') this.faults.push(error);
    });
    while (!isOver()) {
      const lock = await client.lock(drawResources(this.#random));
      const id = Number(lock.id);
      this.#ledger.enter({ id, resources: lock.resources });
      for (let turns = this.#random.below(4); turns > 0; turns--) await client.ping();
      this.#ledger.leave(id);
      await lock.release();
      this.done++;
    }
    await client.close();
  }

  async #connect(): Promise<Client> {
    const url = parseUrl(`locktopus://127.0.0.1:${this.#port}/shop`);
    // Mostly without a pause between attempts, for many cuts; else the server notices the end first.
    const random = (): number => (this.#random.oneIn(4) ? 0.01 : 0);
    const environment = { ...environmentBy(systemClock()), random };
    for (;;) {
      try {
        return await connectClient(environment, url, { abandonTimeoutMs: ABANDON_TIMEOUT_MS });
      } catch (error) {
        if (!(error instanceof UnreachableError)) throw error;
      }
    }
  }
}

function drawResources(random: Random): Resource[] {
  return Array.from({ length: 1 + random.below(2) }, () => {
    const path = [random.pick(PATHS), ...(random.oneIn(2) ? [random.pick(PATHS)] : [])];
    return { type: random.oneIn(3) ? 'read' : 'write', path };
  });
}

test('clients whose connections are cut lose nothing and hold nothing twice', async (t) => {
  const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
  t.diagnostic(`SEED=${seed}`);
  // The server's time stands still: nobody loses a lock by being away too long.
  const clock = new FakeClock();
  const server = await startServer(t, { clock });
  const proxy = new CuttingProxy(new Random(seed), server.address.port);
  const port = await proxy.listen(t);
  const ledger = new Ledger();
  let isOver = false;
  const timer = setTimeout(() => {
    isOver = true;
    proxy.isCutting = false;
  }, CUT_MS);
  t.after(() => clearTimeout(timer));

  const workers = Array.from(
    { length: CLIENTS },
    (_, i) => new Worker(port, new Random(seed + 1 + i), ledger),
  );
  await Promise.all(workers.map((worker) => worker.live(() => isOver)));

  const resumes = workers.reduce((sum, worker) => sum + worker.resumes, 0);
  t.diagnostic(`${proxy.cuts} cuts, ${resumes} resumes, ${ledger.entered} locks held`);
  assert.ok(proxy.cuts > CLIENTS && resumes > CLIENTS, 'connections were cut');
  for (const { done, faults } of workers) {
    assert.deepEqual(faults, []);
    assert.ok(done > 0, 'every client makes progress');
  }
  assert.equal(ledger.size, 0);
  // Only sessions are left whose clients never heard that they had them.
  await until(() => server.counts.connections === 0);
  assert.equal(server.counts.acquired + server.counts.enqueued, 0);
  clock.advance(ABANDON_TIMEOUT_MS);
  assert.deepEqual(server.counts, NOTHING_LEFT);
  assert.equal(clock.pendingTimers, 0);
});
