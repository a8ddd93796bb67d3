/** Every option of the program: its name, type, default and help text. */
import { hostFault, originFault } from '../net/http/origin-policy.ts';
import {
  DEFAULT_LIMITS,
  type Limits,
  MIN_BUFFER_BYTES,
  MIN_LOCK_BYTES,
} from '../runtime/limits.ts';
import {
  DEFAULT_ABANDON_TIMEOUT_MS,
  DEFAULT_HOST,
  DEFAULT_PING_INTERVAL_MS,
  DEFAULT_PORT,
  DEFAULT_STALL_THRESHOLD_MS,
} from '../server-options.ts';

export interface Option {
  readonly flag: string;
  readonly short?: string;
  readonly type: 'text' | 'path' | 'list' | 'switch' | 'integer' | 'mode';
  readonly min?: number;
  readonly max?: number;
  /** What is wrong with one item of a list, worded as the end of a sentence. */
  readonly itemFault?: (item: string) => string | undefined;
  /** The placeholder of the value in the help text. */
  readonly value?: string;
  readonly default: string;
  readonly help: string;
}

const DEFAULT_DRAIN_TIMEOUT_MS = 10_000;
const TCP_PORTS = 65_535;
/** Enough for any limit, and less than Node takes in one string or Map. */
const MAX_LIMIT = 2 ** 24;
const MAX_BYTES = 2 ** 28;
/**
 * Below these no client could be served: no hello fits in, no page goes out, no lock is granted, and no
 * client is fast enough.
 */
const MIN_MESSAGE_BYTES = 1024;
const MIN_UNREAD_BYTES = 64 * 1024;
const MIN_FIRST_MESSAGE_MS = 100;
/** More often, and pings are most of what the server does. */
const MIN_PING_INTERVAL_MS = 100;

