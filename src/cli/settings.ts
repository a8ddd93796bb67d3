/**
 * From the command line and the environment to the settings of a server. Pure: text in, settings or
 * a sentence for the user out. A flag wins over its environment variable, that over the default.
 */
import { parseArgs } from 'node:util';
import {
  DEFAULT_ABANDON_TIMEOUT_MS,
  DEFAULT_HOST,
  DEFAULT_PORT,
  DEFAULT_STALL_THRESHOLD_MS,
  type ServerOptions,
} from '../server.ts';
import { DEFAULT_LIMITS, type Limits } from '../session/limits.ts';
import type { TlsPaths } from './tls-files.ts';
import type { TokenSource, TokenSources } from './tokens.ts';

export interface Settings {
  readonly server: ServerOptions;
  readonly tokens: TokenSources;
  readonly tls: TlsPaths;
  readonly logClients: boolean;
  readonly logLocks: boolean;
  /** Seconds between two lines of numbers; 0 for none. */
  readonly statsIntervalS: number;
  /** Milliseconds that holders of locks have to finish when the server is to stop; 0 for none. */
  readonly drainTimeoutMs: number;
  /** Every option that is not at its default, as `flag value`. */
  readonly chosen: readonly string[];
}

/** What the command line asks for. */
export type Command =
  | { readonly kind: 'serve'; readonly settings: Settings }
  | { readonly kind: 'help' }
  | { readonly kind: 'version' }
  | { readonly kind: 'mistake'; readonly message: string };

interface Option {
  readonly flag: string;
  readonly short?: string;
  readonly type: 'text' | 'path' | 'list' | 'switch' | 'integer' | 'mode';
  readonly min?: number;
  readonly max?: number;
  /** What the value is called in the help text. */
  readonly value?: string;
  readonly default: string;
  readonly help: string;
}

const DEFAULT_DRAIN_TIMEOUT_MS = 10_000;
const TCP_PORTS = 65_535;
/** Enough for any limit, and less than Node takes in one string or Map. */
const MAX_LIMIT = 2 ** 24;
const MAX_BYTES = 2 ** 28;

