/**
 * Handles one request per connection and turn of the event loop, so that a client that pipelines a
 * thousand requests does not delay the others. A connection is paused while requests wait, so at
 * most those of one read do.
 */
import type { Duplex } from 'node:stream';
import type { Clock } from '../../runtime/clock.ts';
import type { TurnQueue } from '../stream/turn-queue.ts';

interface Queue {
  readonly waiting: (() => void)[];
  isPaused: boolean;
  /** The connection takes no more requests. */
  isOver: boolean;
}

export class HttpTurns {
  readonly #turns: Pick<TurnQueue, 'nextTurn'>;
  readonly #clock: Clock;
  readonly #queues = new WeakMap<Duplex, Queue>();

  constructor(turns: Pick<TurnQueue, 'nextTurn'>, clock: Clock) {
    this.#turns = turns;
    this.#clock = clock;
  }

  /**
   * Calls `act` now, or after those before it, one per turn; never after `end`.
   *
   * @param isCostly whether it waits for its turn also if it is the first: connections with one such
   *   request each are as many as clients want, and may have gone when it is their turn
   */
  take(socket: Duplex, act: () => void, isCostly = false): void {
    const queue = this.#queues.get(socket);
    if (queue === undefined) {
      this.#begin(socket, act, isCostly);
    } else if (!queue.isOver) {
      queue.waiting.push(act);
      queue.isPaused = true;
      socket.pause();
    }
  }

  /** Whether `end` was called for this connection. */
  isOver(socket: Duplex): boolean {
    return this.#queues.get(socket)?.isOver ?? false;
  }

  /** Drops the waiting requests of this connection, and ignores later ones. */
  end(socket: Duplex): void {
    const queue = this.#queues.get(socket);
    if (queue === undefined) {
      this.#queues.set(socket, { waiting: [], isPaused: false, isOver: true });
      return;
    }
    queue.isOver = true;
    queue.waiting.length = 0;
  }

  #begin(socket: Duplex, act: () => void, isCostly: boolean): void {
    const queue: Queue = { waiting: isCostly ? [act] : [], isPaused: false, isOver: false };
    this.#queues.set(socket, queue);
    if (isCostly) this.#turns.nextTurn(() => this.#next(socket, queue));
    else this.#act(socket, queue, act);
  }

  #act(socket: Duplex, queue: Queue, act: () => void): void {
    const startMs = this.#clock.now();
    act();
    const costMs = this.#clock.now() - startMs;
    this.#turns.nextTurn(() => this.#next(socket, queue), costMs);
  }

  #next(socket: Duplex, queue: Queue): void {
    // After `end` the socket belongs to another reader: it must not be resumed here.
    if (queue.isOver || socket.destroyed) return;
    const act = queue.waiting.shift();
    if (act !== undefined) {
      this.#act(socket, queue, act);
      return;
    }
    this.#queues.delete(socket);
    if (queue.isPaused) socket.resume();
  }
}
