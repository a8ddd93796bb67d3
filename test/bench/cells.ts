/** The work that is measured, and the bars. `FULL` is the real size, `TINY` shows that it runs. */
import type { Cell, Contender, Question } from './cell.ts';
import type { BesideTask } from './generator.ts';
import type { Library } from './library-load.ts';
import { allAtOnce, heldMemory, idleMemory, recovery, rewrite, startUp } from './other-samplers.ts';
import { lockReply, PARENT, SPELLING_NAMES } from './requests.ts';
import type { FloorMode, ServerSpec } from './servers.ts';

export interface Sizes {
  readonly connections: readonly number[];
  /** Of `connections`, the one that the bars are for. */
  readonly judged: number;
  readonly contending: number;
  readonly queues: readonly number[];
  readonly idle: number;
  readonly held: number;
  readonly elsewhere: readonly number[];
  /** Locks that are listed. */
  readonly listed: number;
  /** Cycles per second of the open loop: about a third of what 16 connections do on a slow machine. */
  readonly paced: number;
  /** Connections that watch other paths, and how many paths each of them. */
  readonly watching: number;
  readonly libraryInFlight: number;
  /** Connections, each with the bar of a server with a data directory. */
  readonly stored: readonly (readonly [connections: number, atLeast: number])[];
  readonly recovered: readonly number[];
  /** Tenths of a second that the log has to be rewritten. */
  readonly rewriteSlices: number;
}

export const FULL: Sizes = {
  connections: [1, 16, 64, 256],
  judged: 64,
  contending: 64,
  queues: [100, 1000, 10_000],
  idle: 5000,
  held: 100_000,
  elsewhere: [1, 1000, 100_000],
  listed: 50_000,
  paced: 5000,
  watching: 100,
  libraryInFlight: 16,
  stored: [
    [1, 0.24],
    [64, 0.6],
    [1024, 0.8],
  ],
  recovered: [10_000, 100_000],
  rewriteSlices: 600,
};

export const TINY: Sizes = {
  connections: [2],
  judged: 2,
  contending: 3,
  queues: [10, 20],
  idle: 20,
  held: 200,
  elsewhere: [50, 60],
  listed: 50,
  paced: 1000,
  watching: 2,
  libraryInFlight: 2,
  stored: [[2, 0]],
  recovered: [200],
  rewriteSlices: 1,
};

const F1 = 'f1';
/** `f1` with shared reads and answers after all reads, as ours. */
const TWIN = 'f1 twin';
const F2 = 'f2';
const F3 = 'f3';
/** `f3` by hand, with shared reads and answers after all reads, as ours. */
const F3_TWIN = 'f3 twin';
const OURS = 'ours';
const SECOND = 'perSecond';

/** For a generator of load that knows only answers: no ping meanwhile. */
const NO_PINGS = ['--ping-interval', '86400000'];

/** For locks beyond the default limit of one session. */
const MANY_LOCKS = ['--max-locks', '1000000'];

const floor = (mode: FloorMode, ref?: number): ServerSpec => ({
  kind: 'floor',
  mode,
  reply: lockReply(ref),
});

interface Shape {
  readonly connections: number;
  readonly inFlight?: number;
  readonly resources?: number;
  readonly segments?: number;
}

/** @param program the built program that is measured */
export function allCells(program: string, sizes: Sizes): Cell[] {
  const ours: ServerSpec = { kind: 'ours', program };
  return [
    ...sizes.connections.map((connections) => overTcp(ours, sizes, connections)),
    ...sizes.connections.map((connections) => overWebSocket(ours, sizes, connections)),
    inFlight(ours),
    severalResources(ours, sizes),
    contended(ours, sizes),
    toAndFro(ours),
    queues(ours, sizes),
    readersAndWriter(ours, sizes),
    idle(ours, sizes),
    held(ours, sizes),
    starting(ours),
    elsewhere(ours, sizes),
    libraries(ours, sizes),
    ...sizes.stored.map(([connections, atLeast]) =>
      stored(ours, `k-${connections}`, { connections }, atLeast),
    ),
    stored(ours, 'k-flight', { connections: 16, inFlight: 64 }, 0.5),
    inEtcd(ours, 'k-etcd-64', { connections: sizes.judged }),
    inEtcd(ours, 'k-etcd-flight', { connections: 16, inFlight: 64 }),
    ...sizes.recovered.map((locks) => recovered(ours, sizes, locks)),
    rewritten(ours, sizes),
    reconnecting(ours, sizes),
    spellings(ours),
    watched(ours, sizes),
    inspected(ours, sizes),
    connecting(ours, sizes),
    paced(ours, sizes),
  ];
}