/** Every option, in the order of the help text. */
export const OPTIONS = [
  {
    flag: 'host',
    short: 'H',
    type: 'text',
    value: 'ADDRESS',
    default: DEFAULT_HOST,
    help: 'address or name to listen on; 0.0.0.0 or :: for all',
  },
  {
    flag: 'port',
    short: 'p',
    type: 'integer',
    min: 0,
    max: TCP_PORTS,
    value: 'PORT',
    default: String(DEFAULT_PORT),
    help: 'port to listen on; 0 picks a free one',
  },
  {
    flag: 'socket',
    type: 'path',
    value: 'PATH',
    default: '',
    help: 'Unix socket to listen on as well',
  },
  {
    flag: 'socket-mode',
    type: 'mode',
    value: 'MODE',
    default: '660',
    help: 'permissions of that socket; clients need write access',
  },
  { flag: 'no-tcp', type: 'switch', default: 'false', help: 'listen on the Unix socket only' },
  {
    flag: 'no-shared-reads',
    type: 'switch',
    default: 'false',
    help: 'read each socket into a buffer of its own; slower',
  },
  {
    flag: 'tls-cert',
    type: 'path',
    value: 'PATH',
    default: '',
    help: 'certificate in PEM; the TCP port then speaks TLS only',
  },
  {
    flag: 'tls-key',
    type: 'path',
    value: 'PATH',
    default: '',
    help: 'private key of that certificate, in PEM',
  },
  {
    flag: 'tls-ca',
    type: 'path',
    value: 'PATH',
    default: '',
    help: 'CA certificates in PEM; clients need a certificate signed by one',
  },
  {
    flag: 'token-file',
    type: 'path',
    value: 'PATH',
    default: '',
    help: 'client tokens, one per line; makes authentication mandatory',
  },
  {
    flag: 'admin-token-file',
    type: 'path',
    value: 'PATH',
    default: '',
    help: 'admin tokens, one per line; admins may evict any lock',
  },
  {
    flag: 'allow-origin',
    type: 'list',
    itemFault: originFault,
    value: 'ORIGIN',
    default: '',
    help: 'web origins to allow, such as https://shop.example; * for any',
  },
  {
    flag: 'allow-host',
    type: 'list',
    itemFault: hostFault,
    value: 'NAME',
    default: '',
    help: 'Host names to accept besides localhost; * for any',
  },
  {
    flag: 'default-abandon-timeout',
    type: 'integer',
    value: 'MS',
    default: String(DEFAULT_ABANDON_TIMEOUT_MS),
    help: 'how long locks outlive a lost connection by default',
  },
  {
    flag: 'max-abandon-timeout',
    type: 'integer',
    value: 'MS',
    default: String(DEFAULT_LIMITS.maxAbandonTimeoutMs),
    help: 'longest abandon timeout a client may choose',
  },
  {
    flag: 'ping-interval',
    type: 'integer',
    min: MIN_PING_INTERVAL_MS,
    value: 'MS',
    default: String(DEFAULT_PING_INTERVAL_MS),
    help: 'interval of pings on each WebSocket',
  },
  {
    flag: 'drain-timeout',
    type: 'integer',
    value: 'MS',
    default: String(DEFAULT_DRAIN_TIMEOUT_MS),
    help: 'how long a stop waits for held locks; 0 for no wait',
  },
  {
    flag: 'log-clients',
    type: 'switch',
    default: 'false',
    help: 'log clients that connect and disconnect',
  },
  { flag: 'log-locks', type: 'switch', default: 'false', help: 'log every change of a lock' },
  {
    flag: 'stats-interval',
    type: 'integer',
    max: 86_400,
    value: 'SECONDS',
    default: '0',
    help: 'interval of statistics lines in the log; 0 for none',
  },
  {
    flag: 'stall-threshold',
    type: 'integer',
    value: 'MS',
    default: String(DEFAULT_STALL_THRESHOLD_MS),
    help: 'log when the event loop is blocked this long; 0 for never',
  },
  limit(
    'max-message-bytes',
    'maxMessageBytes',
    'bytes in one line or WebSocket message',
    MIN_MESSAGE_BYTES,
  ),
  limit('max-fragments', 'maxFragments', 'frames of one WebSocket message'),
  limit('max-resources', 'maxResourcesPerLock', 'resources in one lock'),
  limit('max-segments', 'maxSegmentsPerPath', 'segments in one path'),
  limit('max-segment-bytes', 'maxSegmentBytes', 'bytes in one segment'),
  limit('max-locks', 'maxLocksPerSession', 'locks in one session'),
  limit('max-waiters', 'maxWaitersPerNamespace', 'waiting locks in one namespace'),
  limit('max-watches', 'maxWatches', 'paths watched by one connection'),
  limit('max-unread-bytes', 'maxUnreadBytes', 'bytes buffered for a slow reader', MIN_UNREAD_BYTES),
  {
    flag: 'max-buffer-bytes',
    type: 'integer',
    min: MIN_BUFFER_BYTES,
    value: 'N',
    default: String(DEFAULT_LIMITS.maxBufferBytes),
    help: 'maximum bytes buffered for all; less in a small heap',
  },
  limit('max-connections', 'maxConnections', 'open connections'),
  limit('max-sessions', 'maxSessions', 'sessions, lost ones included'),
  {
    flag: 'max-lock-bytes',
    type: 'integer',
    min: MIN_LOCK_BYTES,
    value: 'N',
    default: String(DEFAULT_LIMITS.maxLockBytes),
    help: 'maximum memory for clients; less in a small heap',
  },
  {
    flag: 'first-message-timeout',
    type: 'integer',
    min: MIN_FIRST_MESSAGE_MS,
    value: 'MS',
    default: String(DEFAULT_LIMITS.firstLineMs),
    help: `deadline to begin; ${DEFAULT_LIMITS.firstMessageMs} for HTTP and with tokens`,
  },
] as const satisfies readonly Option[];

export type Flag = (typeof OPTIONS)[number]['flag'];

/** The headings of the help text, each with the option that it precedes. */
export const HEADINGS: readonly (readonly [before: Flag, heading: string])[] = [
  ['host', 'Listening'],
  ['token-file', 'Access'],
  ['default-abandon-timeout', 'Timeouts'],
  ['log-clients', 'Logging'],
  ['max-message-bytes', 'Limits'],
];

function limit<F extends string>(flag: F, name: keyof Limits, help: string, min = 1) {
  return {
    flag,
    type: 'integer',
    min,
    max: flag.endsWith('-bytes') ? MAX_BYTES : MAX_LIMIT,
    value: 'N',
    default: String(DEFAULT_LIMITS[name]),
    help: `maximum ${help}`,
  } as const;
}

/** The environment variable that stands in for a flag. */
export function variableOf(flag: string): string {
  return `LOCKTOPUS_${flag.toUpperCase().replaceAll('-', '_')}`;
}
