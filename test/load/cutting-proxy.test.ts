/**
 * Real sockets that break: a proxy between clients and the server cuts connections after a random
 * number of bytes, with a reset, a FIN or in the middle of a message. Clients resume their sessions
 * by name and ask again, by ref, for what they don't know. Each writes in a shared ledger what it
 * was told that it holds: nobody may hold what conflicts, and whoever resumes still holds what it held.
 *
 * `CUT_SECONDS=60` keeps it up for a minute; `SEED=n` draws the same scripts and cuts again.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { test } from 'node:test';
import type { Resource } from '../../src/table/resource.ts';
import { CuttingProxy } from '../support/cutting-proxy.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { Inbox } from '../support/inbox.ts';
import type { Reply } from '../support/line-client.ts';
import { locksConflict, type ModelLock } from '../support/lock-model.ts';
import { Random } from '../support/random.ts';
import { NOTHING_LEFT, startServer } from '../support/running-server.ts';

const CLIENTS = 20;
const CUT_MS = Number(process.env.CUT_SECONDS ?? 5) * 1000;
const PATHS = ['a', 'b', 'c', 'd'];
const ABANDON_TIMEOUT_MS = 60_000;

/** Who was told that they hold what. */
class Ledger {
  readonly #held = new Map<number, ModelLock>();
  entered = 0;