function cycles(
  name: string,
  server: ServerSpec,
  language: 'session' | 'floor' | 'redis' | 'v1' | 'echo',
  { connections, inFlight = 1, resources = 1, segments = 2 }: Shape,
): Contender {
  const work = { kind: 'cycles', language, connections, inFlight, resources, segments } as const;
  return { name, server, work };
}

function rate(of: string, against: string, atLeast?: number): Question {
  const bar = atLeast === undefined ? {} : { atLeast };
  return {
    of: { contender: of, name: SECOND },
    against: { contender: against, name: SECOND },
    ...bar,
  };
}

/** What a cycle costs the server: steadier than a rate where others use the machine, too. */
function cost(of: string, against: string): Question {
  const name = 'serverUsPerCycle';
  return { of: { contender: of, name }, against: { contender: against, name } };
}

const SHOWN = [SECOND, 'p50Us', 'p99Us', 'serverUsPerCycle', 'serverBusy', 'generatorBusy'];

function overTcp(ours: ServerSpec, sizes: Sizes, connections: number): Cell {
  const shape = { connections };
  return {
    name: `a-tcp-${connections}`,
    work: `lock and release, ${connections} connections, TCP`,
    contenders: [
      cycles(F1, floor('parsing'), 'floor', shape),
      cycles(OURS, ours, 'session', shape),
      cycles(F2, floor('plain'), 'floor', shape),
      cycles(TWIN, floor('twin'), 'floor', shape),
      cycles('redis', { kind: 'redis' }, 'redis', shape),
    ],
    questions: [
      rate(OURS, F1, connections === sizes.judged ? 0.95 : undefined),
      rate(OURS, F2),
      rate(OURS, TWIN, connections === sizes.judged ? 0.97 : undefined),
      rate(OURS, 'redis'),
      cost(OURS, F1),
    ],
    shown: SHOWN,
  };
}

function overWebSocket(ours: ServerSpec, sizes: Sizes, connections: number): Cell {
  const shape = { connections };
  const server = { ...ours, args: NO_PINGS } as ServerSpec;
  return {
    name: `a-ws-${connections}`,
    work: `lock and release, ${connections} connections, WebSocket v1`,
    contenders: [
      cycles(F3, { kind: 'echo', mode: 'ws' }, 'echo', shape),
      cycles(OURS, server, 'v1', shape),
      cycles(F3_TWIN, { kind: 'echo', mode: 'twin' }, 'echo', shape),
    ],
    questions: [
      rate(OURS, F3, connections === sizes.judged ? 1.25 : undefined),
      rate(OURS, F3_TWIN, connections === sizes.judged ? 0.97 : undefined),
      cost(OURS, F3),
    ],
    shown: SHOWN,
  };
}

function inFlight(ours: ServerSpec): Cell {
  const shape = { connections: 16, inFlight: 32 };
  return {
    name: 'b',
    work: 'lock and release, 16 connections, 32 cycles in flight on each',
    contenders: [
      cycles(F1, floor('parsing', 10), 'floor', shape),
      cycles(OURS, ours, 'session', shape),
      cycles(F2, floor('plain', 10), 'floor', shape),
      cycles(TWIN, floor('twin', 10), 'floor', shape),
      cycles('redis', { kind: 'redis' }, 'redis', shape),
    ],
    questions: [
      rate(OURS, F1, 0.55),
      rate(OURS, F2),
      rate(OURS, TWIN, 0.75),
      rate(OURS, 'redis', 1),
      cost(OURS, F1),
    ],
    shown: [SECOND, 'serverUsPerCycle', 'serverBusy', 'generatorBusy'],
  };
}

