/** The last of a socket that `node:http` has given up, as it does at its 'upgrade' event. */
import type { Duplex } from 'node:stream';
import type { Clock } from '../../runtime/clock.ts';

export interface EndOptions {
  readonly clock: Clock;
  /** Milliseconds that the peer has to close its side. */
  readonly closeTimeoutMs: number;
}

/**
 * Ends a connection that nobody reads any more. What still comes is read and ignored, so that no
 * reset overtakes the last that was written, but not for ever.
 */
export function closeGracefully(socket: Duplex, { clock, closeTimeoutMs }: EndOptions): void {
  const timer = clock.setTimer(closeTimeoutMs, () => socket.destroy());
  socket.on('close', () => timer.cancel());
  socket.on('error', () => {}); // 'close' follows
  // node:http, where it still reads, would parse and keep it.
  socket.removeAllListeners('data');
  socket.on('data', () => {});
  socket.resume();
  socket.end();
}
