/**
 * The request timeout of one HTTP connection: each request head must be complete within `timeoutMs`
 * of the previous one, or of the start of the connection. This one rule covers slow heads, endless
 * bodies and idle keep-alive connections.
 *
 * `node:http` has timeouts of its own, but enforces them only in a server that listens.
 */
import type { Socket } from 'node:net';
import type { Clock, Timer } from '../../runtime/clock.ts';

export class RequestTimeout {
  readonly #socket: Socket;
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  readonly #missed: (isIdle: boolean) => void;
  #timer: Timer;
  /** `bytesRead` of the socket at the last request. */
  #bytesRead = 0;
  readonly #closed = (): void => this.stop();

  /** @param missed called at most once; `isIdle` if no byte has arrived since the last request */
  constructor(socket: Socket, clock: Clock, timeoutMs: number, missed: (isIdle: boolean) => void) {
    this.#socket = socket;
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
    this.#missed = missed;
    this.#timer = this.#start();
    socket.on('close', this.#closed);
  }

  /** Restarts the timeout for the next request. */
  requestCame(): void {
    this.#timer.cancel();
    this.#bytesRead = this.#socket.bytesRead;
    this.#timer = this.#start();
  }

  /** Ends the timeout for good. */
  stop(): void {
    this.#timer.cancel();
    this.#socket.off('close', this.#closed);
  }

  #start(): Timer {
    return this.#clock.setTimer(this.#timeoutMs, () => {
      this.#missed(this.#socket.bytesRead === this.#bytesRead);
    });
  }
}
