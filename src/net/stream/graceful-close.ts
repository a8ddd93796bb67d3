/**
 * The one way in which a connection is ended without losing what was said last.
 *
 * A socket that is closed over unread input sends a reset, which can overtake the last bytes that were
 * written. So what still comes is read and ignored until the peer closes its side, for a bounded time.
 */
import type { Duplex } from 'node:stream';
import type { Clock } from '../../runtime/clock.ts';

/** Milliseconds given to a peer to read what is left and to close its side, before it is cut. */
export const CLOSE_TIMEOUT_MS = 5000;

/** Sockets that will be cut; a second wish changes nothing. */
const timed = new WeakSet<Duplex>();

/**
 * Sends what was written to `socket` and FIN, reads and ignores what still comes, and cuts the
 * connection after `CLOSE_TIMEOUT_MS`. Called again, it does nothing more.
 */
export function closeGracefully(socket: Duplex, clock: Clock): void {
  cutAfterTimeout(socket, clock);
  // Whatever reads it now, node:http too, would go on to parse and keep what comes.
  socket.removeAllListeners('data');
  socket.on('data', () => {});
  readAgain(socket);
  socket.resume();
  socket.end();
}

/** Cuts `socket` after `CLOSE_TIMEOUT_MS`, counted from the first time that this is asked for. */
export function cutAfterTimeout(socket: Duplex, clock: Clock): void {
  if (timed.has(socket) || socket.closed) return;
  timed.add(socket);
  socket.on('error', () => {}); // 'close' follows
  const timer = clock.setTimer(CLOSE_TIMEOUT_MS, () => socket.destroy());
  socket.on('close', () => timer.cancel());
}

/**
 * Has a socket that node:http has given up be read, paused or not. node:http reads past the stream, and
 * a pause meanwhile stops the handle below it; the stream, which still waits for the read that it began
 * before, would never begin another one, and what comes after, the end too, would not be seen.
 */
export function readAgain(socket: Duplex): void {
  // As if the read had brought nothing.
  socket.push('');
}