/** Every option, in the order of the help text. */
export const OPTIONS = [
  {
    flag: 'host',
    short: 'H',
    type: 'text',
    value: 'ADDRESS',
    default: DEFAULT_HOST,
    help: 'address to listen on; 0.0.0.0 or :: for all',
  },
  {
    flag: 'port',
    short: 'p',
    type: 'integer',
    min: 0,
    max: TCP_PORTS,
    value: 'PORT',
    default: String(DEFAULT_PORT),
    help: 'port to listen on; 0 takes a free one',
  },
  {
    flag: 'socket',
    type: 'path',
    value: 'PATH',
    default: '',
    help: 'Unix socket to listen on, too',
  },
  {
    flag: 'socket-mode',
    type: 'mode',
    value: 'MODE',
    default: '660',
    help: 'permissions of that socket: who may write may connect',
  },
  { flag: 'no-tcp', type: 'switch', default: 'false', help: 'listen on the Unix socket only' },
  {
    flag: 'tls-cert',
    type: 'path',
    value: 'PATH',
    default: '',
    help: 'certificate, in PEM: everything on the TCP port is TLS then',
  },
  { flag: 'tls-key', type: 'path', value: 'PATH', default: '', help: 'its key, in PEM' },
  {
    flag: 'tls-ca',
    type: 'path',
    value: 'PATH',
    default: '',
    help: 'only clients with a certificate of one of these may connect',
  },
  {
    flag: 'default-abandon-timeout',
    type: 'integer',
    value: 'MS',
    default: String(DEFAULT_ABANDON_TIMEOUT_MS),
    help: 'how long locks outlive a lost connection',
  },
  {
    flag: 'allow-origin',
    type: 'list',
    value: 'ORIGIN',
    default: '',
    help: 'web pages that may connect, as https://shop.example; * for any',
  },
  {
    flag: 'allow-host',
    type: 'list',
    value: 'NAME',
    default: '',
    help: 'names for this server beside localhost; * for any',
  },
  {
    flag: 'token-file',
    type: 'path',
    value: 'PATH',
    default: '',
    help: 'tokens, one a line; without one of them nobody enters',
  },
  {
    flag: 'admin-token-file',
    type: 'path',
    value: 'PATH',
    default: '',
    help: 'tokens that let clients evict the locks of others',
  },
  { flag: 'log-clients', type: 'switch', default: 'false', help: 'log clients that come and go' },
  { flag: 'log-locks', type: 'switch', default: 'false', help: 'log what happens to locks' },
  {
    flag: 'stats-interval',
    type: 'integer',
    max: 86_400,
    value: 'SECONDS',
    default: '0',
    help: 'log a line of numbers that often; 0 for never',
  },
  {
    flag: 'drain-timeout',
    type: 'integer',
    value: 'MS',
    default: String(DEFAULT_DRAIN_TIMEOUT_MS),
    help: 'how long a stop waits for held locks; 0 to stop at once',
  },
  {
    flag: 'stall-threshold',
    type: 'integer',
    value: 'MS',
    default: String(DEFAULT_STALL_THRESHOLD_MS),
    help: 'log when the server was held up for so long; 0 for never',
  },
  limit('max-message-bytes', 'maxMessageBytes', 'bytes in one line or WebSocket message'),
  limit('max-fragments', 'maxFragments', 'frames of one WebSocket message'),
  limit('max-resources', 'maxResourcesPerLock', 'resources in one lock'),
  limit('max-segments', 'maxSegmentsPerPath', 'segments in one path'),
  limit('max-segment-bytes', 'maxSegmentBytes', 'bytes in one segment'),
  limit('max-locks', 'maxLocksPerSession', 'locks in one session'),
  limit('max-waiters', 'maxWaitersPerNamespace', 'waiting locks in one namespace'),
  limit('max-watches', 'maxWatches', 'paths watched by one connection'),
  limit('max-unread-bytes', 'maxUnreadBytes', 'bytes kept for a client that does not read'),
  limit('max-connections', 'maxConnections', 'connections at a time'),
  limit('max-sessions', 'maxSessions', 'sessions at a time, lost ones too'),
  {
    flag: 'first-message-timeout',
    type: 'integer',
    min: 1,
    value: 'MS',
    default: String(DEFAULT_LIMITS.firstMessageMs),
    help: 'time to say something valid; for HTTP, of each request',
  },
] as const satisfies readonly Option[];

type Flag = (typeof OPTIONS)[number]['flag'];

function limit<F extends string>(flag: F, name: keyof Limits, help: string) {
  return {
    flag,
    type: 'integer',
    min: 1,
    max: flag.endsWith('-bytes') ? MAX_BYTES : MAX_LIMIT,
    value: 'N',
    default: String(DEFAULT_LIMITS[name]),
    help: `most ${help}`,
  } as const;
}

/** The environment variable that stands in for a flag. */
export function variableOf(flag: string): string {
  return `LOCKTOPUS_${flag.toUpperCase().replaceAll('-', '_')}`;
}

/**
 * @param args the command line after the program's name
 * @param env the environment
 */
