/** What is measured without a load: memory, and the time to start. Each sample has a new server. */
import { once } from 'node:events';
import { rmSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import type { Sampler } from './cell.ts';
import { beside, Child } from './child.ts';
import type { Command, Task } from './generator.ts';
import type { Memory, Stall } from './probe.ts';
import { lockRequest, PARENT } from './requests.ts';
import type { Figures } from './sample.ts';
import { newDirectory, type ServerSpec, startServer } from './servers.ts';

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

/** The time in which a server of so many locks, killed and started again, has them all. */
export function recovery(count: number): (server: ServerSpec) => Promise<Sampler> {
  return async (spec) => {
    const directory = newDirectory();
    const server = await startServer(spec, false, directory);
    const generator = new Child('generator', [process.execPath, beside('generator')]);
    const held: Task = { kind: 'hold', locks: count, parent: PARENT };
    await generator.ask({ open: held, port: server.port } satisfies Command);
    await server.stop();
    await generator.stop();
    return {
      async sample() {
        const next = await startServer(spec, false, directory);
        await next.stop();
        return { recoveryMs: next.recoveredMs };
      },
      async close() {
        rmSync(directory, { recursive: true });
        return undefined;
      },
    };
  };
}

/** Milliseconds of the slices in which a rewrite is looked for. */
const SLICE_MS = 100;
/**
 * How long the event loop of a server stands still while its log is written anew, beside so many held
 * locks and cycles in flight, and how large the files get.
 *
 * @param count held locks
 * @param maxSlices after so many it ends without a rewrite
 */
export function rewrite(
  count: number,
  maxSlices: number,
): (server: ServerSpec) => Promise<Sampler> {
  return async (spec) => {
    const directory = newDirectory();
    const server = await startServer(spec, true, directory);
    const [holder, worker] = [0, 1].map(
      () => new Child('generator', [process.execPath, beside('generator')]),
    ) as [Child, Child];
    const { port } = server;
    const held: Task = { kind: 'hold', locks: count, parent: PARENT };
    const cycles = { kind: 'cycles', language: 'session', resources: 1, segments: 2 } as const;
    const work: Task = { ...cycles, connections: 16, inFlight: 64 };
    await holder.ask({ open: held, port } satisfies Command);
    await worker.ask({ open: work, port } satisfies Command);
    await server.ask('stall');
    return {
      async sample() {
        const stalls = { rewriteStallMs: 0, otherStallMs: 0 };
        let most = 0;
        const first = filesIn(directory);
        for (let i = 0; i < maxSlices; i++) {
          const before = filesIn(directory);
          await worker.ask({ sampleMs: SLICE_MS } satisfies Command);
          const after = filesIn(directory);
          const { stallMs } = (await server.ask('stall')) as Stall;
          const isRewriting = before.log !== after.log || before.hasNew || after.hasNew;
          const which = isRewriting ? 'rewriteStallMs' : 'otherStallMs';
          stalls[which] = Math.max(stalls[which], stallMs);
          most = Math.max(most, before.bytes, after.bytes);
          if (after.log !== first.log && !after.hasNew) break;
        }
        const last = filesIn(directory);
        const rewrites = last.log === first.log ? 0 : 1;
        return { ...stalls, rewrites, fileToAlive: most / last.bytes };
      },
      async close() {
        for (const child of [holder, worker, server]) await child.stop();
        rmSync(directory, { recursive: true });
        return undefined;
      },
    };
  };
}

/** The files of a data directory: which one is the log, whether one is in the making, bytes of both. */
function filesIn(directory: string): { log: number; hasNew: boolean; bytes: number } {
  const of = (name: string) => statSync(join(directory, name), { throwIfNoEntry: false });
  const [log, next] = [of('locktopus.log'), of('locktopus.log.new')];
  return {
    log: log?.ino ?? 0,
    hasNew: next !== undefined,
    bytes: (log?.size ?? 0) + (next?.size ?? 0),
  };
}

/**
 * The time until the last of many clients that connect at once has its answer, as after a restart.
 *
 * @param count clients
 */
export function allAtOnce(count: number): (server: ServerSpec) => Promise<Sampler> {
  return sampled(async (spec) => {
    const server = await startServer(spec);
    const generator = new Child('generator', [process.execPath, beside('generator')]);
    try {
      const open: Task = { kind: 'idle', connections: count, atOnce: true };
      const startMs = performance.now();
      await generator.ask({ open, port: server.port } satisfies Command);
      return { lastMs: performance.now() - startMs };
    } finally {
      await generator.stop();
      await server.stop();
    }
  });
}

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
