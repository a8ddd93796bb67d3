/**
 * Lock and release, over and over, by clients that don't contend: a closed loop with one or more
 * cycles in flight on each connection.
 *
 * Answers come in the order of the requests, and each is followed at once by the next request of
 * its slot. So the slots take turns, and the lengths of the answers tell where each one ends: all
 * that is looked at is the last byte of each, and the id where the release must name it.
 */
import { Buffer } from 'node:buffer';
import type { Socket } from 'node:net';
import { open } from './connection.ts';
import type { CycleText } from './requests.ts';
import { Durations, type Figures, InFlight, type Load } from './sample.ts';

const LF = 0x0a;
const BRACE = 0x7d;

export class CycleLoad implements Load {
  readonly #loops: readonly Loop[];
  readonly #durations = new Durations();
  #isRunning = false;
  readonly #inFlight = new InFlight();
  done = 0;

  /**
   * @param texts for each connection the cycles in flight on it
   * @param target the WebSocket's path, if it is one
   */
  static async open(
    port: number,
    texts: readonly (readonly CycleText[])[],
    target?: string,
  ): Promise<CycleLoad> {
    const load = new CycleLoad(texts);
    for (const loop of load.#loops) {
      loop.socket = await open(port, target, (buffer, length) => loop.take(buffer, length));
    }
    return load;
  }

  private constructor(texts: readonly (readonly CycleText[])[]) {
    this.#loops = texts.map((slots) => new Loop(slots, this));
  }

  get isMeasured(): boolean {
    return this.done > 0;
  }

  get isRunning(): boolean {
    return this.#isRunning;
  }

  start(): void {
    this.done = 0;
    this.#durations.clear();
    this.#isRunning = true;
    for (const loop of this.#loops) {
      this.#inFlight.begin(loop.slots);
      loop.begin();
    }
  }

  async stop(): Promise<void> {
    this.#isRunning = false;
    await this.#inFlight.ended();
  }

  figures(): Figures {
    return { p50Us: this.#durations.quantileUs(0.5), p99Us: this.#durations.quantileUs(0.99) };
  }

  answered(ms: number): void {
    this.#durations.add(ms);
  }

  slotStopped(): void {
    this.#inFlight.end();
  }
}

/** One connection with its slots. */
class Loop {
  socket: Socket | undefined;
  readonly slots: number;
  readonly #texts: readonly CycleText[];
  readonly #load: CycleLoad;
  /** The slot whose answer is next, and for each slot whether that is the answer to a release. */
  #next = 0;
  readonly #releasing: boolean[];
  /** The beginning of an answer whose end has not come. */
  #partial: Buffer | undefined;
  #writtenMs = 0;

  constructor(texts: readonly CycleText[], load: CycleLoad) {
    this.slots = texts.length;
    this.#texts = texts;
    this.#load = load;
    this.#releasing = texts.map(() => false);
  }

  begin(): void {
    this.#next = 0;
    this.#writtenMs = performance.now();
    this.socket?.write(Buffer.concat(this.#texts.map(({ lock }) => lock)));
  }

  take(buffer: Buffer, length: number): void {
    const nowMs = performance.now();
    if (this.slots === 1) this.#load.answered(nowMs - this.#writtenMs);
    this.#writtenMs = nowMs;
    if (this.#partial === undefined) {
      this.#answer(buffer, length);
    } else {
      const whole = Buffer.concat([this.#partial, buffer.subarray(0, length)]);
      this.#partial = undefined;
      this.#answer(whole, whole.length);
    }
  }

  #answer(bytes: Buffer, length: number): void {
    const requests: Buffer[] = [];
    let start = 0;
    while (start < length) {
      const text = this.#texts[this.#next];
      if (text === undefined) throw new Error('an answer to nothing');
      const isRelease = this.#releasing[this.#next] ?? false;
      const end = start + (isRelease ? text.releaseReplyBytes : text.lockReplyBytes);
      if (end > length) break;
      const last = bytes[end - 1];
      if (last !== LF && last !== BRACE) throw unexpected(bytes, length);
      const request = this.#follow(text, isRelease, bytes, start);
      if (request !== undefined) requests.push(request);
      start = end;
    }
    if (start < length) this.#partial = Buffer.from(bytes.subarray(start, length));
    const [first] = requests;
    if (first === undefined) return;
    this.socket?.write(requests.length === 1 ? first : Buffer.concat(requests));
  }

  /** Moves the slot whose turn it is on, and returns what it asks next. */
  #follow(text: CycleText, isRelease: boolean, bytes: Buffer, at: number): Buffer | undefined {
    const slot = this.#next;
    this.#next = slot + 1 === this.slots ? 0 : slot + 1;
    this.#releasing[slot] = !isRelease;
    if (!isRelease) {
      if (text.id !== undefined) {
        bytes.copy(text.release, text.id.to, at + text.id.from, at + text.id.from + 16);
      }
      return text.release;
    }
    this.#load.done++;
    if (this.#load.isRunning) return text.lock;
    this.#load.slotStopped();
    return undefined;
  }
}

export function unexpected(bytes: Buffer, length: number): Error {
  return new Error(`not the answer that was expected: ${bytes.toString('latin1', 0, length)}`);
}
