/**
 * The peer `live-mutex`, if it is installed: its broker as a program, and its own client as a load.
 * It is no dependency of ours, because installing it runs a script that fetches things.
 *
 *     node live-mutex.js PORT
 */
import { argv } from 'node:process';
import { fileURLToPath } from 'node:url';
import { Durations, type Figures, type Load } from './sample.ts';

/** Together, since each such installation removes what another one has left. */
export const INSTALL_PEERS = 'npm install --no-save --ignore-scripts live-mutex ioredis';

/** As much of it as is used here. */
interface LiveMutex {
  readonly Broker: new (options: object) => { ensure(): Promise<unknown> };
  readonly Client: new (options: object) => LiveMutexClient;
}

interface LiveMutexClient {
  ensure(): Promise<unknown>;
  acquire(key: string, options: object): Promise<{ readonly id: string }>;
  release(key: string, id: string): Promise<unknown>;
}

export async function liveMutex(): Promise<LiveMutex | undefined> {
  const name: string = 'live-mutex';
  try {
    return await import(name);
  } catch {
    return undefined;
  }
}

/** Clients that contend for one key, as `ContendLoad` does for one path. */
export class LiveMutexLoad implements Load {
  readonly #clients: readonly LiveMutexClient[];
  readonly #handovers = new Durations();
  readonly #grants: number[];
  #releasedMs = 0;
  #isRunning = false;
  #loops: Promise<void>[] = [];
  done = 0;

  static async open(port: number, clients: number): Promise<LiveMutexLoad> {
    const peer = await liveMutex();
    if (peer === undefined) throw new Error(`live-mutex is missing: ${INSTALL_PEERS}`);
    const all = Array.from({ length: clients }, () => new peer.Client({ port, host: '127.0.0.1' }));
    for (const client of all) await client.ensure();
    return new LiveMutexLoad(all);
  }

  private constructor(clients: readonly LiveMutexClient[]) {
    this.#clients = clients;
    this.#grants = clients.map(() => 0);
  }

  get isMeasured(): boolean {
    return this.done > 0 && !this.#handovers.isEmpty;
  }

  start(): void {
    this.done = 0;
    this.#handovers.clear();
    this.#releasedMs = 0;
    this.#isRunning = true;
    this.#loops = this.#clients.map((client, i) => this.#cycle(client, i));
  }

  async stop(): Promise<void> {
    this.#isRunning = false;
    await Promise.all(this.#loops);
  }

  figures(): Figures {
    return {
      p50Us: this.#handovers.quantileUs(0.5),
      p99Us: this.#handovers.quantileUs(0.99),
      mostToLeast: Math.max(...this.#grants) / Math.min(...this.#grants),
    };
  }

  async #cycle(client: LiveMutexClient, index: number): Promise<void> {
    const options = { ttl: 60_000, lockRequestTimeout: 60_000, maxRetries: 0 };
    while (this.#isRunning) {
      const { id } = await client.acquire('orders', options);
      const nowMs = performance.now();
      if (this.#releasedMs !== 0) this.#handovers.add(nowMs - this.#releasedMs);
      this.#releasedMs = nowMs;
      await client.release('orders', id);
      this.#grants[index] = (this.#grants[index] ?? 0) + 1;
      this.done++;
    }
  }
}

if (argv[1] === fileURLToPath(import.meta.url)) {
  const peer = await liveMutex();
  if (peer === undefined) throw new Error(INSTALL_PEERS);
  const port = Number(argv[2]);
  await new peer.Broker({ port, host: '127.0.0.1' }).ensure();
  console.log(`listens on 127.0.0.1:${port} `);
}
