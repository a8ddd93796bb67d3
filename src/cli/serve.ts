/** The program: reads its options, runs the server, logs, reloads files, and stops on a signal. */

import { roomForLocks } from '../runtime/limits.ts';
import { type Drained, Server } from '../server.ts';
import type { ServerOptions } from '../server-options.ts';
import { type Store, StoreError } from '../store/store.ts';
import { VERSION } from '../version.ts';
import { drainLine } from './lock-log.ts';
import { Log, type WriteLine } from './log.ts';
import { connectionsWithin, isWorthSaying, openFilesLimit } from './open-files.ts';
import { reloadOf, secretsNow } from './reload.ts';
import { observers } from './server-log.ts';
import { type EtcdSettings, readCommand, type Settings } from './settings.ts';
import {
  exposureWarning,
  heapWarning,
  helpText,
  isClusterError,
  listenFailure,
  openFilesWarning,
  recoveredLine,
  startLine,
  statsLine,
  stoppedLine,
  storeFailedLine,
} from './texts.ts';
import { readTlsFiles } from './tls-files.ts';
import { readTokens } from './tokens.ts';

/** Seconds between two progress lines of a drain. */
const DRAIN_PROGRESS_S = 1;

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

/** What serves: one server, or with --etcd one after another. */
interface Serving {
  readonly server: Server;
  listen(): Promise<void>;
  drain(timeoutMs: number): Promise<Drained>;
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
  return {
    server,
    listen: () => server.listen(),
    drain: (timeoutMs) => server.drain(timeoutMs),
  };
}

/** Loaded only when it is asked for: it takes a tenth of the time in which the program starts. */
async function dataDirectory(path: string): Promise<Store> {
  const { DataDirectory } = await import('../store/data-dir.ts');
  return new DataDirectory(path);
}

async function serveCell(
  etcd: EtcdSettings,
  settings: Settings,
  options: ServerOptions,
  log: Log,
  terminal: Terminal,
): Promise<Serving | string> {
  const { cellServer, isReplaced } = await import('./serve-cell.ts');
  return cellServer(etcd, log, {
    serverOptions: () => ({ ...options, ...secretsNow(settings) }),
    failed: (error) => {
      const { code, line } = startFailure(error, options);
      terminal.fail(isReplaced(error) ? ExitCode.storeFailed : code, line);
    },
  });
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
    await serving.listen();
  } catch (error) {
    const { code, line } = startFailure(error, options);
    terminal.err(`${line}\n`);
    return code;
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
  const ticker = startTicker(settings.statsIntervalS, () => {
    const { counts } = serving.server;
    log.add('statistics', statsLine(counts), counts);
  });
  return {
    reload: reloadOf(() => serving.server, settings, log, terminal.hasTerminal),
    async stop(signal) {
      clearInterval(ticker);
      const { counts } = serving.server;
      const message = `${signal}: stopping (${statsLine(counts)}); a second signal ends the process at once`;
      log.add('stopping', message, { signal, ...counts });
      const drained = await drain(serving, settings.drainTimeoutMs, log);
      log.add('stopped', stoppedLine(drained), drained);
      return drained.cutOff === 0 || drained.kept !== undefined ? ExitCode.ok : ExitCode.cutOff;
    },
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

/** Why the server can't listen or use its store, and the exit code. */
function startFailure(error: unknown, options: ServerOptions): { code: number; line: string } {
  const failure = error instanceof Error ? error : new Error(String(error));
  if (failure instanceof StoreError) {
    return { code: ExitCode.storeUnusable, line: `locktopus: ${failure.message}.` };
  }
  const isMistake = failure instanceof RangeError || isClusterError(failure);
  const code = isMistake ? ExitCode.mistake : ExitCode.cannotListen;
  return { code, line: `locktopus: ${listenFailure(failure, options)}` };
}

/** Drains, and logs what is still held whenever that changes. */
async function drain(serving: Serving, timeoutMs: number, log: Log): Promise<Drained> {
  if (timeoutMs === 0) return serving.drain(0);
  const { server } = serving;
  let logged = '';
  const logProgress = (): void => {
    const { holders, counts } = server;
    const { text, fields } = drainLine(holders, counts.acquired, server.heldLocks);
    if (text !== logged && holders > 0) log.add('draining', text, fields);
    logged = text;
  };
  const drained = serving.drain(timeoutMs);
  logProgress();
  const ticker = startTicker(DRAIN_PROGRESS_S, logProgress);
  const result = await drained;
  clearInterval(ticker);
  return result;
}

function startTicker(intervalS: number, tick: () => void): NodeJS.Timeout | undefined {
  return intervalS === 0 ? undefined : setInterval(tick, intervalS * 1000);
}
