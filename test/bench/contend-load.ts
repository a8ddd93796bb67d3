/**
 * Clients of the session protocol that contend: each asks for its lock, waits until it holds it,
 * releases it, and asks again when that is answered. One lock and one connection each.
 *
 * Answers are told apart by single bytes at fixed places.
 */
import { Buffer } from 'node:buffer';
import type { Socket } from 'node:net';
import { open } from './connection.ts';
import { unexpected } from './cycle-load.ts';
import { lockReply, lockRequest, RELEASE_REPLY, type ResourceText } from './requests.ts';
import { Durations, type Figures, InFlight, type Load } from './sample.ts';

/** All answers are one of these long: `acquired` and `enqueued` have as many letters. */
const LOCK_BYTES = lockReply().length + 1;
const RELEASE_BYTES = RELEASE_REPLY.length + 1;
const ACTION_AT = '{"action":"'.length;
const STATE_AT = lockReply().indexOf('acquired');
const [LETTER_A, LETTER_E, LETTER_L, LF] = [0x61, 0x65, 0x6c, 0x0a];
const RELEASE = Buffer.from('{"action":"release"}\n');

export class ContendLoad implements Load {
  /**
   * In the order in which they came to their end: that in which they begin again, so that the line
   * goes on where it stopped and a sample's beginning favours nobody.
   */
  #members: Member[];
  #ended: Member[] = [];
  readonly #handovers = new Durations();
  /** Since the connections were opened, by member. */
  readonly grants: number[];
  #releasedMs = 0;
  #isRunning = false;
  readonly #inFlight = new InFlight();
  /** Cycles of all members but the last `others`. */
  done = 0;
  readonly #others: number;
  #othersDone = 0;

  /**
   * @param wanted for each member what it locks
   * @param others so many members at the end are counted apart
   */
  static async open(port: number, wanted: readonly ResourceText[], others = 0) {
    const load = new ContendLoad(wanted, others);
    for (const member of load.#members) {
      member.socket = await open(port, undefined, (buffer, length) => member.take(buffer, length));
    }
    return load;
  }

  private constructor(wanted: readonly ResourceText[], others: number) {
    this.#others = others;
    const counted = wanted.length - others;
    this.#members = wanted.map((resource, i) => new Member(this, i, resource, i < counted));
    this.grants = Array(counted).fill(0);
  }

  /** Where all write, somebody must have waited. */
  get isMeasured(): boolean {
    if (this.done === 0) return false;
    return this.#others > 0 ? this.#othersDone > 0 : !this.#handovers.isEmpty;
  }

  get isRunning(): boolean {
    return this.#isRunning;
  }

  start(): void {
    this.done = 0;
    this.#othersDone = 0;
    this.#handovers.clear();
    this.#releasedMs = 0;
    this.#isRunning = true;
    this.#inFlight.begin(this.#members.length);
    this.#ended = [];
    for (const member of this.#members) member.begin();
  }

  async stop(): Promise<void> {
    this.#isRunning = false;
    await this.#inFlight.ended();
    this.#members = this.#ended;
  }

  figures(): Figures {
    return {
      p50Us: this.#handovers.quantileUs(0.5),
      p99Us: this.#handovers.quantileUs(0.99),
      mostToLeast: Math.max(...this.grants) / Math.min(...this.grants),
      othersDone: this.#othersDone,
    };
  }

  /** A lock that had to wait is held: handed over by the last release. */
  waited(): void {
    if (this.#releasedMs !== 0) this.#handovers.add(performance.now() - this.#releasedMs);
  }

  releasing(): void {
    this.#releasedMs = performance.now();
  }

  cycled(member: number, isCounted: boolean): void {
    if (!isCounted) this.#othersDone++;
    else {
      this.done++;
      this.grants[member] = (this.grants[member] ?? 0) + 1;
    }
  }

  memberStopped(member: Member): void {
    this.#ended.push(member);
    this.#inFlight.end();
  }
}

class Member {
  socket: Socket | undefined;
  readonly #load: ContendLoad;
  readonly #index: number;
  readonly #isCounted: boolean;
  readonly #lock: Buffer;
  #hasWaited = false;
  #partial: Buffer | undefined;

  constructor(load: ContendLoad, index: number, resource: ResourceText, isCounted: boolean) {
    this.#load = load;
    this.#index = index;
    this.#isCounted = isCounted;
    this.#lock = Buffer.from(`${lockRequest([resource])}\n`);
  }

  begin(): void {
    this.#hasWaited = false;
    this.socket?.write(this.#lock);
  }

  take(buffer: Buffer, length: number): void {
    let bytes = buffer;
    let end = length;
    if (this.#partial !== undefined) {
      bytes = Buffer.concat([this.#partial, buffer.subarray(0, length)]);
      end = bytes.length;
      this.#partial = undefined;
    }
    let at = 0;
    while (at < end) {
      const isLock = bytes[at + ACTION_AT] === LETTER_L;
      const next = at + (isLock ? LOCK_BYTES : RELEASE_BYTES);
      if (next > end) break;
      if (bytes[next - 1] !== LF) throw unexpected(bytes, end);
      if (isLock) this.#told(bytes[at + STATE_AT]);
      else this.#released();
      at = next;
    }
    if (at < end) this.#partial = Buffer.from(bytes.subarray(at, end));
  }

  #told(state: number | undefined): void {
    if (state === LETTER_E) {
      this.#hasWaited = true;
    } else if (state === LETTER_A) {
      if (this.#hasWaited) this.#load.waited();
      this.#load.releasing();
      this.socket?.write(RELEASE);
    } else {
      throw new Error('neither acquired nor enqueued');
    }
  }

  #released(): void {
    this.#load.cycled(this.#index, this.#isCounted);
    if (this.#load.isRunning) this.begin();
    else this.#load.memberStopped(this);
  }
}
