/**
 * Handles one request per connection and turn of the event loop, so that a client that pipelines a
 * thousand requests does not delay the others. A connection is paused while requests wait, so at
 * most those of one read do.
 */
import type { Duplex } from 'node:stream';
import type { Turns } from '../../runtime/clock.ts';

interface Queue {
  readonly waiting: (() => void)[];
  isPaused: boolean;
  /** The connection takes no more requests. */
  isOver: boolean;
}

export class HttpTurns {
  readonly #turns: Pick<Turns, 'nextTurn'>;
  readonly #queues = new WeakMap<Duplex, Queue>();

  constructor(turns: Pick<Turns, 'nextTurn'>) {
    this.#turns = turns;
  }

  /** Calls `act` now, or after those before it, one per turn; never after `end`. */
  take(socket: Duplex, act: () => void): void {
    const queue = this.#queues.get(socket);
    if (queue === undefined) {
      this.#begin(socket, act);
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

  #begin(socket: Duplex, act: () => void): void {
    const queue: Queue = { waiting: [], isPaused: false, isOver: false };
    this.#queues.set(socket, queue);
    act();
    this.#turns.nextTurn(() => this.#next(socket, queue));
  }

  #next(socket: Duplex, queue: Queue): void {
    // After `end` the socket belongs to another reader: it must not be resumed here.
    if (queue.isOver || socket.destroyed) return;
    const act = queue.waiting.shift();
    if (act !== undefined) {
      act();
      this.#turns.nextTurn(() => this.#next(socket, queue));
      return;
    }
    this.#queues.delete(socket);
    if (queue.isPaused) socket.resume();
  }
}