function severalResources(ours: ServerSpec, sizes: Sizes): Cell {
  const shape = { connections: sizes.judged, resources: 4, segments: 3 };
  return {
    name: 'c',
    work: `four resources of depth three, two of them reads, ${sizes.judged} connections`,
    contenders: [
      cycles(F1, floor('parsing'), 'floor', shape),
      cycles(OURS, ours, 'session', shape),
    ],
    questions: [rate(OURS, F1, 0.85), cost(OURS, F1)],
    shown: SHOWN,
  };
}

function contended(ours: ServerSpec, sizes: Sizes): Cell {
  const clients = sizes.contending;
  const p50 = (contender: string) => ({ contender, name: 'p50Us' });
  const p99 = (contender: string) => ({ contender, name: 'p99Us' });
  return {
    name: 'd',
    work: `${clients} clients that all want one path; p50 and p99: release sent to next acquired`,
    contenders: [
      cycles(F1, floor('parsing'), 'floor', { connections: 1 }),
      { name: OURS, server: ours, work: { kind: 'contend', writers: clients, readers: 0 } },
      {
        name: 'live-mutex',
        server: { kind: 'live-mutex' },
        work: { kind: 'live-mutex', clients },
      },
    ],
    questions: [
      { of: p50(OURS), against: p50(F1), atMost: 1.5 },
      rate(OURS, 'live-mutex', 1),
      { of: p99(OURS), against: p99('live-mutex'), atMost: 1 },
      { of: { contender: OURS, name: 'mostToLeast' }, atMost: 1.02 },
    ],
    shown: [SECOND, 'p50Us', 'p99Us', 'mostToLeast', 'serverUsPerCycle', 'generatorBusy'],
  };
}

function toAndFro(ours: ServerSpec): Cell {
  const clients = 2;
  const name = 'serverUsPerCycle';
  return {
    name: 'd-2',
    work: 'two clients that hand one lock to and fro',
    contenders: [
      { name: OURS, server: ours, work: { kind: 'contend', writers: clients, readers: 0 } },
      { name: 'live-mutex', server: { kind: 'live-mutex' }, work: { kind: 'live-mutex', clients } },
    ],
    questions: [
      rate(OURS, 'live-mutex', 1),
      { of: { contender: OURS, name }, against: { contender: 'live-mutex', name } },
    ],
    shown: [SECOND, 'p50Us', 'p99Us', 'serverUsPerCycle', 'serverBusy', 'generatorBusy'],
  };
}

function queues(ours: ServerSpec, sizes: Sizes): Cell {
  const name = (waiters: number): string => `${OURS}, ${waiters}`;
  const [fewest = 0] = sizes.queues;
  const most = sizes.queues.at(-1);
  return {
    name: 'e',
    work: 'a queue of so many waiters that fills and is served, one after another',
    contenders: sizes.queues.map((waiters) => ({
      name: name(waiters),
      server: { ...ours, args: MANY_LOCKS } as ServerSpec,
      work: { kind: 'line up', waiters },
    })),
    questions: sizes.queues.slice(1).flatMap((waiters) =>
      ['handoverUs', 'joinUs'].map((figure) => ({
        of: { contender: name(waiters), name: figure },
        against: { contender: name(fewest), name: figure },
        ...(waiters === most && figure === 'handoverUs' ? { atMost: 1.3 } : {}),
      })),
    ),
    shown: ['handoverUs', 'joinUs', 'serverBusy', 'generatorBusy'],
  };
}

function readersAndWriter(ours: ServerSpec, sizes: Sizes): Cell {
  const readers = sizes.contending;
  const together = `${OURS}, shared`;
  return {
    name: 'f',
    work: `${readers} readers and a writer of one path, against a with as many connections`,
    contenders: [
      cycles(OURS, ours, 'session', { connections: readers }),
      { name: together, server: ours, work: { kind: 'contend', writers: 1, readers } },
    ],
    questions: [rate(together, OURS, 0.8), cost(together, OURS)],
    shown: [SECOND, 'othersDone', 'mostToLeast', 'serverUsPerCycle', 'serverBusy', 'generatorBusy'],
  };
}

