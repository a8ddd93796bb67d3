/**
 * Loaded into a server before its own code (`--import`): answers every message over IPC with the
 * bytes in use after a full collection of garbage. Does not keep the process alive.
 */
import { heapUsed } from '../support/heap.ts';

process.on('message', () => {
  heapUsed();
  const heap = heapUsed();
  const { external, rss } = process.memoryUsage();
  process.send?.({ heap, external, rss });
});
process.channel?.unref();
