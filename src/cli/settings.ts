/**
 * Turns the command line and the environment into the settings of a server. Pure: returns the
 * settings, or a sentence for the user. A flag takes precedence over its environment variable, and
 * that over the default.
 */
import { parseArgs } from 'node:util';
import { LIMITS, type Limits, mapLimits, usualLimits } from '../runtime/limits.ts';
import type { ServerOptions } from '../server-options.ts';
import { unknownOption } from './arguments.ts';
import { environmentNotes, variableFor } from './environment.ts';
import { LOG_FORMATS, type LogFormat } from './log.ts';
import { type Flag, OPTIONS, type Option, variableOf } from './options.ts';
import type { TlsPaths } from './tls-files.ts';
import type { TokenSource, TokenSources } from './tokens.ts';

/** Several servers that share an etcd. Paths are '' for none. */
export interface EtcdSettings {
  readonly members: readonly URL[];
  readonly prefix: string;
  readonly tls: TlsPaths;
  readonly userFile: string;
  /** '' for the address that the server listens on. */
  readonly advertise: string;
  readonly leaseTtlS: number;
}

export interface Settings {
  readonly server: ServerOptions & { readonly limits: Limits };
  readonly tokens: TokenSources;
  readonly tls: TlsPaths;
  /** The data directory; empty to keep locks in memory only. */
  readonly dataDir: string;
  /** Undefined without `--etcd`. */
  readonly etcd: EtcdSettings | undefined;
  readonly logClients: boolean;
  readonly logLocks: boolean;
  readonly logFormat: LogFormat;
  /** Seconds between two statistics lines; 0 for none. */
  readonly statsIntervalS: number;
  /** Milliseconds that a stop waits for held locks; 0 for no wait. */
  readonly drainTimeoutMs: number;
  /** Whether --max-connections or its variable was set, even to the default. */
  readonly isMaxConnectionsChosen: boolean;
  /** Every option that is not at its default, as `flag value`. */
  readonly chosen: readonly string[];
  /** Log lines about the environment. */
  readonly notes: readonly string[];
}

/** The command that the command line asks for. */
export type Command =
  | { readonly kind: 'serve'; readonly settings: Settings }
  | { readonly kind: 'help' }
  | { readonly kind: 'version' }
  | { readonly kind: 'mistake'; readonly message: string };

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
  const given = new Map<Flag, string>();
  for (const option of OPTIONS) {
    const fromLine = line.get(option.flag);
    const fromEnv = variableFor(option.flag, env);
    const value = fromLine ?? fromEnv ?? usual(option);
    const source = fromLine === undefined ? variableOf(option.flag) : `--${option.flag}`;
    const wrong =
      fromLine === '' ? `${source} must not be empty` : mistakeIn(option, value, source);
    if (wrong !== undefined) return { kind: 'mistake', message: wrong };
    values.set(option.flag, value);
    if ((fromLine ?? fromEnv) !== undefined) given.set(option.flag, source);
  }
  const pointless = pointlessIn(values, given);
  if (pointless !== undefined) return { kind: 'mistake', message: pointless };
  return { kind: 'serve', settings: settingsFrom(values, given, env) };
}

/** The default of an option, in this process: some limits are lower in a small heap. */
function usual({ flag, default: fallback }: (typeof OPTIONS)[number]): string {
  const limit = LIMITS.find((one) => one.flag === flag && 'room' in one);
  return limit === undefined ? fallback : String(usualLimits()[limit.name]);
}

/** The command line's values by flag, lists joined by commas; or what is wrong with it. */
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
    return lineMistake(error instanceof Error ? error.message : String(error));
  }
}

/** Node's own messages are long, and about its grammar rather than this option. */
function lineMistake(reason: string): string {
  const [, unknown] = /^Unknown option '(-[^']*)'/.exec(reason) ?? [];
  if (unknown !== undefined) return unknownOption(unknown, OPTIONS);
  const [, word] = /^Unexpected argument '(.*)'\. /s.exec(reason) ?? [];
  if (word !== undefined) return `"${word}" is not an option`;
  const [, name, what] =
    /^Option '(?:-\w, )?(-[^\s']+).*' argument (missing|is)/.exec(reason) ?? [];
  if (name === undefined) return reason.replace(/\.$/, '');
  // Node takes -p=1 for the value "=1", so the hint is for the long form.
  const flag = OPTIONS.find((one) => 'short' in one && name === `-${one.short}`)?.flag;
  const long = flag === undefined ? name : `--${flag}`;
  const hint = what === 'missing' ? '' : `; write a value that begins with a dash as ${long}=VALUE`;
  return `${name} needs a value${hint}`;
}

/**
 * `--log-clients` is short for `--log-clients=true`, so that `=false` can overrule the environment.
 */
function spelledOut(arg: string): string {
  const isSwitch = OPTIONS.some(({ flag, type }) => type === 'switch' && arg === `--${flag}`);
  return isSwitch ? `${arg}=true` : arg;
}

const TCP_ONLY = ['host', 'port', 'tls-cert', 'tls-key', 'tls-ca'] as const;

const WITH_ETCD = [
  'etcd-prefix',
  'etcd-ca',
  'etcd-cert',
  'etcd-key',
  'etcd-user-file',
  'advertise',
  'lease-ttl',
] as const;

