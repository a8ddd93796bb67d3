/**
 * Every option of the program: its name, type, default and help text. The parser, the environment,
 * the help text and the tests of the documents read this table.
 */
import { hostFault, originFault } from '../net/http/origin-policy.ts';
import { LIMITS, type Limit, type LimitFlag } from '../runtime/limits.ts';
import {
  DEFAULT_ABANDON_TIMEOUT_MS,
  DEFAULT_BACKLOG,
  DEFAULT_ETCD_PREFIX,
  DEFAULT_HOST,
  DEFAULT_LEASE_TTL_S,
  DEFAULT_PING_INTERVAL_MS,
  DEFAULT_PORT,
  DEFAULT_STALL_THRESHOLD_MS,
} from '../server-options.ts';
import { LOG_FORMATS } from './log.ts';

/** What is wrong with an address of etcd, as the end of a sentence. */
function etcdFault(item: string): string | undefined {
  const url = URL.canParse(item) ? new URL(item) : undefined;
  // What is rejected is not repeated: it may be a password.
  if (item.includes('@')) return 'must not name a user: use --etcd-user-file';
  const isPlain = url?.pathname === '/' && url.search === '';
  if (isPlain && (url.protocol === 'http:' || url.protocol === 'https:')) return undefined;
  return `must be client addresses of etcd, such as http://10.0.0.1:2379, not "${item}"`;
}

/** Prefixes that differ by a slash would be two cells, which grant the same locks. */
function prefixFault(prefix: string): string | undefined {
  return prefix.endsWith('/') ? undefined : `must end in a slash, as in ${prefix}/`;
}

function addressFault(address: string): string | undefined {
  const [, port] = /^(?:\[[0-9a-fA-F:.]+\]|[^\s:/@[\],]+):([1-9]\d{0,4})$/.exec(address) ?? [];
  if (address === '' || (port !== undefined && Number(port) <= 65_535)) return undefined;
  return `must be HOST:PORT, as in the URLs of clients, not "${address}"`;
}

export interface Option {
  readonly flag: string;
  readonly short?: string;
  /** A text must not be empty; an optional one may be. */
  readonly type: 'text' | 'optional' | 'path' | 'list' | 'switch' | 'integer' | 'mode';
  readonly min?: number;
  readonly max?: number;
  /** All values that it may have. */
  readonly choices?: readonly string[];
  /** What is wrong with one item of a list, as the end of a sentence; undefined if it is valid. */
  readonly itemFault?: (item: string) => string | undefined;
  /** The same for the whole value. */
  readonly fault?: (value: string) => string | undefined;
  /** The placeholder of the value in the help text. */
  readonly value?: string;
  readonly default: string;
  readonly help: string;
}

/** With the time that closing takes, within the ten seconds that `docker stop` gives a container. */
const DEFAULT_DRAIN_TIMEOUT_MS = 4000;
const TCP_PORTS = 65_535;
/** At shorter intervals, pings would be most of the server's work. */
const MIN_PING_INTERVAL_MS = 100;

const LISTENING = [
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
    flag: 'backlog',
    type: 'integer',
    min: 1,
    max: 65_535,
    value: 'N',
    default: String(DEFAULT_BACKLOG),
    help: 'connections that may wait to be accepted, at most',
  },
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
] as const satisfies readonly Option[];

const ACCESS = [
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
] as const satisfies readonly Option[];

const TIMEOUTS = [
  {
    flag: 'default-abandon-timeout',
    type: 'integer',
    value: 'MS',
    default: String(DEFAULT_ABANDON_TIMEOUT_MS),
    help: 'how long locks outlive a lost connection by default',
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
] as const satisfies readonly Option[];

const STORAGE = [
  {
    flag: 'data-dir',
    type: 'path',
    value: 'PATH',
    default: '',
    help: 'directory that keeps all locks across restarts; made if missing',
  },
  {
    flag: 'etcd',
    type: 'list',
    itemFault: etcdFault,
    value: 'URL',
    default: '',
    help: 'etcd that keeps all locks, for several servers; one serves',
  },
  {
    flag: 'etcd-prefix',
    type: 'text',
    fault: prefixFault,
    value: 'PREFIX',
    default: DEFAULT_ETCD_PREFIX,
    help: 'keys in etcd; the same for all servers of a cell',
  },
  {
    flag: 'etcd-ca',
    type: 'path',
    value: 'PATH',
    default: '',
    help: 'CA certificates in PEM, to trust for etcd',
  },
  {
    flag: 'etcd-cert',
    type: 'path',
    value: 'PATH',
    default: '',
    help: 'certificate in PEM that etcd asks for',
  },
  {
    flag: 'etcd-key',
    type: 'path',
    value: 'PATH',
    default: '',
    help: 'private key of that certificate, in PEM',
  },
  {
    flag: 'etcd-user-file',
    type: 'path',
    value: 'PATH',
    default: '',
    help: 'user and password for etcd, as NAME:PASSWORD in one line',
  },
  {
    flag: 'advertise',
    type: 'optional',
    fault: addressFault,
    value: 'ADDRESS',
    default: '',
    help: 'where clients of other servers find this one; HOST:PORT',
  },
  {
    flag: 'lease-ttl',
    type: 'integer',
    min: 2,
    max: 3600,
    value: 'SECONDS',
    default: String(DEFAULT_LEASE_TTL_S),
    help: 'how long the owner may be silent before another one serves',
  },
] as const satisfies readonly Option[];

const LOGGING = [
  {
    flag: 'log-clients',
    type: 'switch',
    default: 'false',
    help: 'log clients that connect and disconnect',
  },
  {
    flag: 'log-format',
    type: 'text',
    choices: LOG_FORMATS,
    value: 'FORMAT',
    default: 'text',
    help: 'text for people, or json: one object per line',
  },
  { flag: 'log-locks', type: 'switch', default: 'false', help: 'log every change of a lock' },
  {
    flag: 'slow-lock',
    type: 'integer',
    value: 'MS',
    default: '0',
    help: 'log locks that wait or are held this long; 0 for never',
  },
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
] as const satisfies readonly Option[];

export type Flag =
  | LimitFlag
  | (
      | typeof LISTENING
      | typeof ACCESS
      | typeof STORAGE
      | typeof TIMEOUTS
      | typeof LOGGING
    )[number]['flag'];

type FlaggedOption = Option & { readonly flag: Flag };

/** Every option, in the order of the help text, under its headings. */
export const OPTION_GROUPS: readonly (readonly [
  heading: string,
  options: readonly FlaggedOption[],
])[] = [
  ['Listening', LISTENING],
  ['Access', ACCESS],
  ['Storage', STORAGE],
  ['Timeouts', [...TIMEOUTS, ...limitOptions('MS')]],
  ['Logging', LOGGING],
  ['Limits', limitOptions('N')],
];

export const OPTIONS = OPTION_GROUPS.flatMap(([, options]) => options);

/** The options of the limits with this unit. */
function limitOptions(unit: Limit['unit']): FlaggedOption[] {
  return LIMITS.flatMap((limit) => {
    if (limit.unit !== unit || !('help' in limit)) return [];
    const { flag, min, max, help } = limit;
    return { flag, type: 'integer', min, max, value: unit, default: String(limit.default), help };
  });
}

/** The environment variable that stands in for a flag. */
export function variableOf(flag: string): string {
  return `LOCKTOPUS_${flag.toUpperCase().replaceAll('-', '_')}`;
}
