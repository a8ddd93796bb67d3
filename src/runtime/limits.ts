/**
 * The table of all limits on what a client may request or cost. From it follow the type `Limits`,
 * the defaults, the options of the program, and the `limits` in the reply to `hello`. Tests compare
 * it with PROTOCOL.md, section 8, and with the options in README.md.
 */
import { env, execArgv } from 'node:process';
import { getHeapStatistics } from 'node:v8';

/** A row of the table. */
export interface Limit {
  /** The field of `Limits`. */
  readonly name: string;
  /** What is counted, as in PROTOCOL.md. */
  readonly what: string;
  readonly default: number;
  /** The most that the default may be in the heap of this process. */
  readonly room?: () => number;
  /** The range that an operator may choose from, inclusive. */
  readonly min: number;
  readonly max: number;
  /** The value's placeholder in the help text: a number, or milliseconds. */
  readonly unit: 'N' | 'MS';
  readonly flag: string;
  /** The help text. A limit without one shares the option of another limit. */
  readonly help?: string;
  /** Whether the reply to `hello` has it. */
  readonly inHello: boolean;
  /** What happens when it is exceeded, as in PROTOCOL.md. */
  readonly beyond: string;
}

/** Enough for every count, and less than the capacity of a Map. */
const MAX_COUNT = 2 ** 24;
/** Less than the longest string in Node. */
const MAX_BYTES = 2 ** 28;
/** With less, no lock could be granted. */
const MIN_LOCK_BYTES = 64 * 1024;
/** With less, no long line or answer could pass. */
const MIN_BUFFER_BYTES = 64 * 1024;
/** With less, no client would be fast enough. */
const MIN_FIRST_MESSAGE_MS = 100;
const FIRST_MESSAGE_MS = 10_000;

/** Every limit, in the order of the documents. */
export const LIMITS = [
  {
    name: 'maxMessageBytes',
    what: 'bytes in one line or WebSocket message',
    default: 1024 * 1024,
    // A hello must fit.
    min: 1024,
    max: MAX_BYTES,
    unit: 'N',
    flag: 'max-message-bytes',
    help: 'maximum bytes in one line or WebSocket message',
    inHello: true,
    beyond: '`message_too_long`; close 1009',
  },
  {
    name: 'maxFragments',
    what: 'frames of one WebSocket message',
    default: 1024,
    min: 1,
    max: MAX_COUNT,
    unit: 'N',
    flag: 'max-fragments',
    help: 'maximum frames of one WebSocket message',
    inHello: false,
    beyond: 'close 1008',
  },
  {
    name: 'maxResourcesPerLock',
    what: 'resources in a lock',
    default: 1000,
    min: 1,
    max: MAX_COUNT,
    unit: 'N',
    flag: 'max-resources',
    help: 'maximum resources in one lock',
    inHello: true,
    beyond: '`too_many_resources`',
  },
  {
    name: 'maxSegmentsPerPath',
    what: 'segments in a path',
    default: 100,
    min: 1,
    max: MAX_COUNT,
    unit: 'N',
    flag: 'max-segments',
    help: 'maximum segments in one path',
    inHello: true,
    beyond: '`path_too_long`',
  },
  {
    name: 'maxSegmentBytes',
    what: "bytes in a segment, or in a namespace's name",
    default: 1024,
    min: 1,
    max: MAX_BYTES,
    unit: 'N',
    flag: 'max-segment-bytes',
    help: 'maximum bytes in one segment',
    inHello: true,
    beyond: '`segment_too_long`',
  },
  {
    name: 'maxLocksPerSession',
    what: 'locks in a session',
    default: 10_000,
    min: 1,
    max: MAX_COUNT,
    unit: 'N',
    flag: 'max-locks',
    help: 'maximum locks in one session',
    inHello: true,
    beyond: '`too_many_locks`',
  },
  {
    name: 'maxWaitersPerNamespace',
    what: 'enqueued locks in a namespace',
    default: 1_000_000,
    min: 1,
    max: MAX_COUNT,
    unit: 'N',
    flag: 'max-waiters',
    help: 'maximum waiting locks in one namespace',
    inHello: false,
    beyond: '`too_many_waiters`',
  },
  {
    name: 'maxWatches',
    what: 'paths watched by one connection',
    default: 100,
    min: 1,
    max: MAX_COUNT,
    unit: 'N',
    flag: 'max-watches',
    help: 'maximum paths watched by one connection',
    inHello: true,
    beyond: '`too_many_watches`',
  },
  {
    name: 'maxUnreadBytes',
    what: 'bytes of output that a client has not read, beside one list that it asked for',
    default: 16 * 1024 * 1024,
    // Most messages must fit.
    min: 64 * 1024,
    max: MAX_BYTES,
    unit: 'N',
    flag: 'max-unread-bytes',
    help: 'maximum bytes buffered for a slow reader',
    inHello: false,
    beyond: 'the connection is cut; its session is lost',
  },
  {
    name: 'maxBufferBytes',
    what: 'bytes of unread output and of unfinished lines and messages of all connections together, each beyond its first 16,384; less in a small heap',
    default: 512 * 1024 * 1024,
    room: () => roomForBuffers(),
    min: MIN_BUFFER_BYTES,
    max: Number.MAX_SAFE_INTEGER,
    unit: 'N',
    flag: 'max-buffer-bytes',
    help: 'maximum bytes buffered for all; less in a small heap',
    inHello: false,
    beyond: 'the connection that would exceed it is cut; its session is lost',
  },
  {
    name: 'maxConnections',
    what: 'connections',
    default: 100_000,
    min: 1,
    max: MAX_COUNT,
    unit: 'N',
    flag: 'max-connections',
    help: 'maximum open connections',
    inHello: false,
    beyond: '`too_many_connections`; HTTP 503',
  },
  {
    name: 'maxSessions',
    what: 'sessions of all namespaces, lost ones included',
    default: 200_000,
    min: 1,
    max: MAX_COUNT,
    unit: 'N',
    flag: 'max-sessions',
    help: 'maximum sessions, lost ones included',
    inHello: false,
    beyond:
      'a lost session without locks ends; if there is none, `too_many_sessions`, or HTTP 503 in v1',
  },
  {
    name: 'maxLockBytes',
    what: 'bytes of memory for all locks, sessions and watches of the server, by its estimate; less in a small heap',
    default: 1024 * 1024 * 1024,
    room: () => roomForLocks(),
    min: MIN_LOCK_BYTES,
    max: Number.MAX_SAFE_INTEGER,
    unit: 'N',
    flag: 'max-lock-bytes',
    help: 'maximum memory for clients; less in a small heap',
    inHello: false,
    beyond:
      'lost sessions without locks end, those lost longest first; if that is not enough, `server_full` for a lock, a watch or a new session, or HTTP 503 in v1',
  },
  {
    name: 'maxAbandonTimeoutMs',
    what: 'milliseconds in an abandon timeout that a client chooses',
    default: Number.MAX_SAFE_INTEGER,
    min: 0,
    max: Number.MAX_SAFE_INTEGER,
    unit: 'MS',
    flag: 'max-abandon-timeout',
    help: 'longest abandon timeout a client may choose',
    inHello: false,
    beyond: '`bad_request`; HTTP 400',
  },
  {
    name: 'firstMessageMs',
    what: 'milliseconds until the first valid message if a token is required, for the head of each HTTP request, and for a TLS handshake',
    default: FIRST_MESSAGE_MS,
    min: MIN_FIRST_MESSAGE_MS,
    max: Number.MAX_SAFE_INTEGER,
    unit: 'MS',
    flag: 'first-message-timeout',
    inHello: false,
    beyond: '`too_slow`; HTTP 408; a failed TLS handshake',
  },
  {
    name: 'firstLineMs',
    what: 'milliseconds until the first valid message if no token is required, or until an HTTP request begins',
    default: 60_000,
    min: MIN_FIRST_MESSAGE_MS,
    max: Number.MAX_SAFE_INTEGER,
    unit: 'MS',
    flag: 'first-message-timeout',
    help: `deadline to begin; ${FIRST_MESSAGE_MS} for HTTP and with tokens`,
    inHello: false,
    beyond: '`too_slow`',
  },
] as const satisfies readonly Limit[];