  enter(entry: ModelLock): void {
    for (const other of this.#held.values()) {
      if (other.id !== entry.id && locksConflict(entry, other)) {
        assert.fail(`lock ${entry.id} is told to be held while ${other.id} is`);
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

/** A connection is gone; what was asked on it may or may not have happened. */
class Cut extends Error {}

/** One connection of a client. */
class Line {
  readonly socket: Socket;
  readonly #inbox = new Inbox<Reply>();
  #partial = '';

  constructor(port: number) {
    this.socket = connect({ port, host: '127.0.0.1', noDelay: true });
    this.socket.setEncoding('utf8');
    this.socket.on('data', (text: string) => this.#take(text));
    this.socket.on('error', () => {});
    this.socket.on('close', () => this.#inbox.end());
  }

  send(message: object): void {
    this.socket.write(`${JSON.stringify(message)}\n`);
  }

  async next(): Promise<Reply> {
    const reply = await this.#inbox.next().catch(() => {
      throw new Cut();
    });
    const { code } = (reply.error ?? {}) as Reply;
    // An old connection that the server still had is told that this client has come back.
    if (code === 'taken_over') throw new Cut();
    return reply;
  }

  #take(text: string): void {
    const lines = (this.#partial + text).split('\n');
    this.#partial = lines.pop() ?? '';
    for (const line of lines) this.#inbox.push(JSON.parse(line));
  }
}

interface Wanted {
  readonly ref: number;
  readonly resources: readonly Resource[];
  id: number | undefined;
  /** In the ledger. */
  isHeld: boolean;
}

class ResumingClient {
  readonly #port: number;
  readonly #random: Random;
  readonly #ledger: Ledger;
  #line: Line;
  #isWelcome = false;
  /** The lock that it was told to have when it came back, if it had one. */
  #listed: Reply | undefined;
  #session: string | undefined;
  #refs = 0;
  #wanted: Wanted | undefined;
  resumes = 0;
  done = 0;

  constructor(port: number, random: Random, ledger: Ledger) {
    this.#port = port;
    this.#random = random;
    this.#ledger = ledger;
    this.#line = new Line(port);
  }

  /** Locks and releases until `isOver`, then says goodbye. */
  async live(isOver: () => boolean): Promise<void> {
    while (!isOver()) {
      const wanted: Wanted = {
        ref: ++this.#refs,
        resources: drawResources(this.#random),
        id: undefined,
        isHeld: false,
      };
      this.#wanted = wanted;
      await this.#insist(() => this.#acquire(wanted));
      for (let turns = this.#random.below(4); turns > 0; turns--)
        await this.#insist(() => this.#ping());
      // From here on it is not held any more as far as this client goes.
      this.#ledger.leave(wanted.id ?? 0);
      wanted.isHeld = false;
      this.#wanted = undefined;
      await this.#insist(() => this.#release(wanted));
      this.done++;
    }
    await this.#insist(() => this.#ask({ action: 'ping', ref: 'last' }));
    this.#line.send({ action: 'bye' });
    await once(this.#line.socket, 'close');
  }

  /** Does `work` until it succeeds, with a new connection after each cut. */
  async #insist(work: () => Promise<unknown>): Promise<void> {
    for (;;) {
      try {
        if (!this.#isWelcome) await this.#arrive();
        this.#isWelcome = true;
        await work();
        return;
      } catch (error) {
        if (!(error instanceof Cut)) throw error;
        this.#isWelcome = false;
        this.#line.socket.destroy();
        this.#line = new Line(this.#port);
      }
    }
  }

  async #arrive(): Promise<void> {
    const hello =
      this.#session === undefined
        ? { action: 'hello', namespace: 'shop', abandonTimeoutMs: ABANDON_TIMEOUT_MS }
        : { action: 'hello', session: this.#session };
    this.#line.send(hello);
    const welcome = await this.#line.next();
    assert.equal(welcome.error, undefined, 'the session is still there');
    this.#session ??= String(welcome.session);
    if (welcome.resumed !== true) return;
    this.resumes++;
    this.#listed = undefined;
    for (let left = Number(welcome.locks); left > 0; left--) {
      assert.equal(this.#listed, undefined, 'a retry takes no second lock');
      this.#listed = await this.#line.next();
    }
    const wanted = this.#wanted;
    if (!wanted?.isHeld) return;
    const { id, state } = this.#listed ?? {};
    assert.deepEqual([Number(id), state], [wanted.id, 'acquired'], 'nothing is lost');
  }

  async #acquire(wanted: Wanted): Promise<void> {
    const { ref, resources } = wanted;
    let reply = this.#listed?.ref === ref ? this.#listed : undefined;
    // What is in the queue will be heard of. Asking again for the rest does no harm, if it is held.
    if (reply?.state !== 'enqueued') reply = await this.#ask({ action: 'lock', ref, resources });
    if (wanted.id !== undefined) {
      assert.equal(Number(reply.id), wanted.id, 'a retry keeps its place');
    }
    wanted.id = Number(reply.id);
    while (reply.state === 'enqueued') {
      reply = await this.#line.next();
      assert.deepEqual([reply.ref, Number(reply.id)], [ref, wanted.id]);
    }
    assert.equal(reply.state, 'acquired');
    this.#ledger.enter({ id: wanted.id, resources });
    wanted.isHeld = true;
  }

  async #release({ id }: Wanted): Promise<void> {
    const reply = await this.#ask({ action: 'release', ref: 'release', id: String(id) });
    const { code } = (reply.error ?? {}) as Reply;
    // It may have been released by an earlier try whose answer got lost.
    assert.ok(reply.state === 'released' || code === 'no_such_lock', JSON.stringify(reply));
  }

  async #ping(): Promise<void> {
    await this.#ask({ action: 'ping', ref: 'ping' });
  }

  /** The answer to `message`, which has a ref. */
  async #ask(message: Reply): Promise<Reply> {
    this.#line.send(message);
    const reply = await this.#line.next();
    assert.deepEqual([reply.action, reply.ref], [message.action, message.ref]);
    return reply;
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

  const clients = Array.from(
    { length: CLIENTS },
    (_, i) => new ResumingClient(port, new Random(seed + 1 + i), ledger),
  );
  await Promise.all(clients.map((client) => client.live(() => isOver)));

  const resumes = clients.reduce((sum, client) => sum + client.resumes, 0);
  t.diagnostic(`${proxy.cuts} cuts, ${resumes} resumes, ${ledger.entered} locks held`);
  assert.ok(proxy.cuts > CLIENTS && resumes > CLIENTS, 'connections were cut');
  for (const client of clients) assert.ok(client.done > 0, 'every client makes progress');
  assert.equal(ledger.size, 0);
  // Nobody is left but sessions whose clients never heard that they had them.
  while (server.counts.connections > 0) await turnOfTheLoop();
  assert.equal(server.counts.acquired + server.counts.enqueued, 0);
  clock.advance(ABANDON_TIMEOUT_MS);
  assert.deepEqual(server.counts, NOTHING_LEFT);
  assert.equal(clock.pendingTimers, 0);
});

function turnOfTheLoop(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
