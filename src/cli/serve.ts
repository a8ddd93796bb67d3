/** The program: reads its options, runs the server, logs, reloads files, and stops on a signal. */

import type { ClientObserver } from '../net/listen/clients.ts';
import { roomForLocks } from '../runtime/limits.ts';
import { plural } from '../runtime/text.ts';
import { type Drained, Server } from '../server.ts';
import type { ServerOptions } from '../server-options.ts';
import type { LockObserver } from '../session/session-host.ts';
import { DataDirectory } from '../store/data-dir.ts';
import { StoreError } from '../store/store.ts';
import { VERSION } from '../version.ts';
import { connectionsWithin, isWorthSaying, openFilesLimit } from './open-files.ts';
import { rateLimit } from './rate-limit.ts';
import { readCommand, type Settings } from './settings.ts';
import {
  drainLine,
  evictionLine,
  exposureWarning,
  fullLine,
  HANG_UP_LINE,
  handshakeLine,
  heapWarning,
  helpText,
  isClusterError,
  listenFailure,
  lockName,
  lostPathLine,
  openFilesWarning,
  recoveredLine,
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

/** The program's surroundings; a test can bring its own. */
export interface Terminal {
  out(text: string): void;
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

async function serve(settings: Settings, terminal: Terminal): Promise<number | RunningServer> {
  const log = (text: string): void => terminal.out(`${new Date().toISOString()} ${text}\n`);
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
  const server = new Server({
    ...settings.server,
    limits: { ...limits, maxConnections },
    fullObserver: rateLimit(() => log(fullLine(maxConnections))),
    tls,
    fds,
    stuckObserver: rateLimit((_suppressed, error) => log(stuckLine(error))),
    pathObserver: (path, error) => log(lostPathLine(path, error)),
    authObserver: {
      wrongToken: rateLimit((suppressed, client) => log(wrongTokenLine(client, suppressed))),
      handshakeFailed: rateLimit((suppressed, why, client) =>
        log(handshakeLine(why, client, suppressed)),
      ),
    },
    tokens: tokens.client,
    adminTokens: tokens.admin,
    adminObserver: { evicted: (eviction, by) => log(evictionLine(eviction, by)) },
    clientObserver: settings.logClients ? clientLog(log) : undefined,
    lockObserver: settings.logLocks ? lockLog(log) : undefined,
    stallObserver: (report) => log(stallLine(report)),
    store: settings.dataDir === '' ? undefined : new DataDirectory(settings.dataDir),
    storeObserver: {
      failed: (error) => terminal.fail(ExitCode.storeFailed, storeFailedLine(error)),
    },
  });
  try {
    await server.listen();
  } catch (error) {
    return cannotStart(error, { ...settings.server, fds }, terminal);
  }
  log(startLine(server.addresses, settings));
  if (server.recovered !== undefined) {
    log(recoveredLine(settings.dataDir, server.recovered));
  }
  for (const note of settings.notes) log(note);
  if (isWorthSaying(maxConnections, limits.maxConnections, settings.isMaxConnectionsChosen)) {
    log(openFilesWarning(maxConnections, limits.maxConnections));
  }
  if (limits.maxLockBytes > roomForLocks()) {
    log(heapWarning(limits.maxLockBytes, roomForLocks()));
  }
  for (const warning of secrets.warnings) log(warning);
  const isGuarded = tokens.client.length > 0 || tls?.ca !== undefined;
  if (!isGuarded) for (const address of server.exposedAddresses) log(exposureWarning(address));
  const ticker = startTicker(settings.statsIntervalS, () => log(statsLine(server.counts)));
  return {
    reload: reloadOf(server, settings, log, terminal.hasTerminal),
    async stop(signal) {
      clearInterval(ticker);
      log(
        `${signal}: stopping (${statsLine(server.counts)}); a second signal ends the process at once`,
      );
      const drained = await drain(server, settings.drainTimeoutMs, log);
      log(stoppedLine(drained));
      return drained.cutOff === 0 || drained.kept !== undefined ? ExitCode.ok : ExitCode.cutOff;
    },
  };
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
  server: Server,
  settings: Settings,
  log: (text: string) => void,
  hasTerminal: boolean,
): (() => void) | undefined {
  const hasTls = settings.tls.cert !== '';
  const hasTokens = hasTokenFile(settings.tokens);
  if (!hasTls && !hasTokens) return hasTerminal ? undefined : () => log(HANG_UP_LINE);
  return () => {
    if (hasTls) reloadTls(server, settings, log);
    if (hasTokens) reloadTokens(server, settings, log);
  };
}

function reloadTls(server: Server, { tls }: Settings, log: (text: string) => void): void {
  const files = readTlsFiles(tls);
  if (files === undefined) return;
  if (typeof files === 'string') {
    log(`${files}; keeping the current certificate`);
    return;
  }
  server.setTls(files);
  log('reloaded the certificate and its key');
}

/** Drains, and logs what is still held whenever that changes. */
async function drain(
  server: Server,
  timeoutMs: number,
  log: (text: string) => void,
): Promise<Drained> {
  if (timeoutMs === 0) return server.drain(0);
  let logged = '';
  const logProgress = (): void => {
    const line = drainLine(server.holders, server.counts);
    if (line !== logged && server.holders > 0) log(line);
    logged = line;
  };
  const drained = server.drain(timeoutMs);
  logProgress();
  const ticker = startTicker(DRAIN_PROGRESS_S, logProgress);
  const result = await drained;
  clearInterval(ticker);
  return result;
}

function reloadTokens(server: Server, { tokens }: Settings, log: (text: string) => void): void {
  const read = readTokens(tokens);
  if (typeof read === 'string') {
    log(`${read}; keeping the current tokens`);
    return;
  }
  server.setTokens(read.tokens);
  for (const warning of read.warnings) log(warning);
  const { client, admin } = read.tokens;
  log(`reloaded ${plural(client.length, 'token')} and ${plural(admin.length, 'admin token')}`);
}

function startTicker(intervalS: number, tick: () => void): NodeJS.Timeout | undefined {
  return intervalS === 0 ? undefined : setInterval(tick, intervalS * 1000);
}

function clientLog(log: (text: string) => void): ClientObserver {
  return {
    connected: (client, kind) => log(`client ${client} connected (${kind})`),
    disconnected: (client) => log(`client ${client} disconnected`),
  };
}

function lockLog(log: (text: string) => void): LockObserver {
  return {
    enqueued: (lock) => log(`enqueued ${lockName(lock)}`),
    acquired: (lock) => log(`acquired ${lockName(lock)}`),
    released: (lock, cause) => log(`${cause} ${lockName(lock)}`),
  };
}
