/**
 * Feeds a socket's input to a reader, chunk by chunk. The reader may pause within a chunk: the rest
 * of the chunk is then delivered in a later turn, after other connections, and nothing more is read
 * from the socket before that. So it is after a chunk that was costly, and with a store that is behind
 * nothing is read until it has caught up.
 */
import { Buffer } from 'node:buffer';
import type { Duplex } from 'node:stream';
import type { OutputBuffer } from './output-buffer.ts';
import { readShared } from './shared-read.ts';
import type { StreamHost } from './stream-host.ts';
import { COSTLY_MS } from './turn-queue.ts';

export interface ChunkReader {
  /**
   * @param chunk may be modified, but not kept: its memory is reused after the call
   * @returns how many bytes were consumed: all of them unless the reader was paused
   */
  push(chunk: Buffer): number;
  /** Consumes nothing after the present message until the next push. */
  pause(): void;
}

const NOTHING = Buffer.alloc(0);

export class InputPump {
  readonly #socket: Duplex;
  readonly #host: StreamHost;
  readonly #output: OutputBuffer;
  readonly #reader: ChunkReader;
  readonly #ended: () => void;
  /** Input waits for a later turn: the rest of a chunk, what is in the socket, or both. */
  #isPaused = false;
  /** When a pause last ended. */
  #resumedMs = Number.NEGATIVE_INFINITY;
  /** The present message may be costly. */
  #hasYielded = false;
  /** The peer has ended its side while paused. */
  #isAtEnd = false;

  /**
   * @param output where the reader's replies go
   * @param ended called once the peer has ended its side and all its input has been consumed
   */
  constructor(
    socket: Duplex,
    host: StreamHost,
    output: OutputBuffer,
    reader: ChunkReader,
    ended: () => void,
  ) {
    this.#socket = socket;
    this.#host = host;
    this.#output = output;
    this.#reader = reader;
    this.#ended = ended;
    socket.on('end', () => {
      // A paused socket may emit 'end' before all its input has been consumed.
      if (this.#isPaused) this.#isAtEnd = true;
      else ended();
    });
  }

  /** Starts reading from the socket. */
  start(): void {
    const take = (chunk: Buffer): void => this.take(chunk);
    if (this.#host.sharedReads) readShared(this.#socket, take);
    else this.#socket.on('data', take);
  }

  /** Milliseconds since input may last have been left unread: 0 while it is, Infinity if never. */
  get heldAgoMs(): number {
    return this.#isPaused ? 0 : this.#host.clock.now() - this.#resumedMs;
  }

  /** Delivers `chunk` as if it had been read from the socket. */
  take(chunk: Buffer): void {
    const { clock, gate, turnQueue } = this.#host;
    const startMs = clock.now();
    this.#hasYielded = false;
    this.#host.inputArrived();
    this.#output.answering();
    const taken = this.#reader.push(chunk);
    this.#output.answered();
    const costMs = this.#hasYielded ? clock.now() - startMs : 0;
    if (costMs < COSTLY_MS) turnQueue.othersArrived();
    if (taken < chunk.length || costMs >= COSTLY_MS) {
      this.#takeLater(chunk.subarray(taken), (job) => turnQueue.nextTurn(job, costMs));
    } else if (gate?.isBehind) {
      this.#takeLater(NOTHING, (job) => gate.whenCaughtUp(job));
    } else if (this.#isPaused) {
      this.#goOn();
    }
  }

  /**
   * The present message may be costly: other connections are served before the next one. So what is
   * answered in this turn from now on is its answer.
   */
  yieldTurn(): void {
    this.#hasYielded = true;
    this.#output.longAnswer();
    this.#reader.pause();
  }

  /** @param later calls a job when it is time */
  #takeLater(rest: Buffer, later: (job: () => void) => void): void {
    // A chunk just read is in reused memory and must be copied; a rest was copied before.
    const kept = this.#isPaused ? rest : Buffer.from(rest);
    this.#isPaused = true;
    this.#socket.pause();
    later(() => this.take(kept));
  }

  #goOn(): void {
    this.#isPaused = false;
    this.#resumedMs = this.#host.clock.now();
    if (this.#isAtEnd) this.#ended();
    else this.#socket.resume();
  }
}