type Row = (typeof LIMITS)[number];

/** The names of the options that set limits. */
export type LimitFlag = Row['flag'];

/** The value of each limit, in the unit at the end of its name. */
export type Limits = { readonly [Name in Row['name']]: number };

/** Most characters of a `ref`, an owner or a label. Not an option: 256 suffice for a name. */
export const MAX_NAME_LENGTH = 256;

/** Builds `Limits` by choosing a value for each row. */
export function mapLimits(choose: (limit: Limit & Row) => number): Limits {
  return Object.fromEntries(LIMITS.map((limit) => [limit.name, choose(limit)])) as Limits;
}

export const DEFAULT_LIMITS: Limits = mapLimits((limit) => limit.default);

/** The defaults for this process: `DEFAULT_LIMITS`, lowered if its heap is too small for them. */
export function usualLimits(): Limits {
  return mapLimits(({ default: usual, room }) => Math.min(usual, room?.() ?? usual));
}

/** The limits in the reply to `hello`: the same object each time, which is a part of every reply. */
export function helloLimits(limits: Limits): Partial<Limits> {
  let told = toldLimits.get(limits);
  if (told === undefined) {
    const rows = LIMITS.filter(({ inHello }) => inHello);
    told = Object.fromEntries(rows.map(({ name }) => [name, limits[name]]));
    toldLimits.set(limits, told);
  }
  return told;
}

const toldLimits = new WeakMap<Limits, Partial<Limits>>();

const MIB = 1024 * 1024;

/**
 * The part of the heap that V8 reserves for new objects, where locks don't stay. It is up to four
 * times as large in some versions, which matters in a small heap alone; and for that one says how
 * large its old generation is.
 */
const YOUNG_GENERATION_BYTES = 48 * MIB;

/** The old generation that was chosen by `--max-old-space-size`, in bytes. */
function chosenOldGeneration(): number {
  const options = [env.NODE_OPTIONS ?? '', ...execArgv].join(' ');
  const chosen = [...options.matchAll(/--max[-_]old[-_]space[-_]size=(\d+)/g)].at(-1)?.[1];
  return chosen === undefined ? Number.POSITIVE_INFINITY : Number(chosen) * MIB;
}

/**
 * The most bytes that `maxLockBytes` should take of a heap: half of its old generation. The rest is
 * for connections, messages in transit, and slack for the garbage collector.
 *
 * @param heapBytes the maximum size of the heap; by default that of this process
 * @param chosenBytes its old generation, if that was chosen; else infinite
 */
export function roomForLocks(
  heapBytes: number = getHeapStatistics().heap_size_limit,
  chosenBytes: number = chosenOldGeneration(),
): number {
  const oldBytes = Math.min(heapBytes - YOUNG_GENERATION_BYTES, chosenBytes);
  return Math.max(MIN_LOCK_BYTES, Math.floor(oldBytes / 2));
}

/**
 * The most bytes that buffers should take of a heap: half as many as locks.
 *
 * @param heapBytes the maximum size of the heap; by default that of this process
 */
export function roomForBuffers(heapBytes?: number): number {
  return Math.max(MIN_BUFFER_BYTES, Math.floor(roomForLocks(heapBytes) / 2));
}
