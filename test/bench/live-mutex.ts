/**
 * The peer `live-mutex`, if it is installed: its broker as a program, and a load for it.
 * It is no dependency of ours, because installing it runs a script that fetches things.
 *
 *     node live-mutex.js PORT
 */
import { Buffer } from 'node:buffer';
import { randomUUID } from 'node:crypto';
import type { Socket } from 'node:net';
import { argv } from 'node:process';
import { fileURLToPath } from 'node:url';
import { open } from './connection.ts';
import { Durations, type Figures, InFlight, type Load } from './sample.ts';

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

/**
 * Contenders for one key, as `ContendLoad` has them for one path: by its broker's messages on raw
 * connections, because its own client is heavy, and the broker then waits for the generator.
 */
export class LiveMutexLoad implements Load {
  readonly #handovers = new Durations();
  readonly #grants: number[];
  readonly #inFlight = new InFlight();
  #members: Member[] = [];
  #releasedMs = 0;
  #isRunning = false;
  done = 0;

  static async open(port: number, clients: number): Promise<LiveMutexLoad> {
    const load = new LiveMutexLoad(clients);
    for (let i = 0; i < clients; i++) {
      const member: Member = await Member.open(port, i, (state) => load.#told(member, state));
      load.#members.push(member);
    }
    return load;
  }

  private constructor(clients: number) {
    this.#grants = Array(clients).fill(0);
  }

  get isMeasured(): boolean {
    return this.done > 0 && !this.#handovers.isEmpty;
  }

  start(): void {
    this.done = 0;
    this.#handovers.clear();
    this.#releasedMs = 0;
    this.#isRunning = true;
    this.#inFlight.begin(this.#members.length);
    for (const member of this.#members) member.lock();
  }

  async stop(): Promise<void> {
    this.#isRunning = false;
    await this.#inFlight.ended();
  }

  figures(): Figures {
    return {
      p50Us: this.#handovers.quantileUs(0.5),
      p99Us: this.#handovers.quantileUs(0.99),
      mostToLeast: Math.max(...this.#grants) / Math.min(...this.#grants),
    };
  }

  #told(member: Member, state: 'acquired' | 'released'): void {
    if (state === 'acquired') {
      const nowMs = performance.now();
      if (member.hasWaited && this.#releasedMs !== 0) this.#handovers.add(nowMs - this.#releasedMs);
      this.#releasedMs = nowMs;
      member.release();
    } else if (state === 'released') {
      this.#grants[member.index] = (this.#grants[member.index] ?? 0) + 1;
      this.done++;
      if (this.#isRunning) member.lock();
      else this.#inFlight.end();
    }
  }
}

/** What every message of its client has. */
const COMMON = { key: 'orders', max: null, pid: process.pid, keepLocksAfterDeath: false };

type Told = (state: 'acquired' | 'released') => void;

class Member {
  readonly index: number;
  hasWaited = false;
  readonly #told: Told;
  #socket: Socket | undefined;
  #text = '';
  readonly #lock: Buffer;
  /** Its client also confirms each grant. */
  readonly #release: Buffer;

  static async open(port: number, index: number, told: Told): Promise<Member> {
    const member = new Member(index, told);
    const socket = await open(port, undefined, (buffer, length) => {
      member.#take(buffer.toString('latin1', 0, length));
    });
    member.#socket = socket;
    return member;
  }

  private constructor(index: number, told: Told) {
    this.index = index;
    this.#told = told;
    const uuid = randomUUID();
    const terms = { retryCount: 0, ttl: 60_000, rwStatus: null };
    this.#lock = lines({ ...COMMON, ...terms, uuid, type: 'lock' });
    const unlock = { _uuid: uuid, uuid: randomUUID(), rwStatus: null, force: false };
    this.#release = lines(
      { ...COMMON, uuid, type: 'lock-received' },
      { ...COMMON, ...unlock, type: 'unlock' },
    );
  }

  lock(): void {
    this.hasWaited = false;
    this.#socket?.write(this.#lock);
  }

  release(): void {
    this.#socket?.write(this.#release);
  }

  #take(text: string): void {
    this.#text += text;
    for (let end = this.#text.indexOf('\n'); end !== -1; end = this.#text.indexOf('\n')) {
      const line = this.#text.slice(0, end);
      this.#text = this.#text.slice(end + 1);
      if (line.includes('"acquired":true')) this.#told('acquired');
      else if (line.includes('"unlocked":true')) this.#told('released');
      else if (line.includes('"acquired":false')) this.hasWaited = true;
      else if (line !== '') throw new Error(`unexpected: ${line}`);
    }
  }
}

function lines(...messages: object[]): Buffer {
  return Buffer.from(messages.map((message) => `${JSON.stringify(message)}\n`).join(''));
}

if (argv[1] === fileURLToPath(import.meta.url)) {
  const peer = await liveMutex();
  if (peer === undefined) throw new Error(INSTALL_PEERS);
  const port = Number(argv[2]);
  await new peer.Broker({ port, host: '127.0.0.1' }).ensure();
  console.log(`listens on 127.0.0.1:${port} `);
}
