/**
 * Closes connections without losing the last output. All graceful closes go through this file.
 *
 * Closing a socket that has unread input sends a reset, which can discard the last bytes written.
 * So input is read and ignored until the peer closes its side, for at most `CLOSE_TIMEOUT_MS`.
 */
import type { Duplex } from 'node:stream';
import type { Clock } from '../../runtime/clock.ts';

/** Milliseconds that a peer has to read the last output and close its side, before it is cut. */
export const CLOSE_TIMEOUT_MS = 5000;

/** Sockets whose timeout is running; later calls don't restart it. */
const timed = new WeakSet<Duplex>();

/**
 * Sends all pending output and FIN, ignores further input, and cuts the connection after
 * `CLOSE_TIMEOUT_MS`. Idempotent.
 */
export function closeGracefully(socket: Duplex, clock: Clock): void {
  cutAfterTimeout(socket, clock);
  // Present readers, such as node:http, would otherwise go on parsing and buffering input.
  socket.removeAllListeners('data');
  socket.on('data', () => {});
  readAgain(socket);
  socket.resume();
  socket.end();
}

/** Cuts `socket` `CLOSE_TIMEOUT_MS` after the first call for it. */
export function cutAfterTimeout(socket: Duplex, clock: Clock): void {
  if (timed.has(socket) || socket.closed) return;
  timed.add(socket);
  socket.on('error', () => {}); // 'close' follows
  const timer = clock.setTimer(CLOSE_TIMEOUT_MS, () => socket.destroy());
  socket.on('close', () => timer.cancel());
}

/**
 * Makes a socket readable again after node:http has detached from it. node:http reads from the
 * handle below the stream. If the socket is paused meanwhile, the handle stops while the stream
 * still considers a read in progress, so it would never start another, and would miss all further
 * input and the end.
 */
export function readAgain(socket: Duplex): void {
  // Completes the pending read with no data.
  socket.push('');
}
