/**
 * A queue that fills and empties, over and over: so many waiters line up for one path behind a
 * holder, then each is served and leaves, one after another. A few connections of the session
 * protocol hold all the places; they join in batches of the same size, however long the queue.
 */
import { Buffer } from 'node:buffer';
import type { Socket } from 'node:net';
import { open } from './connection.ts';
import { unexpected } from './cycle-load.ts';
import { ID, lockReply, lockRequest, RELEASE_REPLY } from './requests.ts';
import type { Figures, Load } from './sample.ts';

const LOCK_BYTES = lockReply().length + 1;
const RELEASE_BYTES = RELEASE_REPLY.length + 1;
const ACTION_AT = '{"action":"'.length;
const ID_AT = lockReply().indexOf(ID);
const STATE_AT = lockReply().indexOf('acquired');
const [LETTER_E, LETTER_L, LF] = [0x65, 0x6c, 0x0a];
const CONNECTIONS = 10;
const BATCH = 10;

const LOCK = `${lockRequest([{ type: 'write', path: ['orders', 'queue'] }])}\n`;

export class LineUpLoad implements Load {
  readonly #waiters: number;
  readonly #sockets: Socket[] = [];
  readonly #partials: (Buffer | undefined)[] = [];
  readonly #release = Buffer.from(`{"action":"release","id":"${ID}"}\n`);
  readonly #releaseIdAt = this.#release.indexOf(ID);
  /** The lock that is held while the queue fills: its connection, and where its id is kept. */
  #holder = 0;
  #isFilling = false;
  #isRunning = false;
  #isIdle = true;
  #stopped = (): void => {};
  #joined = 0;
  #left = 0;
  #turnMs = 0;
  #joinMs = 0;
  #serveMs = 0;
  /** Queues that were filled and emptied. */
  done = 0;

  static async open(port: number, waiters: number): Promise<LineUpLoad> {
    const load = new LineUpLoad(waiters);
    for (let i = 0; i < CONNECTIONS; i++) {
      const socket = await open(port, undefined, (buffer, length) => load.#take(i, buffer, length));
      load.#sockets.push(socket);
    }
    return load;
  }

  private constructor(waiters: number) {
    this.#waiters = waiters;
  }

  get isMeasured(): boolean {
    return this.done > 0;
  }

  start(): void {
    this.done = 0;
    this.#joinMs = 0;
    this.#serveMs = 0;
    this.#isRunning = true;
    this.#isIdle = false;
    this.#fill();
  }

  /** One queue at least is served to its end. */
  async stop(): Promise<void> {
    this.#isRunning = false;
    if (this.#isIdle) return;
    await new Promise<void>((resolve) => {
      this.#stopped = resolve;
    });
  }

  figures(): Figures {
    const waiters = this.done * this.#waiters;
    return {
      joinUs: (this.#joinMs * 1000) / waiters,
      handoverUs: (this.#serveMs * 1000) / waiters,
    };
  }

  #fill(): void {
    this.#isFilling = true;
    this.#joined = 0;
    this.#left = 0;
    this.#sockets[0]?.write(LOCK);
  }

  #joinBatch(): void {
    let missing = this.#waiters - this.#joined;
    for (const socket of this.#sockets) {
      const count = Math.min(BATCH, missing);
      if (count > 0) socket.write(LOCK.repeat(count));
      missing -= count;
    }
  }

  #take(connection: number, buffer: Buffer, length: number): void {
    let bytes = buffer;
    let end = length;
    const partial = this.#partials[connection];
    if (partial !== undefined) {
      bytes = Buffer.concat([partial, buffer.subarray(0, length)]);
      end = bytes.length;
      this.#partials[connection] = undefined;
    }
    let at = 0;
    while (at < end) {
      const isLock = bytes[at + ACTION_AT] === LETTER_L;
      const next = at + (isLock ? LOCK_BYTES : RELEASE_BYTES);
      if (next > end) break;
      if (bytes[next - 1] !== LF) throw unexpected(bytes, end);
      if (!isLock) this.#released();
      else if (bytes[at + STATE_AT] === LETTER_E) this.#enqueued();
      else this.#acquired(connection, bytes, at + ID_AT);
      at = next;
    }
    if (at < end) this.#partials[connection] = Buffer.from(bytes.subarray(at, end));
  }

  #acquired(connection: number, bytes: Buffer, idAt: number): void {
    bytes.copy(this.#release, this.#releaseIdAt, idAt, idAt + ID.length);
    if (!this.#isFilling) {
      this.#sockets[connection]?.write(this.#release);
      return;
    }
    this.#holder = connection;
    this.#turnMs = performance.now();
    this.#joinBatch();
  }

  #enqueued(): void {
    this.#joined++;
    if (this.#joined === this.#waiters) {
      const nowMs = performance.now();
      this.#joinMs += nowMs - this.#turnMs;
      this.#turnMs = nowMs;
      this.#isFilling = false;
      this.#sockets[this.#holder]?.write(this.#release);
    } else if (this.#joined % (BATCH * CONNECTIONS) === 0) {
      this.#joinBatch();
    }
  }

  #released(): void {
    this.#left++;
    if (this.#left <= this.#waiters) return;
    this.#serveMs += performance.now() - this.#turnMs;
    this.done++;
    if (this.#isRunning) {
      this.#fill();
    } else {
      this.#isIdle = true;
      this.#stopped();
    }
  }
}
