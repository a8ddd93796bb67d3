/**
 * Takes in what a socket brings, chunk by chunk, for a reader that may pause in the midst of one: then
 * nothing more is read from the socket until all others have had their turn, and the rest of the
 * chunk comes first.
 */
import { Buffer } from 'node:buffer';
import type { Duplex } from 'node:stream';
import type { OutputBuffer } from './output-buffer.ts';
import { readShared } from './shared-read.ts';
import type { StreamHost } from './stream-host.ts';

export interface ChunkReader {
  /**
   * @param chunk to be changed at will, and not to be kept: its bytes are others' afterwards
   * @returns how many bytes were taken in: all of them, unless it was paused meanwhile
   */
  push(chunk: Buffer): number;
}

export class InputPump {
  readonly #socket: Duplex;
  readonly #host: StreamHost;
  readonly #output: OutputBuffer;
  readonly #reader: ChunkReader;
  readonly #ended: () => void;
  /** What came is not all taken in yet. */
  #isPaused = false;
  /** The peer has ended its side meanwhile. */
  #isAtEnd = false;

  /**
   * @param output where the reader's answers go
   * @param ended called when the peer has ended its side and all that it sent has been taken in
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
      // A paused socket may say so before all that came is taken in.
      if (this.#isPaused) this.#isAtEnd = true;
      else ended();
    });
  }

  /** Takes in whatever comes from now on. */
  start(): void {
    const take = (chunk: Buffer): void => this.take(chunk);
    if (this.#host.sharedReads) readShared(this.#socket, take);
    else this.#socket.on('data', take);
  }

  take(chunk: Buffer): void {
    this.#output.answering();
    const taken = this.#reader.push(chunk);
    this.#output.answered();
    if (taken < chunk.length) this.#takeLater(chunk.subarray(taken));
    else if (this.#isPaused) this.#goOn();
  }

  #takeLater(rest: Buffer): void {
    // Of a chunk that was just read the bytes are others' from now on; what is left of a rest is ours.
    const kept = this.#isPaused ? rest : Buffer.from(rest);
    this.#isPaused = true;
    this.#socket.pause();
    this.#host.turnQueue.nextTurn(() => this.take(kept));
  }

  #goOn(): void {
    this.#isPaused = false;
    if (this.#isAtEnd) this.#ended();
    else this.#socket.resume();
  }
}
