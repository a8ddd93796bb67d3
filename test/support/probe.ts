/**
 * Imported before the program: on SIGUSR2 it prints the resources of the process, without garbage.
 * Its own share is constant.
 */
import { readdirSync } from 'node:fs';
import { heapUsed } from './heap.ts';

process.on('SIGUSR2', () => {
  const sample = {
    heap: heapUsed(),
    rss: process.memoryUsage.rss(),
    descriptors: readdirSync('/proc/self/fd').length,
    handles: process.getActiveResourcesInfo().length,
  };
  process.stdout.write(`probe ${JSON.stringify(sample)}\n`);
});
