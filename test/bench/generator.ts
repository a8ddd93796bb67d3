/**
 * The generator of load, as a program: told over IPC what to open, then asked for samples. One
 * process for each server that is measured, so that its code is as warm for one as for another.
 */
import { connect } from 'node:net';
import { ConnectLoad } from './connect-load.ts';
import { ContendLoad } from './contend-load.ts';
import {
  heldLocks,
  idleConnections,
  inspectLoop,
  metricsLoop,
  Repeated,
  watchers,
  wideLoop,
} from './crowd.ts';
import { CycleLoad } from './cycle-load.ts';
import { type Library, LibraryLoad } from './library-load.ts';
import { LineUpLoad } from './line-up-load.ts';
import { LiveMutexLoad } from './live-mutex.ts';
import { PacedLoad } from './paced-load.ts';
import {
  COMPARE_AND_DELETE,
  type CycleText,
  echoCycle,
  floorCycle,
  type Language,
  PARENT,
  type ResourceText,
  redisCycle,
  resp,
  type Spelling,
  sessionCycle,
  v1Cycle,
} from './requests.ts';
import { type Load, sampleOf } from './sample.ts';

/** What a generator is to do; plain data. */
export type Task =
  | {
      readonly kind: 'cycles';
      readonly language: Language | 'floor';
      readonly connections: number;
      /** Cycles in flight on each connection; more than one are told apart by refs. */
      readonly inFlight: number;
      /** How many resources of how many segments; those beyond the first are mixed. */
      readonly resources: number;
      readonly segments: number;
      /** In the session protocol; default `plain`. */
      readonly spelling?: Spelling;
    }
  | { readonly kind: 'paced'; readonly connections: number; readonly perSecond: number }
  | { readonly kind: 'contend'; readonly writers: number; readonly readers: number }
  | { readonly kind: 'connect'; readonly lanes: number }
  | { readonly kind: 'line up'; readonly waiters: number }
  | { readonly kind: 'live-mutex'; readonly clients: number }
  | { readonly kind: 'library'; readonly library: Library; readonly inFlight: number }
  | { readonly kind: 'idle'; readonly connections: number; readonly atOnce?: boolean }
  | {
      readonly kind: 'hold';
      readonly locks: number;
      readonly parent: string;
      /** Lists all locks meanwhile, over and over. */
      readonly isInspected?: boolean;
    }
  | { readonly kind: 'watch'; readonly connections: number; readonly pathsEach: number }
  /** Locks and releases so many resources at once, over and over. */
  | { readonly kind: 'wide'; readonly resources: number }
  | { readonly kind: 'metrics' };

/** Of the tasks, those beside which others are measured. */
export type BesideTask = Task & { readonly kind: 'idle' | 'hold' | 'watch' | 'wide' | 'metrics' };

export type Command =
  | { readonly open: Task; readonly port: number }
  | { readonly sampleMs: number };

let load: Load | undefined;
let besideLoad: Repeated | undefined;

async function obey(command: Command): Promise<object> {
  if ('open' in command) {
    const opened = await openLoad(command.open, command.port);
    if (opened instanceof Repeated) besideLoad = opened;
    else load = opened;
    return {};
  }
  if (load === undefined) throw new Error('nothing to sample');
  // Only meanwhile: between its samples other contenders are measured on the same cores.
  besideLoad?.start();
  const figures = await sampleOf(load, command.sampleMs);
  besideLoad?.stop();
  return figures;
}

