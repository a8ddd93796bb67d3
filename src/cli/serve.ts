/** The program: reads its options, runs the server, logs, reloads files, and stops on a signal. */

import { roomForLocks } from '../runtime/limits.ts';
import { plural } from '../runtime/text.ts';
import { type Drained, Server } from '../server.ts';
import type { ServerOptions } from '../server-options.ts';
import { type Store, StoreError } from '../store/store.ts';
import { VERSION } from '../version.ts';
import {
  adminObserver,
  clientObservers,
  drainLine,
  lockObserver,
  logSlowLock,
} from './lock-log.ts';
import { Log, type WriteLine } from './log.ts';
import { connectionsWithin, isWorthSaying, openFilesLimit } from './open-files.ts';
import { rateLimit } from './rate-limit.ts';
import { type EtcdSettings, readCommand, type Settings } from './settings.ts';
import {
  exposureWarning,
  fullLine,
  HANG_UP_LINE,
  handshakeLine,
  heapWarning,
  helpText,
  isClusterError,
  listenFailure,
  lostPathLine,
  openFilesWarning,
  recoveredLine,
  rejectedRequestLine,
  stallLine,
  startLine,
  statsLine,
  stoppedLine,
  storeFailedLine,
  stuckLine,
  wrongTokenLine,
} from './texts.ts';
import { readTlsFiles } from './tls-files.ts';
import { hasTokenFile, readTokens } from './tokens.ts';

/** Seconds between two progress lines of a drain. */
const DRAIN_PROGRESS_S = 1;

/** Slow locks that are named in ten seconds; more are counted. */
const MAX_SLOW_LINES = 20;

/** The program's surroundings; a test can bring its own. */
export interface Terminal {
  out(text: string): void;
  readonly log: WriteLine;
  err(text: string): void;
  /** Descriptors of inherited sockets to listen on; or a sentence that says what is wrong. */
  readonly fds?: readonly number[] | string;
  /** Writes a line to standard error and ends the process at once, with that exit code. */
  fail(exitCode: number, line: string): void;
  /** Whether SIGHUP means that a terminal was closed; see `hasTerminal`. */
  readonly hasTerminal: boolean;
}

export const ExitCode = {
  ok: 0,
  cannotListen: 1,
  mistake: 2,
  cutOff: 3,
  storeUnusable: 4,
  storeFailed: 5,
} as const;

/**
 * Runs the program.
 *
 * @param args the command line after the program's name
 * @returns the running server, or the exit code if there is none
 */
export async function run(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
  terminal: Terminal,
): Promise<number | RunningServer> {
  const command = readCommand(args, env);
  switch (command.kind) {
    case 'help':
      terminal.out(helpText());
      return ExitCode.ok;
    case 'version':
      terminal.out(`${VERSION}\n`);
      return ExitCode.ok;
    case 'mistake':
      terminal.err(`locktopus: ${command.message}. See locktopus --help.\n`);
      return ExitCode.mistake;
    case 'serve':
      return serve(command.settings, terminal);
  }
}

/** A server that runs, with its log. */
export interface RunningServer {
  /**
   * Handles SIGHUP: reads the files again. Files that can't be used are reported in the log, and
   * change nothing. Without files it only logs that. Undefined if SIGHUP should stop the server.
   */
  readonly reload: (() => void) | undefined;
  /** Lets holders finish, says goodbye to all clients and stops; resolves with the exit code. */
  stop(signal: string): Promise<number>;
}

/** Loaded only when it is asked for: it takes a tenth of the time in which the program starts. */
async function dataDirectory(path: string): Promise<Store> {
  const { DataDirectory } = await import('../store/data-dir.ts');
  return new DataDirectory(path);
}

/** What serves: one server, or with --etcd one after another. */
interface Serving {
  readonly server: Server;
  open(): Promise<void>;
  /** Goes on after `open`. */
  run?(): Promise<void>;
  /** Before the server is drained. */
  stop?(): void;
}

async function serveAlone(
  { dataDir }: Settings,
  options: ServerOptions,
  terminal: Terminal,
): Promise<Serving> {
  const server = new Server({
    ...options,
    store: dataDir === '' ? undefined : await dataDirectory(dataDir),
    storeObserver: {
      failed: (error) => terminal.fail(ExitCode.storeFailed, storeFailedLine(error)),
    },
  });
  return { server, open: () => server.listen() };
}

