/**
 * Lock and release, over and over, by client libraries: ours and others, each with the server it is made
 * for. One process, so many cycles in flight, each of them on a key of its own. `ioredis` and
 * `live-mutex` are no dependencies of ours, and take part if they are installed.
 */
import { LOCK_TYPE, LocktopusClient } from '@locktopus/client';
import { WebSocket } from 'ws';
import { connect, write } from '../../src/client/index.ts';
import { INSTALL_PEERS, liveMutex } from './live-mutex.ts';
import { COMPARE_AND_DELETE, PARENT } from './requests.ts';
import { Durations, type Figures, type Load } from './sample.ts';

export type Library = 'ours' | '@locktopus/client' | 'ioredis' | 'live-mutex';

/** Acquires the lock of a slot and releases it. */
type Cycle = () => Promise<unknown>;

const TTL_MS = 60_000;

/** As much of `ioredis` as is used here. */
interface Redis {
  set(key: string, value: string, px: 'PX', ttlMs: number, nx: 'NX'): Promise<'OK' | null>;
  defineCommand(
    name: string,
    script: { readonly numberOfKeys: number; readonly lua: string },
  ): void;
  /** The script, once it is defined. */
  unlock(key: string, value: string): Promise<number>;
}

interface IoRedis {
  readonly Redis: new (options: object) => Redis;
}

async function ioredis(): Promise<IoRedis | undefined> {
  const name: string = 'ioredis';
  try {
    return await import(name);
  } catch {
    return undefined;
  }
}

/** Why a library can't take part, and what to do about it. */
export async function missingLibrary(library: Library): Promise<string | undefined> {
  const isMissing =
    (library === 'ioredis' && (await ioredis()) === undefined) ||
    (library === 'live-mutex' && (await liveMutex()) === undefined);
  return isMissing ? `${library} is not installed: ${INSTALL_PEERS}` : undefined;
}

async function cyclesOf(library: Library, port: number, count: number): Promise<Cycle[]> {
  const names = Array.from({ length: count }, (_, i) => String(1000 + i));
  switch (library) {
    case 'ours': {
      const client = await connect(`locktopus://127.0.0.1:${port}/bench`);
      return names.map((name) => async () => {
        const lock = await client.lock(write(PARENT, name));
        await lock.release();
      });
    }
    case '@locktopus/client':
      // It has one lock, so one connection for each.
      return Promise.all(names.map((name) => oldClientCycle(port, name)));
    case 'ioredis':
      return redisCycles(port, names);
    case 'live-mutex':
      return liveMutexCycles(port, names);
  }
}

async function oldClientCycle(port: number, name: string): Promise<Cycle> {
  const options = { host: '127.0.0.1', port, namespace: 'bench', secure: false };
  const client = new LocktopusClient(WebSocket, options);
  await client.connect();
  return async () => {
    if (!(await client.lock({ type: LOCK_TYPE.WRITE, path: [PARENT, name] }))) {
      throw new Error('a lock was not free');
    }
    await client.release();
  };
}

async function redisCycles(port: number, names: readonly string[]): Promise<Cycle[]> {
  const peer = await ioredis();
  if (peer === undefined) throw new Error(INSTALL_PEERS);
  const redis = new peer.Redis({ port, host: '127.0.0.1' });
  redis.defineCommand('unlock', { numberOfKeys: 1, lua: COMPARE_AND_DELETE });
  let count = 0;
  return names.map((name) => async () => {
    const [key, value] = [`${PARENT}/${name}`, String(++count)];
    if ((await redis.set(key, value, 'PX', TTL_MS, 'NX')) !== 'OK') {
      throw new Error('a lock was not free');
    }
    await redis.unlock(key, value);
  });
}

async function liveMutexCycles(port: number, names: readonly string[]): Promise<Cycle[]> {
  const peer = await liveMutex();
  if (peer === undefined) throw new Error(INSTALL_PEERS);
  const client = new peer.Client({ port, host: '127.0.0.1' });
  await client.ensure();
  return names.map((name) => async () => {
    // It writes in the options, so each call has its own.
    const options = { ttl: TTL_MS, lockRequestTimeout: TTL_MS, maxRetries: 0 };
    const { id } = await client.acquire(name, options);
    await client.release(name, id);
  });
}

export class LibraryLoad implements Load {
  readonly #cycles: readonly Cycle[];
  readonly #durations = new Durations();
  #isRunning = false;
  #loops: Promise<void>[] = [];
  done = 0;

  static async open(library: Library, port: number, inFlight: number): Promise<LibraryLoad> {
    return new LibraryLoad(await cyclesOf(library, port, inFlight));
  }

  private constructor(cycles: readonly Cycle[]) {
    this.#cycles = cycles;
  }

  get isMeasured(): boolean {
    return this.done > 0;
  }

  start(): void {
    this.done = 0;
    this.#durations.clear();
    this.#isRunning = true;
    this.#loops = this.#cycles.map((cycle) => this.#repeat(cycle));
  }

  async stop(): Promise<void> {
    this.#isRunning = false;
    await Promise.all(this.#loops);
  }

  figures(): Figures {
    return { p50Us: this.#durations.quantileUs(0.5), p99Us: this.#durations.quantileUs(0.99) };
  }

  async #repeat(cycle: Cycle): Promise<void> {
    while (this.#isRunning) {
      const startMs = performance.now();
      await cycle();
      this.#durations.add(performance.now() - startMs);
      this.done++;
    }
  }
}
