/**
 * A server that measures its own turns, as a program: the bench asks over IPC for the longest turn
 * of the event loop since it last asked. Its loop never rests, so that each turn is measured.
 */
import { Server } from '../../src/server.ts';

let longestMs = 0;
let last = process.cpuUsage();

/** Milliseconds on a processor, all threads together: other processes do not count. */
function turn(): void {
  const now = process.cpuUsage();
  const ms = (now.user - last.user + now.system - last.system) / 1000;
  if (ms > longestMs) longestMs = ms;
  last = now;
  setImmediate(turn);
}

const limits = { maxLocksPerSession: 1_000_000 };
const server = new Server({ port: 0, stallThresholdMs: 0, limits });
await server.listen();
turn();
process.on('message', () => {
  // The turn that caused it may not be over.
  setImmediate(() =>
    setImmediate(() => {
      process.send?.({ longestMs });
      longestMs = 0;
    }),
  );
});
process.on('disconnect', () => process.exit());
console.log(`port ${server.address.port}`);