function idle(ours: ServerSpec, sizes: Sizes): Cell {
  const figure = (contender: string, name: string) => ({ contender, name });
  const work = idleMemory(sizes.idle);
  return {
    name: 'g-idle',
    work: `memory for each of ${sizes.idle} idle TCP connections`,
    contenders: [
      { name: F1, server: floor('parsing'), work },
      { name: OURS, server: ours, work },
    ],
    questions: ['bytesEach', 'rssEach'].map((name) => ({
      of: figure(OURS, name),
      against: figure(F1, name),
      relation: 'difference',
      ...(name === 'bytesEach' ? { atMost: 3072 } : {}),
    })),
    shown: ['bytesEach', 'rssEach'],
    maxRounds: 3,
  };
}

function held(ours: ServerSpec, sizes: Sizes): Cell {
  return {
    name: 'g-held',
    work: `memory for each of ${sizes.held} locks held in one session, two segments each`,
    contenders: [
      {
        name: OURS,
        server: { ...ours, args: MANY_LOCKS } as ServerSpec,
        work: heldMemory(sizes.held),
      },
    ],
    questions: [{ of: { contender: OURS, name: 'heapEach' }, atMost: 700 }],
    shown: ['heapEach', 'rssEach'],
    maxRounds: 3,
  };
}

function starting(ours: ServerSpec): Cell {
  return {
    name: 'h',
    work: 'start of the process to its first answer',
    contenders: [
      { name: F1, server: floor('parsing'), work: startUp },
      { name: OURS, server: ours, work: startUp },
    ],
    questions: [
      { of: { contender: OURS, name: 'startMs' }, against: { contender: F1, name: 'startMs' } },
    ],
    shown: ['startMs'],
  };
}

function elsewhere(ours: ServerSpec, sizes: Sizes): Cell {
  const shape = { connections: 16 };
  const server = { ...ours, args: MANY_LOCKS } as ServerSpec;
  const contender = (name: string, locks: number, parent: string): Contender => ({
    ...cycles(name, server, 'session', shape),
    beside: { kind: 'hold', locks, parent },
  });
  const alone = `${OURS}, alone`;
  const name = (held: number): string => `${OURS}, ${held}`;
  const most = sizes.elsewhere.at(-1) ?? 0;
  const siblings = `${OURS}, ${most} siblings`;
  return {
    name: 'i',
    work: 'lock and release, 16 connections, TCP, beside so many locks held elsewhere',
    contenders: [
      cycles(alone, server, 'session', shape),
      ...sizes.elsewhere.map((held) => contender(name(held), held, 'elsewhere')),
      contender(siblings, most, PARENT),
    ],
    questions: [
      ...sizes.elsewhere.map((held) => rate(name(held), alone, held === most ? 0.95 : undefined)),
      // Stricter than the bar asks: of the same parent, so that its children are many.
      rate(siblings, alone),
      ...[name(most), siblings].map((which) => cost(which, alone)),
    ],
    shown: SHOWN,
  };
}

function libraries(ours: ServerSpec, { libraryInFlight: inFlight }: Sizes): Cell {
  const contender = (library: Library, server: ServerSpec): Contender => ({
    name: library,
    server,
    work: { kind: 'library', library, inFlight },
  });
  const peers = [
    contender('@locktopus/client', ours),
    contender('ioredis', { kind: 'redis' }),
    contender('live-mutex', { kind: 'live-mutex' }),
  ];
  const clientCost = (name: string) => ({ contender: name, name: 'generatorUsPerCycle' });
  return {
    name: 'j',
    work: `lock and release by client libraries, ${inFlight} in flight in one process`,
    contenders: [contender(OURS, ours), ...peers],
    questions: peers.flatMap(({ name }) => [
      rate(OURS, name, 1),
      { of: clientCost(OURS), against: clientCost(name) },
    ]),
    shown: [SECOND, 'p50Us', 'p99Us', 'serverUsPerCycle', 'generatorUsPerCycle', 'generatorBusy'],
  };
}

const STORED = `${OURS}, stored`;

