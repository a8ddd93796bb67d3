/**
 * A thousand clients at once, half on WebSocket and half on TCP, lock overlapping paths. What each
 * was told that it holds is written in a ledger of the test's own, as plain as can be: nobody may
 * be told that he holds what conflicts with an entry there.
 *
 * `SEED=n` in the environment gives every client the same script again.
 */
import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import type { Resource } from '../../src/table/resource.ts';
import { LineClient, lock, type Reply } from '../support/line-client.ts';
import { locksConflict, type ModelLock } from '../support/lock-model.ts';
import { Random } from '../support/random.ts';
import { NOTHING_LEFT, startServer } from '../support/running-server.ts';
import { V1Client } from '../support/v1-client.ts';
import { Watch } from '../support/watch.ts';
import { WebSocketClient } from '../support/websocket-client.ts';

const CLIENTS = 1000;
const ROUNDS = 5;
/** Connections opened at a time: fewer than the system queues for a listener. */
const BATCH = 200;
const SEGMENTS = ['a', 'b', 'c', 'd', ''];

interface Guest {
  send(...messages: object[]): void;
  next(): Promise<Reply>;
  /** Ends the connection as clients of its kind do. */
  leave(): void;
  /** Ends it without a word. */
  cut(): void;
}

class Ledger {
  readonly #held = new Map<number, ModelLock>();
  /** The id of the latest write by path (as JSON): what a fenced resource would remember. */
  readonly #fences = new Map<string, number>();
  entered = 0;

  enter(entry: ModelLock): void {
    for (const other of this.#held.values()) {
      if (locksConflict(entry, other)) assert.fail(`${told(entry)} while ${told(other)} is held`);
    }
    for (const { type, path } of entry.resources) {
      const key = JSON.stringify(path);
      assert.ok(entry.id >= (this.#fences.get(key) ?? 0), `${told(entry)}: a later id was here`);
      if (type === 'write') this.#fences.set(key, entry.id);
    }
    this.#held.set(entry.id, entry);
    this.entered++;
  }

  leave({ id }: ModelLock): void {
    assert.ok(this.#held.delete(id));
  }

  get size(): number {
    return this.#held.size;
  }
}

function told({ id, resources }: ModelLock): string {
  return `lock ${id} ${JSON.stringify(resources)}`;
}

function drawResources(random: Random): Resource[] {
  return Array.from({ length: 1 + random.below(3) }, () => {
    // The root is drawn seldom: each time it is, everybody waits.
    const length = random.oneIn(50) ? 0 : 1 + random.below(3);
    const path = Array.from({ length }, () => random.pick(SEGMENTS));
    return { type: random.oneIn(2) ? 'write' : 'read', path };
  });
}

function turnOfTheLoop(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Releases a lock; a grant that crosses the release on the wire is passed over. */
async function release(guest: Guest, id: number): Promise<void> {
  guest.send({ action: 'release' });
  for (;;) {
    const reply = await guest.next();
    assert.equal(Number(reply.id), id);
    if (reply.action === 'release') return;
    assert.equal(reply.state, 'acquired');
  }
}

/** One client's life; a few end it with a lock held or awaited. */
async function live(guest: Guest, random: Random, ledger: Ledger): Promise<void> {
  const isRude = random.oneIn(5);
  for (let round = 1; round <= ROUNDS; round++) {
    const leavesNow = isRude && round === ROUNDS;
    const resources = drawResources(random);
    guest.send(lock(...resources));
    const reply = await guest.next();
    const entry = { id: Number(reply.id), resources };
    if (reply.state === 'enqueued') {
      if (leavesNow) break;
      if (random.oneIn(8)) {
        await release(guest, entry.id);
        continue;
      }
      const granted = await guest.next();
      assert.deepEqual([Number(granted.id), granted.state], [entry.id, 'acquired']);
    } else {
      assert.equal(reply.state, 'acquired');
    }
    ledger.enter(entry);
    for (let turns = random.below(3); turns > 0; turns--) await turnOfTheLoop();
    ledger.leave(entry);
    if (leavesNow) break;
    await release(guest, entry.id);
  }
  if (random.oneIn(2)) guest.leave();
  else guest.cut();
}

/** Every second client is on TCP; of the others one in ten is a `ws` client. */
async function arrive(t: TestContext, port: number, n: number): Promise<Guest> {
  if (n % 2 === 0) {
    const client = await LineClient.connect(t, port);
    client.send({ action: 'hello', namespace: 'test' });
    await client.next();
    return guestOn(client, client.socket, () => client.send({ action: 'bye' }));
  }
  if (n % 20 !== 1) {
    const client = await WebSocketClient.connect(t, port);
    return guestOn(client, client.socket, () => client.socket.end());
  }
  const client = await V1Client.connect(t, port);
  return {
    send: (...messages) => client.send(...messages),
    next: async () => JSON.parse(await client.next()),
    leave: () => client.socket.close(1000),
    cut: () => client.socket.terminate(),
  };
}

function guestOn(client: LineClient | WebSocketClient, socket: Socket, leave: () => void): Guest {
  return {
    send: (...messages) => client.send(...messages),
    next: () => client.next(),
    leave,
    cut: () => socket.destroy(),
  };
}

test('a thousand clients on WebSocket and TCP never hold what conflicts', async (t) => {
  const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
  t.diagnostic(`SEED=${seed}`);
  const watch = new Watch();
  const server = await startServer(t, { defaultAbandonTimeoutMs: 0, clientObserver: watch });
  const ledger = new Ledger();

  const guests: Guest[] = [];
  while (guests.length < CLIENTS) {
    const batch = Array.from({ length: BATCH }, (_, i) =>
      arrive(t, server.address.port, guests.length + i),
    );
    guests.push(...(await Promise.all(batch)));
  }
  assert.equal(server.counts.sessions, CLIENTS);

  await Promise.all(guests.map((guest, n) => live(guest, new Random(seed + n), ledger)));
  await watch.until('disconnected', CLIENTS);
  assert.equal(ledger.size, 0);
  assert.ok(ledger.entered > CLIENTS, `${ledger.entered} locks were held`);
  assert.deepEqual(server.counts, NOTHING_LEFT);
});
