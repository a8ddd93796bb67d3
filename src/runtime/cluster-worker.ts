/**
 * Asks for node:cluster without loading it: with what it needs itself, it takes a twentieth of the
 * time in which the program starts.
 */
import type { Worker } from 'node:cluster';

/** This process as a worker of node:cluster; undefined if it is none. */
export async function clusterWorker(): Promise<Worker | undefined> {
  // Only with a channel to a parent can it be one.
  return process.send && (await import('node:cluster')).default.worker;
}