function stored(ours: ServerSpec, name: string, shape: Shape, atLeast: number): Cell {
  const { connections, inFlight = 1 } = shape;
  const each = inFlight === 1 ? '' : `, ${inFlight} cycles in flight on each`;
  // Alone, a client waits for the disk twice a cycle, Redis too.
  const redisBar = connections === 1 ? undefined : 1;
  return {
    name,
    work: `lock and release with a data directory, ${connections} connections${each}`,
    contenders: [
      cycles(OURS, ours, 'session', shape),
      cycles(STORED, { ...ours, isStored: true } as ServerSpec, 'session', shape),
      cycles('redis, always', { kind: 'redis', isStored: true }, 'redis', shape),
    ],
    questions: [
      rate(STORED, OURS, atLeast),
      rate(STORED, 'redis, always', redisBar),
      cost(STORED, OURS),
    ],
    shown: SHOWN,
  };
}

const IN_ETCD = `${OURS}, etcd`;

/** etcd has the same two cores as the server and the clients. */
function inEtcd(ours: ServerSpec, name: string, shape: Shape): Cell {
  const { connections, inFlight = 1 } = shape;
  const each = inFlight === 1 ? '' : `, ${inFlight} cycles in flight on each`;
  return {
    name,
    work: `lock and release with an etcd of one member, ${connections} connections${each}`,
    contenders: [
      cycles(OURS, ours, 'session', shape),
      cycles(IN_ETCD, { ...ours, isInEtcd: true } as ServerSpec, 'session', shape),
    ],
    questions: [rate(IN_ETCD, OURS, undefined), cost(IN_ETCD, OURS)],
    shown: SHOWN,
  };
}

function recovered(ours: ServerSpec, { recovered: counts }: Sizes, locks: number): Cell {
  const bar = locks === counts.at(-1) ? { atMost: 1500 } : {};
  return {
    name: `k-recovery-${locks}`,
    work: `recovery of ${locks} locks from a data directory`,
    contenders: [
      {
        name: STORED,
        server: { ...ours, args: MANY_LOCKS, isStored: true } as ServerSpec,
        work: recovery(locks),
      },
    ],
    questions: [{ of: { contender: STORED, name: 'recoveryMs' }, ...bar }],
    shown: ['recoveryMs'],
    maxRounds: 5,
  };
}

function rewritten(ours: ServerSpec, { held: locks, rewriteSlices }: Sizes): Cell {
  const figure = (name: string) => ({ contender: STORED, name });
  return {
    name: 'k-rewrite',
    work: `${locks} locks held, 16 connections with 64 cycles in flight on each, until the log is rewritten`,
    contenders: [
      {
        name: STORED,
        server: { ...ours, args: MANY_LOCKS, isStored: true } as ServerSpec,
        work: rewrite(locks, rewriteSlices),
      },
    ],
    questions: [
      // Without one, there was nothing to measure.
      { of: figure('rewrites'), atLeast: 1 },
      { of: figure('rewriteStallMs'), atMost: 20 },
      { of: figure('fileToAlive'), atMost: 7 },
    ],
    shown: ['rewriteStallMs', 'otherStallMs', 'fileToAlive'],
    maxRounds: 3,
  };
}

function reconnecting(ours: ServerSpec, sizes: Sizes): Cell {
  const work = allAtOnce(sizes.idle);
  const lastMs = (contender: string) => ({ contender, name: 'lastMs' });
  return {
    name: 'l',
    work: `${sizes.idle} clients connect at once; until the last has its first answer`,
    contenders: [
      { name: F1, server: floor('parsing'), work },
      { name: OURS, server: ours, work },
    ],
    questions: [
      { of: lastMs(OURS), atMost: 800 },
      { of: lastMs(OURS), against: lastMs(F1) },
    ],
    shown: ['lastMs'],
  };
}

/** What clients of other languages, and with other needs, send instead of the plainest request. */
function spellings(ours: ServerSpec): Cell {
  const shape = { connections: 16, inFlight: 32, resources: 1, segments: 2 };
  const others = SPELLING_NAMES.filter((name) => name !== 'plain');
  const costOf = (contender: string) => ({ contender, name: 'serverUsPerCycle' });
  return {
    name: 'm',
    work: 'like b, requests that are spelled otherwise against the plainest',
    contenders: SPELLING_NAMES.map((spelling) => ({
      name: spelling,
      server: ours,
      work: { kind: 'cycles', language: 'session', ...shape, spelling },
    })),
    questions: others.map((name) => ({
      of: costOf('plain'),
      against: costOf(name),
      atLeast: 0.8,
    })),
    shown: [SECOND, 'serverUsPerCycle', 'serverBusy', 'generatorBusy'],
  };
}

