/**
 * A server with a data directory is stopped and started again under the load of clients of the
 * library: nothing of that reaches the work that they do under locks.
 *
 * Two restarts, `CHAOS_RESTARTS=n` for more.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { type Client, connect, read, write } from '../../src/client/index.ts';
import { Changes } from '../support/changes.ts';
import { Random } from '../support/random.ts';
import { ChaosServer } from './server.ts';

const RESTARTS = Number(process.env.CHAOS_RESTARTS ?? 2);
const CLIENTS = 12;
const PATHS = ['a', 'b', 'c'];
/** Between two restarts, at least. */
const WORK_BETWEEN_RESTARTS = 60;
/** The longest time, in milliseconds, that work under a lock takes. */
const WORK_MS = 20;

/** Who works on each path now, writers and readers: all clients are of this process. */
class Judge {
  readonly #writers = new Map<string, number>();
  readonly #readers = new Map<string, number>();
  readonly worked = new Changes();
  readonly faults: string[] = [];
  done = 0;

  async work(path: string, isWriter: boolean, signal: AbortSignal, ms: number): Promise<void> {
    const mine = isWriter ? this.#writers : this.#readers;
    const count = (by: number): void => void mine.set(path, (mine.get(path) ?? 0) + by);
    count(1);
    const [writers = 0, readers = 0] = [this.#writers.get(path), this.#readers.get(path)];
    if (writers > 1 || (writers === 1 && readers > 0)) {
      this.faults.push(`${writers} writers and ${readers} readers of ${path}`);
    }
    signal.addEventListener('abort', () => this.faults.push(`aborted: ${String(signal.reason)}`));
    await delay(ms);
    count(-1);
    this.done++;
    this.worked.notify();
  }
}

test('restarts under load: no work under a lock is interrupted, and no lock is held by two', {
  timeout: (RESTARTS * 10 + 60) * 1000,
}, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'locktopus-restarts-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const { server, port } = await ChaosServer.start(t, [], join(folder, 'data'));
  const judge = new Judge();
  let isFinishing = false;

  const loop = async (client: Client, random: Random): Promise<void> => {
    while (!isFinishing) {
      const path = random.pick(PATHS);
      const isWriter = !random.oneIn(3);
      const wanted = isWriter ? write(path) : read(path);
      await client.withLock(wanted, (lock) =>
        judge.work(path, isWriter, lock.signal, random.below(WORK_MS)),
      );
    }
  };
  const clients = await Promise.all(
    Array.from({ length: CLIENTS }, (_, i) => {
      const scheme = i % 2 === 0 ? 'locktopus' : 'ws';
      const options = { abandonTimeoutMs: 60_000, WebSocket };
      return connect(`${scheme}://127.0.0.1:${port}/shop`, options);
    }),
  );
  let resumed = 0;
  for (const client of clients) client.on('resumed', () => resumed++);
  const loops = clients.map((client, i) => loop(client, new Random(i + 1)));
  const failed = Promise.race(loops);

  for (let i = 0; i < RESTARTS; i++) {
    const enough = judge.done + WORK_BETWEEN_RESTARTS;
    await Promise.race([judge.worked.until(() => judge.done >= enough), failed]);
    assert.equal(await server.restart(), 0, 'it does not wait for the holders');
  }
  isFinishing = true;
  await Promise.all(loops);
  await Promise.all(clients.map((client) => client.close()));
  t.diagnostic(`${RESTARTS} restarts, ${resumed} sessions resumed, ${judge.done} locks`);
  assert.deepEqual(judge.faults, []);
  assert.ok(resumed >= RESTARTS, 'clients resume');
  assert.equal(await server.stop(), 0);
});
