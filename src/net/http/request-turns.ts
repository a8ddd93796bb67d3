/**
 * One request of a connection in each turn of the event loop: a client that sends a thousand at once has
 * them all answered, and all others are served in between. What waits is what one read brought.
 */
import type { Duplex } from 'node:stream';
import type { Turns } from '../../runtime/clock.ts';

interface Line {
  readonly waiting: (() => void)[];
  isPaused: boolean;
  /** The connection takes no more requests. */
  isOver: boolean;
}

export class HttpTurns {
  readonly #turns: Pick<Turns, 'nextTurn'>;
  readonly #lines = new WeakMap<Duplex, Line>();

  constructor(turns: Pick<Turns, 'nextTurn'>) {
    this.#turns = turns;
  }

  /** Calls `act` now, or when those before it have had a turn each; never once the line is over. */
  take(socket: Duplex, act: () => void): void {
    const line = this.#lines.get(socket);
    if (line === undefined) {
      this.#begin(socket, act);
    } else if (!line.isOver) {
      line.waiting.push(act);
      line.isPaused = true;
      socket.pause();
    }
  }

  /** Whether nothing more of this connection is looked at. */
  isOver(socket: Duplex): boolean {
    return this.#lines.get(socket)?.isOver ?? false;
  }

  /** What waits on this connection, and what still comes, is not looked at. */
  end(socket: Duplex): void {
    const line = this.#lines.get(socket);
    if (line === undefined) {
      this.#lines.set(socket, { waiting: [], isPaused: false, isOver: true });
      return;
    }
    line.isOver = true;
    line.waiting.length = 0;
  }

  #begin(socket: Duplex, act: () => void): void {
    const line: Line = { waiting: [], isPaused: false, isOver: false };
    this.#lines.set(socket, line);
    act();
    this.#turns.nextTurn(() => this.#next(socket, line));
  }

  #next(socket: Duplex, line: Line): void {
    // Once it is over the socket is another's, who decides when it is read.
    if (line.isOver || socket.destroyed) return;
    const act = line.waiting.shift();
    if (act !== undefined) {
      act();
      this.#turns.nextTurn(() => this.#next(socket, line));
      return;
    }
    this.#lines.delete(socket);
    if (line.isPaused) socket.resume();
  }
}