/**
 * An option that has no effect given the others is a mistake: the operator expects an effect.
 *
 * @param given the options that were set, each with the name of its flag or variable
 */
function pointlessIn(
  values: ReadonlyMap<Flag, string>,
  given: ReadonlyMap<Flag, string>,
): string | undefined {
  const vain = TCP_ONLY.find((flag) => given.has(flag));
  if (vain !== undefined && asSwitch(values.get('no-tcp') ?? '')) {
    return `${given.get(vain)} has no effect with ${given.get('no-tcp')}: it is for the TCP port. Remove one of the two`;
  }
  const [usual, most] = [values.get('default-abandon-timeout'), values.get('max-abandon-timeout')];
  if (Number(usual) > Number(most)) {
    return `the default abandon timeout of ${usual} ms is longer than the maximum of ${most} ms. Lower --default-abandon-timeout, or raise --max-abandon-timeout`;
  }
  if (given.has('socket-mode') && values.get('socket') === '') {
    return `${given.get('socket-mode')} has no effect without --socket: it is for the Unix socket`;
  }
  const hasEtcd = values.get('etcd') !== '';
  if (hasEtcd && values.get('data-dir') !== '') {
    return `${given.get('data-dir')} and ${given.get('etcd')} exclude each other: locks are kept in one place. Remove one of the two`;
  }
  const idle = WITH_ETCD.find((flag) => given.has(flag));
  if (idle !== undefined && !hasEtcd) {
    return `${given.get(idle)} has no effect without --etcd: it is for servers that share an etcd`;
  }
  const unsafe = itemsOf(values.get('etcd') ?? '').every((url) => url.startsWith('http:'));
  const pem = (['etcd-ca', 'etcd-cert', 'etcd-key'] as const).find((flag) => given.has(flag));
  if (pem !== undefined && unsafe) {
    return `${given.get(pem)} has no effect: no address in ${given.get('etcd')} begins with https://`;
  }
  return undefined;
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
  if (option.choices !== undefined && !option.choices.includes(value)) {
    return `${source} must be ${option.choices.join(' or ')}, not "${value}"`;
  }
  const fault = option.fault?.(value);
  if (fault !== undefined) return `${source} ${fault}`;
  if (option.itemFault !== undefined) {
    const faults = itemsOf(value).flatMap((item) => option.itemFault?.(item) ?? []);
    return faults.length === 0 ? undefined : `${source} ${faults[0]}`;
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

function itemsOf(list: string): string[] {
  return list.split(',').filter((item) => item !== '');
}

function asInteger(text: string): number | undefined {
  const number = Number(text);
  return String(number) === text && Number.isSafeInteger(number) ? number : undefined;
}

function settingsFrom(
  values: ReadonlyMap<Flag, string>,
  given: ReadonlyMap<Flag, string>,
  env: Readonly<Record<string, string | undefined>>,
): Settings {
  const text = (flag: Flag): string => values.get(flag) ?? '';
  const integer = (flag: Flag): number => Number(text(flag));
  const isOn = (flag: Flag): boolean => asSwitch(text(flag)) ?? false;
  const list = (flag: Flag): string[] => itemsOf(text(flag));
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
      backlog: integer('backlog'),
      sharedReads: !isOn('no-shared-reads'),
      socket:
        text('socket') === ''
          ? undefined
          : { path: text('socket'), mode: Number.parseInt(text('socket-mode'), 8) },
      defaultAbandonTimeoutMs: integer('default-abandon-timeout'),
      allowedOrigins: list('allow-origin'),
      allowedHosts: list('allow-host'),
      pingIntervalMs: integer('ping-interval'),
      stallThresholdMs: integer('stall-threshold'),
      slowLockMs: integer('slow-lock'),
      limits: mapLimits(({ name, flag }) =>
        given.has(flag) ? integer(flag) : usualLimits()[name],
      ),
    },
    tls: { cert: text('tls-cert'), key: text('tls-key'), ca: text('tls-ca') },
    dataDir: text('data-dir'),
    etcd:
      text('etcd') === ''
        ? undefined
        : {
            members: list('etcd').map((url) => new URL(url)),
            prefix: text('etcd-prefix'),
            tls: { cert: text('etcd-cert'), key: text('etcd-key'), ca: text('etcd-ca') },
            userFile: text('etcd-user-file'),
            advertise: text('advertise'),
            leaseTtlS: integer('lease-ttl'),
          },
    logClients: isOn('log-clients'),
    logLocks: isOn('log-locks'),
    logFormat: LOG_FORMATS.find((format) => format === text('log-format')) ?? 'text',
    statsIntervalS: integer('stats-interval'),
    // Locks in a store outlive the stop, so it need not wait for their holders.
    drainTimeoutMs:
      (text('data-dir') === '' && text('etcd') === '') || given.has('drain-timeout')
        ? integer('drain-timeout')
        : 0,
    isMaxConnectionsChosen: given.has('max-connections'),
    chosen: OPTIONS.filter(({ flag, default: usual }) => text(flag) !== usual).map(
      ({ flag }) => `${flag} ${text(flag)}`,
    ),
    notes: environmentNotes(env),
  };
}
