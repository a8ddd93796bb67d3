/**
 * A world whose server has a store. Commits end when the seed says. The server crashes between any
 * two steps, or is stopped; of the commit under way all is stored or nothing. What the next server
 * has must be what the reference had when the last stored batch was sealed, and no client may have
 * been told anything that this un-says.
 */
import assert from 'node:assert/strict';
import { MemoryDisk } from '../support/memory-store.ts';
import type { Random } from '../support/random.ts';
import type { SimulatedServer } from './simulated-server.ts';
import { idsOf, SimulatedStore } from './simulated-store.ts';
import { type Swarm, stepsOf } from './swarm.ts';
import { World, type WorldSnapshot } from './world.ts';

const NOTHING: WorldSnapshot = {
  reference: { nowMs: 0, sessions: [], locks: [] },
  fences: new Map(),
  lastId: 0,
};

export class StoredWorld {
  readonly world: World;
  readonly #random: Random;
  readonly #disk = new MemoryDisk();
  #store: SimulatedStore;
  #server: SimulatedServer | undefined;
  /** What is to be found if a batch is the last one that is stored, by its number. */
  readonly #snapshots = new Map<number, WorldSnapshot>();
  /** A commit ends once in so many steps, the server crashes, or it is stopped. */
  readonly #steps: number;
  readonly #stepsOfCommit: number;
  readonly #stepsOfServer: number;
  readonly #isStopped: boolean;
  /** What a server drops as it stops is not recorded. */
  #isStopping = false;
  restarts = 0;

  constructor(random: Random) {
    this.#random = random;
    this.#steps = 1000;
    this.world = new World(random, drawBusySwarm(random, this.#steps));
    this.#stepsOfCommit = random.pick([1, 4, 12, 40]);
    this.#stepsOfServer = random.pick([40, 100, 300]);
    this.#isStopped = random.oneIn(4);
    this.#store = this.#newStore();
  }

  async play(): Promise<void> {
    const { world } = this;
    this.#snapshots.set(0, NOTHING);
    await this.#start();
    while (world.steps < this.#steps) {
      // A commit has just ended, and its output has left: the best moment for a crash.
      const isBoundary =
        this.#store.underWay !== undefined && this.#random.oneIn(this.#stepsOfCommit);
      if (isBoundary) this.#finish();
      const odds = isBoundary ? this.#stepsOfServer / 5 : this.#stepsOfServer;
      if (this.#random.oneIn(odds)) await this.#restart();
      world.step();
    }
    world.everybodyLeaves();
    this.#finishAll();
    world.checkNothingLeft();
    assert.deepEqual(idsOf(this.#disk.records), [[], []], 'nothing is left in the store');
    assert.equal(this.#server?.persistence?.ledger.heldBackBytes, 0);
  }

  #newStore(): SimulatedStore {
    const begun = (): void => this.#sealed();
    return new SimulatedStore(this.#disk, { isHeld: true, begun });
  }

  /** A commit begins: everything up to now is in its batch or in those before. */
  #sealed(): void {
    const { underWay } = this.#store;
    assert.ok(underWay !== undefined);
    this.#snapshots.delete(underWay.batch - 2);
    this.#snapshots.set(underWay.batch, this.world.snapshot());
    if (this.#isStopping || !this.#random.oneIn(8)) return;
    const stored = idsOf([...this.#disk.records, ...underWay.records]);
    assert.deepEqual(this.#store.drawLive(), stored, 'what is live is what is stored');
  }

  #finish(): void {
    this.#store.finish();
    this.world.clock.runSoon();
  }

  /** Lets everything go out. */
  #finishAll(): void {
    const { clock } = this.world;
    clock.runSoon();
    while (clock.hasTurns || this.#store.underWay !== undefined) {
      clock.runTurn();
      this.#finish();
    }
  }

  async #restart(): Promise<void> {
    this.restarts++;
    if (this.#isStopped) await this.#stop();
    else this.#store.crash({ isStored: this.#random.oneIn(2) });
    this.#store = this.#newStore();
    await this.#start();
  }

  /** Stops the server: all is stored that had happened. */
  async #stop(): Promise<void> {
    const { world } = this;
    const snapshot = world.snapshot();
    this.#isStopping = true;
    this.#server?.persistence?.freeze();
    world.shutDown(() => this.#finishAll());
    let isClosed = false;
    const closed = this.#server?.persistence?.close().then(() => {
      isClosed = true;
    });
    // The last batch has the time of the end.
    for (let jobs = 0; !isClosed; jobs++) {
      assert.ok(jobs < 100, 'a stop ends');
      await Promise.resolve();
      this.#finish();
    }
    await closed;
    this.#isStopping = false;
    this.#snapshots.set(this.#disk.position.batch, snapshot);
  }

  async #start(): Promise<void> {
    const { batch } = this.#disk.position;
    const snapshot = this.#snapshots.get(batch);
    assert.ok(snapshot !== undefined);
    // Whatever begins now ends in the batches that follow.
    this.#snapshots.clear();
    this.#snapshots.set(batch + 1, snapshot);
    const wallClockMs = this.#random.below(2000);
    this.#server = await this.world.restart({ store: this.#store, wallClockMs }, snapshot);
  }
}

/**
 * Locks come and go, and most sessions can be resumed: only they hear of it if a crash un-says
 * something.
 */
function drawBusySwarm(random: Random, steps: number): Partial<Swarm> {
  const rarely = (): number => random.pick([0, 0, 1]);
  const often = { up: 16, down: 12, lock: 12, release: 10, cancel: random.pick([0, 3]) };
  const seldom = { retry: rarely(), evict: rarely(), bye: rarely(), takeover: rarely() };
  const look = { look: rarely(), watch: rarely(), stall: rarely(), lie: rarely() };
  const trouble = { cut: rarely(), notice: 2, time: random.pick([0, 1, 3]) };
  return {
    clients: random.pick([1, 2, 3, 4, 8]),
    steps,
    v1Per10: random.pick([0, 0, 0, 2]),
    unnamedPer10: random.pick([0, 0, 0, 2]),
    abandonsMs: random.pick([[0, 300], [200, 1000], [100_000], [100_000]]),
    heartbeatsMs: random.pick([[undefined], [undefined], [undefined, 1009]]),
    odds: stepsOf({ ...often, ...seldom, ...look, ...trouble, extend: random.pick([0, 3]) }),
  };
}
