/**
 * Loaded into a server before its own code (`--import`): tells over IPC what only the process itself
 * can see, the memory in use and where its time goes. Does not keep the process alive.
 */
import { Session } from 'node:inspector';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { heapUsed } from '../support/heap.ts';

/**
 * `memory` is answered with `Memory`, `profile` with nothing, `end profile` with a .cpuprofile,
 * `stall` with a `Stall`.
 */
export type ProbeQuestion = 'memory' | 'profile' | 'end profile' | 'stall';

/** Bytes, after a full collection of garbage. */
export interface Memory {
  readonly heap: number;
  readonly external: number;
  readonly rss: number;
}

/** The longest time that the event loop was held up, since the last such question. */
export interface Stall {
  readonly stallMs: number;
}

const session = new Session();
const delays = monitorEventLoopDelay({ resolution: 1 });

function answer(question: ProbeQuestion): void {
  switch (question) {
    case 'memory': {
      // What the first collection finalizes the second one frees.
      heapUsed();
      const heap = heapUsed();
      const { external, rss } = process.memoryUsage();
      process.send?.({ heap, external, rss } satisfies Memory);
      return;
    }
    case 'stall':
      process.send?.({ stallMs: delays.max / 1e6 } satisfies Stall);
      delays.enable();
      delays.reset();
      return;
    case 'profile':
      session.connect();
      session.post('Profiler.enable');
      session.post('Profiler.start', () => process.send?.({}));
      return;
    case 'end profile':
      session.post('Profiler.stop', (error, result) =>
        process.send?.({ profile: error === null ? JSON.stringify(result.profile) : '' }),
      );
  }
}

process.on('message', ({ ask }: { readonly ask: ProbeQuestion }) => answer(ask));
process.channel?.unref();
