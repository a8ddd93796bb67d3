/** What is measured without a load: memory, and the time to start. Each sample has a new server. */
import { once } from 'node:events';
import { connect } from 'node:net';
import type { Sampler } from './cell.ts';
import { beside, Child } from './child.ts';
import type { Command, Task } from './generator.ts';
import type { Memory } from './probe.ts';
import { lockRequest, PARENT } from './requests.ts';
import type { Figures } from './sample.ts';
import { type ServerSpec, startServer } from './servers.ts';

type Measure = (server: ServerSpec) => Promise<Figures>;

/** @param count connections; the figures are bytes for each */
export function idleMemory(count: number): (server: ServerSpec) => Promise<Sampler> {
  return sampled((server) => memoryEach(server, { kind: 'idle', connections: count }, count));
}

/** @param count locks; the figures are bytes for each */
export function heldMemory(count: number): (server: ServerSpec) => Promise<Sampler> {
  return sampled((server) =>
    memoryEach(server, { kind: 'hold', locks: count, parent: PARENT }, count),
  );
}

/** The time from the start of the process until a client has the answer to its first request. */
export const startUp = sampled(async (spec) => {
  const startMs = performance.now();
  const server = await startServer(spec);
  try {
    const socket = connect({ port: server.port, host: '127.0.0.1' });
    socket.write(`${lockRequest([{ type: 'write', path: [PARENT, '1'] }])}\n`);
    await once(socket, 'data');
    const startedMs = performance.now();
    socket.destroy();
    return { startMs: startedMs - startMs };
  } finally {
    await server.stop();
  }
});

function sampled(measure: Measure): (server: ServerSpec) => Promise<Sampler> {
  return async (server) => ({
    sample: () => measure(server),
    close: async () => undefined,
  });
}

async function memoryEach(spec: ServerSpec, task: Task, count: number): Promise<Figures> {
  const server = await startServer(spec, true);
  const generator = new Child('generator', [process.execPath, beside('generator')]);
  try {
    const open = (open: Task) => generator.ask({ open, port: server.port } satisfies Command);
    // The code that serves the first connection is not what the thousandth costs.
    await open({ kind: 'idle', connections: 2 });
    const before = (await server.ask('memory')) as Memory;
    await open(task);
    const after = (await server.ask('memory')) as Memory;
    const each = (bytes: number): number => bytes / count;
    const heap = after.heap - before.heap;
    return {
      heapEach: each(heap),
      bytesEach: each(heap + after.external - before.external),
      rssEach: each(after.rss - before.rss),
    };
  } finally {
    await generator.stop();
    await server.stop();
  }
}