async function serveCell(
  etcd: EtcdSettings,
  settings: Settings,
  options: ServerOptions,
  log: Log,
  terminal: Terminal,
): Promise<Serving | string> {
  const { CellServer, readEtcdFiles } = await import('./serve-cell.ts');
  const files = readEtcdFiles(etcd);
  if (typeof files === 'string') return files;
  return new CellServer(etcd, files, {
    log,
    makeServer: (more) => new Server({ ...options, ...secretsNow(settings), ...more }),
    fail: ({ message }) => terminal.fail(ExitCode.storeUnusable, `locktopus: ${message}`),
  });
}

/** As they are after a reload; those that can't be read are left out. */
function secretsNow({ tls, tokens }: Settings): Partial<ServerOptions> {
  const files = readTlsFiles(tls);
  const read = readTokens(tokens);
  return {
    ...(typeof files === 'object' ? { tls: files } : {}),
    ...(typeof read === 'object'
      ? { tokens: read.tokens.client, adminTokens: read.tokens.admin }
      : {}),
  };
}

async function serve(settings: Settings, terminal: Terminal): Promise<number | RunningServer> {
  const log = new Log(settings.logFormat, terminal.log);
  const secrets = readTokens(settings.tokens);
  const tls = readTlsFiles(settings.tls);
  const { fds } = terminal;
  const giveUp = (mistake: string): number => {
    terminal.err(`locktopus: ${mistake}.\n`);
    return ExitCode.mistake;
  };
  if (typeof fds === 'string') return giveUp(fds);
  if (typeof secrets === 'string') return giveUp(secrets);
  if (typeof tls === 'string') return giveUp(tls);
  const { tokens } = secrets;
  const { limits } = settings.server;
  const maxConnections = Math.min(limits.maxConnections, connectionsWithin(openFilesLimit()));
  const options: ServerOptions = {
    ...settings.server,
    limits: { ...limits, maxConnections },
    tls,
    fds,
    tokens: tokens.client,
    adminTokens: tokens.admin,
    ...observers(log, settings, maxConnections),
  };
  const serving =
    settings.etcd === undefined
      ? await serveAlone(settings, options, terminal)
      : await serveCell(settings.etcd, settings, options, log, terminal);
  if (typeof serving === 'string') return giveUp(serving);
  try {
    await serving.open();
  } catch (error) {
    return cannotStart(error, { ...settings.server, fds }, terminal);
  }
  const { addresses, recovered, exposedAddresses } = serving.server;
  log.add('started', startLine(addresses, settings), { version: VERSION, addresses });
  if (recovered !== undefined) {
    log.add('recovered', recoveredLine(settings.dataDir, recovered), recovered);
  }
  const isGuarded = tokens.client.length > 0 || tls?.ca !== undefined;
  for (const note of [
    ...settings.notes,
    ...limitWarnings(settings, maxConnections),
    ...secrets.warnings,
    ...(isGuarded ? [] : exposedAddresses.map(exposureWarning)),
  ]) {
    log.add('configuration', note);
  }
  void serving.run?.();
  const ticker = startTicker(settings.statsIntervalS, () => {
    const { counts } = serving.server;
    log.add('statistics', statsLine(counts), counts);
  });
  return {
    reload: reloadOf(serving, settings, log, terminal.hasTerminal),
    async stop(signal) {
      clearInterval(ticker);
      serving.stop?.();
      const { server } = serving;
      const { counts } = server;
      const message = `${signal}: stopping (${statsLine(counts)}); a second signal ends the process at once`;
      log.add('stopping', message, { signal, ...counts });
      const drained = await drain(server, settings.drainTimeoutMs, log);
      log.add('stopped', stoppedLine(drained), drained);
      return drained.cutOff === 0 || drained.kept !== undefined ? ExitCode.ok : ExitCode.cutOff;
    },
  };
}

type Observers = Pick<ServerOptions, Extract<keyof ServerOptions, `${string}Observer`>>;