function watched(ours: ServerSpec, { judged: connections, watching }: Sizes): Cell {
  const contender = (name: string, connectionsBeside: number, pathsEach: number): Contender => ({
    ...cycles(name, ours, 'session', { connections }),
    beside: { kind: 'watch', connections: connectionsBeside, pathsEach },
  });
  const alone = `${OURS}, alone`;
  // The generator reads for the watchers, too: the rate is limited by it, so CPU is compared.
  const kept = (name: string, atLeast: number): Question => ({ ...cost(alone, name), atLeast });
  return {
    name: 'n',
    work: `lock and release, ${connections} connections, TCP, beside connections that watch`,
    contenders: [
      cycles(alone, ours, 'session', { connections }),
      contender('1 of everything', 1, 0),
      contender('10 of everything', 10, 0),
      contender(`${watching} of other paths`, watching, watching),
    ],
    questions: [
      kept('1 of everything', 0.75),
      kept('10 of everything', 0.4),
      kept(`${watching} of other paths`, 0.95),
      ...['1 of everything', '10 of everything'].map((name) => rate(name, alone)),
    ],
    shown: SHOWN,
  };
}

function inspected(ours: ServerSpec, { listed: locks }: Sizes): Cell {
  const server = { ...ours, args: MANY_LOCKS } as ServerSpec;
  const contender = (name: string, isInspected: boolean): Contender => ({
    ...cycles(name, server, 'session', { connections: 16 }),
    beside: { kind: 'hold', locks, parent: 'elsewhere', isInspected },
  });
  const listedName = `${OURS}, listed`;
  const p99 = (name: string) => ({ contender: name, name: 'p99Us' });
  return {
    name: 'o',
    work: `lock and release, 16 connections, TCP, while ${locks} locks are listed over and over`,
    contenders: [contender(OURS, false), contender(listedName, true)],
    questions: [{ of: p99(listedName), atMost: 2000 }, rate(listedName, OURS)],
    shown: SHOWN,
  };
}

function connecting(ours: ServerSpec, { judged: lanes }: Sizes): Cell {
  const work = { kind: 'connect', lanes } as const;
  return {
    name: 'p',
    work: `connect, hello, lock, bye; ${lanes} clients at a time`,
    contenders: [
      { name: F1, server: floor('parsing'), work },
      { name: OURS, server: ours, work },
    ],
    questions: [
      rate(OURS, F1),
      // The generator works more for a connection than either server, so CPU is compared.
      { ...cost(F1, OURS), atLeast: 0.75 },
    ],
    shown: [SECOND, 'serverUsPerCycle', 'serverKernel', 'serverBusy', 'generatorBusy'],
  };
}

function paced(ours: ServerSpec, { paced: perSecond, listed, elsewhere: held }: Sizes): Cell {
  const work = { kind: 'paced', connections: 16, perSecond } as const;
  const contender = (name: string, beside?: BesideTask): Contender => ({
    name: `${OURS}, ${name}`,
    server: { ...ours, args: MANY_LOCKS } as ServerSpec,
    work,
    ...(beside === undefined ? {} : { beside }),
  });
  const [, thousand = 0] = held;
  return {
    name: 'q',
    work: `lock and release at ${perSecond} a second, 16 connections, TCP, beside other work`,
    contenders: [
      // What of the tail is the machine's.
      { name: F1, server: floor('parsing'), work },
      contender('alone'),
      contender('idle', { kind: 'idle', connections: thousand }),
      contender('wide', { kind: 'wide', resources: thousand }),
      contender('listed', { kind: 'hold', locks: listed, parent: 'elsewhere', isInspected: true }),
      contender('watched', { kind: 'watch', connections: 1, pathsEach: 0 }),
      contender('metrics', { kind: 'metrics' }),
    ],
    questions: [],
    shown: [SECOND, 'p50Us', 'p99Us', 'p999Us', 'serverBusy'],
  };
}