export function readCommand(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Command {
  const line = parseLine(args);
  if (typeof line === 'string') return { kind: 'mistake', message: line };
  if (line.get('help') !== undefined) return { kind: 'help' };
  if (line.get('version') !== undefined) return { kind: 'version' };

  const values = new Map<Flag, string>();
  for (const option of OPTIONS) {
    const fromLine = line.get(option.flag);
    const fromEnv = env[variableOf(option.flag)] || undefined;
    const value = fromLine ?? fromEnv ?? option.default;
    const source = fromLine === undefined ? variableOf(option.flag) : `--${option.flag}`;
    const wrong = mistakeIn(option, value, source);
    if (wrong !== undefined) return { kind: 'mistake', message: wrong };
    values.set(option.flag, value);
  }
  return { kind: 'serve', settings: settingsFrom(values, env) };
}

/** The values given on the command line by flag; lists joined by commas; or what is wrong with it. */
function parseLine(args: readonly string[]): Map<string, string> | string {
  const options: NonNullable<Parameters<typeof parseArgs>[0]>['options'] = {
    help: { type: 'boolean', short: 'h' },
    version: { type: 'boolean' },
  };
  for (const { flag, type, ...rest } of OPTIONS) {
    options[flag] = {
      type: 'string',
      multiple: type === 'list',
      ...('short' in rest ? { short: rest.short } : {}),
    };
  }
  try {
    const { values } = parseArgs({ args: [...args].map(spelledOut), options });
    return new Map(Object.entries(values).map(([flag, value]) => [flag, String(value)]));
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** `--log-clients` is short for `--log-clients=true`, so that `=false` can overrule the environment. */
function spelledOut(arg: string): string {
  const isSwitch = OPTIONS.some(({ flag, type }) => type === 'switch' && arg === `--${flag}`);
  return isSwitch ? `${arg}=true` : arg;
}

function mistakeIn(option: Option, value: string, source: string): string | undefined {
  if (option.type === 'switch') {
    if (asSwitch(value) !== undefined) return undefined;
    return `${source} must be true or false, not "${value}"`;
  }
  if (option.type === 'text' && value === '') return `${source} must not be empty`;
  if (option.type === 'mode' && !/^[0-7]{3}$/.test(value)) {
    return `${source} must be three octal digits, such as 660, not "${value}"`;
  }
  if (option.type !== 'integer') return undefined;
  const { min = 0, max = Number.MAX_SAFE_INTEGER } = option;
  const number = asInteger(value);
  if (number !== undefined && number >= min && number <= max) return undefined;
  return `${source} must be a whole number from ${min} to ${max}, not "${value}"`;
}

function asSwitch(text: string): boolean | undefined {
  if (text === 'true' || text === '1') return true;
  if (text === 'false' || text === '0') return false;
  return undefined;
}

function asInteger(text: string): number | undefined {
  const number = Number(text);
  return String(number) === text && Number.isSafeInteger(number) ? number : undefined;
}

function settingsFrom(
  values: ReadonlyMap<Flag, string>,
  env: Readonly<Record<string, string | undefined>>,
): Settings {
  const text = (flag: Flag): string => values.get(flag) ?? '';
  const integer = (flag: Flag): number => Number(text(flag));
  const isOn = (flag: Flag): boolean => asSwitch(text(flag)) ?? false;
  const list = (flag: Flag): string[] =>
    text(flag)
      .split(',')
      .filter((item) => item !== '');
  const tokenSource = (flag: 'token-file' | 'admin-token-file'): TokenSource => {
    const variable = variableOf(flag.slice(0, -'-file'.length));
    return { file: text(flag), variable, value: env[variable] ?? '' };
  };
  return {
    tokens: { client: tokenSource('token-file'), admin: tokenSource('admin-token-file') },
    server: {
      host: text('host'),
      port: integer('port'),
      tcp: !isOn('no-tcp'),
      socket:
        text('socket') === ''
          ? undefined
          : { path: text('socket'), mode: Number.parseInt(text('socket-mode'), 8) },
      defaultAbandonTimeoutMs: integer('default-abandon-timeout'),
      allowedOrigins: list('allow-origin'),
      allowedHosts: list('allow-host'),
      stallThresholdMs: integer('stall-threshold'),
      limits: {
        maxMessageBytes: integer('max-message-bytes'),
        maxFragments: integer('max-fragments'),
        maxResourcesPerLock: integer('max-resources'),
        maxSegmentsPerPath: integer('max-segments'),
        maxSegmentBytes: integer('max-segment-bytes'),
        maxLocksPerSession: integer('max-locks'),
        maxWaitersPerNamespace: integer('max-waiters'),
        maxWatches: integer('max-watches'),
        maxUnreadBytes: integer('max-unread-bytes'),
        maxConnections: integer('max-connections'),
        maxSessions: integer('max-sessions'),
        firstMessageMs: integer('first-message-timeout'),
      },
    },
    tls: { cert: text('tls-cert'), key: text('tls-key'), ca: text('tls-ca') },
    logClients: isOn('log-clients'),
    logLocks: isOn('log-locks'),
    statsIntervalS: integer('stats-interval'),
    drainTimeoutMs: integer('drain-timeout'),
    chosen: OPTIONS.filter(({ flag, default: usual }) => text(flag) !== usual).map(
      ({ flag }) => `${flag} ${text(flag)}`,
    ),
  };
}