/** What the server reports while it runs. Lines that clients can cause are limited in number. */
function observers(log: Log, settings: Settings, maxConnections: number): Observers {
  const { logClients, logLocks } = settings;
  const clients = logClients ? clientObservers(log) : undefined;
  return {
    fullObserver: rateLimit(() =>
      log.add('connection_limit', fullLine(maxConnections), { maxConnections }),
    ),
    stuckObserver: rateLimit((_suppressed, error) => log.add('accept_failed', stuckLine(error))),
    pathObserver: (path, error) =>
      log.add('socket_path_lost', lostPathLine(path, error), { path, error: error?.message }),
    authObserver: {
      wrongToken: rateLimit((suppressed, client) =>
        log.add('invalid_token', wrongTokenLine(client, suppressed), { client, suppressed }),
      ),
      handshakeFailed: rateLimit((suppressed, why, client) => {
        const line = handshakeLine(why, client, suppressed);
        log.add('tls_handshake_failed', line, { client, why, suppressed });
      }),
    },
    headerObserver: rateLimit((suppressed, { header, why }, client) => {
      const line = rejectedRequestLine(why, client, suppressed);
      log.add('rejected_request', line, { client, header, suppressed });
    }),
    adminObserver: adminObserver(log),
    clientObserver: clients?.client,
    sessionObserver: clients?.session,
    lockObserver: logLocks ? lockObserver(log) : undefined,
    slowLockObserver: rateLimit(
      (suppressed, slow) => logSlowLock(log, slow, suppressed),
      undefined,
      MAX_SLOW_LINES,
    ),
    stallObserver: (report) => log.add('stall', stallLine(report), report),
  };
}

/** Limits that this process can't keep. */
function limitWarnings({ server, isMaxConnectionsChosen }: Settings, allowed: number): string[] {
  const { maxConnections, maxLockBytes } = server.limits;
  const room = roomForLocks();
  return [
    ...(isWorthSaying(allowed, maxConnections, isMaxConnectionsChosen)
      ? [openFilesWarning(allowed, maxConnections)]
      : []),
    ...(maxLockBytes > room ? [heapWarning(maxLockBytes, room)] : []),
  ];
}

/** Says why the server can't start; returns the exit code. */
function cannotStart(error: unknown, options: ServerOptions, terminal: Terminal): number {
  const failure = error instanceof Error ? error : new Error(String(error));
  if (failure instanceof StoreError) {
    terminal.err(`locktopus: ${failure.message}.\n`);
    return ExitCode.storeUnusable;
  }
  terminal.err(`locktopus: ${listenFailure(failure, options)}\n`);
  const isMistake = failure instanceof RangeError || isClusterError(failure);
  return isMistake ? ExitCode.mistake : ExitCode.cannotListen;
}

/** See `RunningServer.reload`. */
function reloadOf(
  serving: Serving,
  settings: Settings,
  log: Log,
  hasTerminal: boolean,
): (() => void) | undefined {
  const hasTls = settings.tls.cert !== '';
  const hasTokens = hasTokenFile(settings.tokens);
  if (!hasTls && !hasTokens)
    return hasTerminal ? undefined : () => log.add('hang_up_ignored', HANG_UP_LINE);
  return () => {
    if (hasTls) reloadTls(serving.server, settings, log);
    if (hasTokens) reloadTokens(serving.server, settings, log);
  };
}

function reloadTls(server: Server, { tls }: Settings, log: Log): void {
  const files = readTlsFiles(tls);
  if (files === undefined) return;
  if (typeof files === 'string') {
    log.add('reload_failed', `${files}; keeping the current certificate`);
    return;
  }
  server.setTls(files);
  log.add('reloaded', 'reloaded the certificate and its key');
}

/** Drains, and logs what is still held whenever that changes. */
async function drain(server: Server, timeoutMs: number, log: Log): Promise<Drained> {
  if (timeoutMs === 0) return server.drain(0);
  let logged = '';
  const logProgress = (): void => {
    const { holders, counts } = server;
    const { text, fields } = drainLine(holders, counts.acquired, server.heldLocks);
    if (text !== logged && holders > 0) log.add('draining', text, fields);
    logged = text;
  };
  const drained = server.drain(timeoutMs);
  logProgress();
  const ticker = startTicker(DRAIN_PROGRESS_S, logProgress);
  const result = await drained;
  clearInterval(ticker);
  return result;
}

function reloadTokens(server: Server, { tokens }: Settings, log: Log): void {
  const read = readTokens(tokens);
  if (typeof read === 'string') {
    log.add('reload_failed', `${read}; keeping the current tokens`);
    return;
  }
  server.setTokens(read.tokens);
  for (const warning of read.warnings) log.add('configuration', warning);
  const { client, admin } = read.tokens;
  const what = `${plural(client.length, 'token')} and ${plural(admin.length, 'admin token')}`;
  log.add('reloaded', `reloaded ${what}`);
}

function startTicker(intervalS: number, tick: () => void): NodeJS.Timeout | undefined {
  return intervalS === 0 ? undefined : setInterval(tick, intervalS * 1000);
}