async function openLoad(task: Task, port: number): Promise<Load | Repeated | undefined> {
  switch (task.kind) {
    case 'cycles': {
      const sha = task.language === 'redis' ? await loadScript(port) : '';
      const texts = Array.from({ length: task.connections }, (_, i) => cycleTexts(task, i, sha));
      const isWebSocket = task.language === 'v1' || task.language === 'echo';
      return CycleLoad.open(port, texts, isWebSocket ? '/v1?namespace=bench' : undefined);
    }
    case 'paced': {
      const texts = Array.from({ length: task.connections }, (_, i) =>
        sessionCycle(resourceTexts(1, 2, i)),
      );
      return PacedLoad.open(port, texts, task.perSecond);
    }
    case 'contend': {
      const path = [PARENT, 'contended'];
      // The group that is counted comes first: the readers, unless there are only writers.
      return ContendLoad.open(
        port,
        [
          ...Array<ResourceText>(task.readers).fill({ type: 'read', path }),
          ...Array<ResourceText>(task.writers).fill({ type: 'write', path }),
        ],
        task.readers > 0 ? task.writers : 0,
      );
    }
    case 'connect': {
      const wanted = Array.from({ length: task.lanes }, (_, i) => resourceTexts(1, 2, i));
      return new ConnectLoad(port, wanted.flat());
    }
    case 'line up':
      return LineUpLoad.open(port, task.waiters);
    case 'live-mutex':
      return LiveMutexLoad.open(port, task.clients);
    case 'library':
      return LibraryLoad.open(task.library, port, task.inFlight);
    case 'idle':
      await idleConnections(port, task.connections, task.atOnce);
      return undefined;
    case 'hold':
      await heldLocks(port, task.locks, task.parent);
      return task.isInspected === true ? inspectLoop(port) : undefined;
    case 'watch':
      await watchers(port, task.connections, task.pathsEach);
      return undefined;
    case 'wide':
      return wideLoop(port, task.resources);
    case 'metrics':
      return metricsLoop(port);
  }
}

function cycleTexts(
  { language, inFlight, resources, segments, spelling }: Task & { readonly kind: 'cycles' },
  connection: number,
  sha: string,
): CycleText[] {
  return Array.from({ length: inFlight }, (_, slot) => {
    const wanted = resourceTexts(resources, segments, connection * inFlight + slot);
    // Two digits, so that all requests are of the same length.
    return cycleText(language, wanted, inFlight > 1 ? 10 + slot : undefined, sha, spelling);
  });
}

function cycleText(
  language: Language | 'floor',
  wanted: readonly ResourceText[],
  ref: number | undefined,
  sha: string,
  spelling: Spelling | undefined,
): CycleText {
  switch (language) {
    case 'session':
      return sessionCycle(wanted, ref, spelling);
    case 'floor':
      return floorCycle(wanted, ref);
    case 'v1':
      return v1Cycle(wanted);
    case 'echo':
      return echoCycle(wanted);
    case 'redis':
      return redisCycle(wanted, sha);
  }
}

/** What nobody else writes: a path of its own, and others that all read. */
function resourceTexts(count: number, segments: number, client: number): ResourceText[] {
  const own = String(1000 + client);
  return Array.from({ length: count }, (_, i) => {
    const isShared = i % 2 === 1;
    const names = [PARENT, 'stock', 'users', 'prices'];
    const middle = Array.from({ length: segments - 2 }, () => (isShared ? 'all' : own));
    const path = [names[i % names.length] ?? '', ...middle, isShared ? 'list' : own];
    return { type: isShared ? 'read' : 'write', path };
  });
}

/** Gives Redis the script and returns its name there. */
async function loadScript(port: number): Promise<string> {
  const socket = connect({ port, host: '127.0.0.1' });
  try {
    socket.write(resp('SCRIPT', 'LOAD', COMPARE_AND_DELETE));
    for await (const chunk of socket) {
      const sha = /[0-9a-f]{40}/.exec(String(chunk));
      if (sha !== null) return sha[0];
    }
    throw new Error('Redis did not take the script');
  } finally {
    socket.destroy();
  }
}

process.on('message', (command: Command) => {
  obey(command).then(
    (answer) => process.send?.(answer),
    (error) => {
      console.error(error);
      process.exit(1);
    },
  );
});
