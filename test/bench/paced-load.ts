/**
 * Lock and release at a fixed pace, whatever the server does: an open loop. A cycle counts from when
 * it was due, so one that waits for a free connection, or for the server, shows all of its wait.
 */
import type { Buffer } from 'node:buffer';
import type { Socket } from 'node:net';
import { open } from './connection.ts';
import type { CycleText } from './requests.ts';
import { Durations, type Figures, InFlight, type Load } from './sample.ts';

const LF = 0x0a;

export class PacedLoad implements Load {
  readonly #intervalMs: number;
  readonly #idle: Lane[] = [];
  readonly #durations = new Durations();
  /** When each cycle that waits for a connection was due. */
  #waiting: number[] = [];
  #dueMs = 0;
  #isRunning = false;
  readonly #inFlight = new InFlight();
  done = 0;

  /** @param texts the cycle of each connection, with one in flight */
  static async open(port: number, texts: readonly CycleText[], perSecond: number) {
    const load = new PacedLoad(perSecond);
    for (const text of texts) {
      const lane = new Lane(text, load);
      lane.socket = await open(port, undefined, (buffer, length) => lane.take(buffer, length));
      load.#idle.push(lane);
    }
    return load;
  }

  private constructor(perSecond: number) {
    this.#intervalMs = 1000 / perSecond;
  }

  get isMeasured(): boolean {
    return this.done > 0;
  }

  start(): void {
    this.done = 0;
    this.#durations.clear();
    this.#waiting = [];
    this.#isRunning = true;
    this.#dueMs = performance.now();
    this.#tick();
  }

  async stop(): Promise<void> {
    this.#isRunning = false;
    await this.#inFlight.ended();
  }

  figures(): Figures {
    return {
      p50Us: this.#durations.quantileUs(0.5),
      p99Us: this.#durations.quantileUs(0.99),
      p999Us: this.#durations.quantileUs(0.999),
    };
  }

  /** Timers are too coarse: looks at the clock in each turn. */
  #tick(): void {
    if (!this.#isRunning) return;
    const nowMs = performance.now();
    for (; this.#dueMs <= nowMs; this.#dueMs += this.#intervalMs) this.#waiting.push(this.#dueMs);
    for (let lane = this.#idle[0]; lane !== undefined; lane = this.#idle[0]) {
      const dueMs = this.#waiting.shift();
      if (dueMs === undefined) break;
      this.#idle.shift();
      this.#inFlight.begin();
      lane.begin(dueMs);
    }
    setImmediate(() => this.#tick());
  }

  cycled(lane: Lane, dueMs: number): void {
    this.#durations.add(performance.now() - dueMs);
    this.done++;
    this.#idle.push(lane);
    this.#inFlight.end();
  }
}

class Lane {
  socket: Socket | undefined;
  readonly #text: CycleText;
  readonly #load: PacedLoad;
  #dueMs = 0;
  #isReleasing = false;

  constructor(text: CycleText, load: PacedLoad) {
    this.#text = text;
    this.#load = load;
  }

  begin(dueMs: number): void {
    this.#dueMs = dueMs;
    this.#isReleasing = false;
    this.socket?.write(this.#text.lock);
  }

  take(buffer: Buffer, length: number): void {
    if (buffer[length - 1] !== LF) return;
    if (this.#isReleasing) {
      this.#load.cycled(this, this.#dueMs);
      return;
    }
    this.#isReleasing = true;
    this.socket?.write(this.#text.release);
  }
}
