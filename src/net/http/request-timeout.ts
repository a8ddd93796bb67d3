/**
 * The time that HTTP requests may take on one connection: each must have a complete head within so
 * many milliseconds after the one before it, or after the connection began. One rule for slow heads,
 * for bodies without end, and for connections that are kept alive and not used.
 *
 * `node:http` has timeouts of its own, but watches over them only in a server that listens.
 */
import type { Socket } from 'node:net';
import type { Clock, Timer } from '../../runtime/clock.ts';

export class RequestTimeout {
  readonly #socket: Socket;
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  readonly #missed: (isIdle: boolean) => void;
  #timer: Timer;
  /** Bytes that had been read when the last request came. */
  #bytesRead = 0;

  /**
   * @param missed called once; `isIdle` when not a byte of a request had come
   */
  constructor(socket: Socket, clock: Clock, timeoutMs: number, missed: (isIdle: boolean) => void) {
    this.#socket = socket;
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
    this.#missed = missed;
    this.#timer = this.#start();
    socket.on('close', () => this.stop());
  }

  /** A request has come: the time for the next one begins. */
  requestCame(): void {
    this.#timer.cancel();
    this.#bytesRead = this.#socket.bytesRead;
    this.#timer = this.#start();
  }

  /** No request is waited for any more. */
  stop(): void {
    this.#timer.cancel();
  }

  #start(): Timer {
    return this.#clock.setTimer(this.#timeoutMs, () => {
      this.#missed(this.#socket.bytesRead === this.#bytesRead);
    });
  }
}
