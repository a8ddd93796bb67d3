/**
 * The server's end of a connection, without a network: what a line connection uses of a socket,
 * driven by the test. It does the worst that a real one may do: it overwrites bytes that it has
 * handed over, ends the input while the reader has paused it, and emits 'close' later.
 */
import { Buffer } from 'node:buffer';
import type { Duplex } from 'node:stream';
import type { SimulatedClock } from './simulated-clock.ts';

type FakeTurns = Pick<SimulatedClock, 'soon' | 'nextTurn' | 'runSoon'>;

type Listener = (argument?: Buffer) => void;

export class FakeSocket {
  readonly #clock: FakeTurns;
  readonly #listeners = new Map<string, Listener[]>();
  readonly #wrote: (bytes: Buffer) => void;
  readonly #ended: () => void;
  #unread: Buffer[] = [];
  /** Called when what is written has been sent, or never will be. */
  #written: (() => void)[] = [];
  #isPaused = false;
  /** The peer has closed its side. */
  #isHalfClosed = false;
  #hasEmittedEnd = false;
  /** The server has ended its side. */
  isEnding = false;
  /** Bytes that the peer has not read. */
  writableLength = 0;
  /** The peer reads nothing. */
  isStalled = false;
  destroyed = false;
  closed = false;

  /**
   * @param wrote is given what the server writes
   * @param ended called when the server has ended its side
   */
  constructor(clock: FakeTurns, wrote: (bytes: Buffer) => void, ended: () => void) {
    this.#clock = clock;
    this.#wrote = wrote;
    this.#ended = ended;
  }

  /** Typed as the socket that the server's code expects: it has all that the code uses. */
  get asSocket(): Duplex {
    return this as unknown as Duplex;
  }

  on(event: string, listener: Listener): void {
    const listeners = this.#listeners.get(event) ?? [];
    listeners.push(listener);
    this.#listeners.set(event, listeners);
  }

  removeAllListeners(event: string): void {
    this.#listeners.delete(event);
  }

  pause(): void {
    this.#isPaused = true;
  }

  /** There is no handle below it whose reading could be resumed. */
  push(): boolean {
    return true;
  }

  resume(): void {
    this.#isPaused = false;
    this.#clock.soon(() => this.#flow());
  }

  write(
    bytes: string | Buffer,
    encoding?: BufferEncoding | (() => void),
    done?: () => void,
  ): boolean {
    if (this.destroyed) return false;
    const written = typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes;
    const callback = typeof encoding === 'function' ? encoding : done;
    if (this.isStalled) this.writableLength += written.length;
    if (callback !== undefined && this.isStalled) this.#written.push(callback);
    else if (callback !== undefined) this.#clock.soon(callback);
    this.#wrote(written);
    return !this.isStalled;
  }

  end(): void {
    if (this.destroyed || this.isEnding) return;
    this.isEnding = true;
    this.#ended();
  }

  /** As in Node, 'close' does not follow at once: timers and other input may come before. */
  destroy(): void {
    if (this.destroyed) return;
    this.#discard();
    this.#clock.nextTurn(() => this.#close());
  }

  /** Bytes come from the peer. */
  deliver(bytes: Buffer): void {
    this.#unread.push(Buffer.from(bytes));
    this.#flow();
    this.#clock.runSoon();
  }

  /** The peer closes its side. */
  halfClose(): void {
    this.#isHalfClosed = true;
    this.#flow();
    this.#clock.runSoon();
  }

  /** The connection is lost. */
  reset(): void {
    this.#discard();
    this.#close();
    this.#clock.runSoon();
  }

  /** The peer has read all that waited for it. */
  drained(): void {
    this.isStalled = false;
    this.writableLength = 0;
    // As in Node: no more can be written once the output has ended.
    if (!this.isEnding && !this.destroyed) this.#emit('drain');
    this.#callBack();
    this.#clock.runSoon();
  }

  #discard(): void {
    this.destroyed = true;
    this.#unread = [];
  }

  #close(): void {
    if (this.closed) return;
    this.closed = true;
    this.#callBack();
    this.#emit('close');
  }

  #callBack(): void {
    for (const callback of this.#written.splice(0)) callback();
  }

  #flow(): void {
    while (!this.#isPaused && !this.destroyed) {
      const chunk = this.#unread.shift();
      if (chunk === undefined) break;
      this.#emit('data', chunk);
      chunk.fill('?');
    }
    if (!this.#isHalfClosed || this.#unread.length > 0 || this.destroyed) return;
    if (this.#hasEmittedEnd) return;
    this.#hasEmittedEnd = true;
    this.#emit('end');
  }

  #emit(event: string, argument?: Buffer): void {
    for (const listener of [...(this.#listeners.get(event) ?? [])]) listener(argument);
  }
}
