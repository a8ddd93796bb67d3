/** Turning away a handshake on a socket that `node:http` has given up at its 'upgrade' event. */
import type { Duplex } from 'node:stream';
import type { Clock } from '../../session/clock.ts';
import { type Refused, refusalResponse } from './handshake.ts';

/**
 * Answers `refused` and ends the connection. What still comes is read and ignored, so that no reset
 * overtakes the answer, for `closeTimeoutMs` milliseconds at most.
 */
export function refuseUpgrade(
  socket: Duplex,
  refused: Refused,
  options: { readonly clock: Clock; readonly closeTimeoutMs: number },
): void {
  const timer = options.clock.setTimer(options.closeTimeoutMs, () => socket.destroy());
  socket.on('close', () => timer.cancel());
  socket.on('error', () => {}); // 'close' follows
  socket.resume();
  socket.end(refusalResponse(refused));
}
