/** The program: reads what it was asked, serves, logs, and stops on a signal. */
import {
  type ClientObserver,
  DEFAULT_HOST,
  DEFAULT_PORT,
  type Drained,
  Server,
} from '../server.ts';
import type { LockObserver } from '../session/session.ts';
import { VERSION } from '../version.ts';
import { readCommand, type Settings } from './settings.ts';
import {
  drainLine,
  evictionLine,
  exposureWarning,
  helpText,
  listenFailure,
  lockName,
  stallLine,
  startLine,
  statsLine,
  stoppedLine,
} from './texts.ts';
import { hasTokenFile, readTokens } from './tokens.ts';

/** Seconds between two looks at how far a drain is. */
const DRAIN_LOOK_S = 1;

/** The world outside the program; a test can bring its own. */
export interface Terminal {
  out(text: string): void;
  err(text: string): void;
}

export const ExitCode = { ok: 0, cannotListen: 1, mistake: 2, cutOff: 3 } as const;

/**
 * Runs the program.
 *
 * @param args the command line after the program's name
 * @returns the exit code when it is done at once, or the server that runs
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

/** A server and what logs beside it. */
export interface RunningServer {
  /**
   * Reads its files again; what can't be used is said in the log, and changes nothing. Undefined
   * when there are none.
   */
  readonly reload: (() => void) | undefined;
  /** Lets holders of locks finish, says goodbye to everybody and stops; resolves with the exit code. */
  stop(signal: string): Promise<number>;
}

async function serve(settings: Settings, terminal: Terminal): Promise<number | RunningServer> {
  const log = (text: string): void => terminal.out(`${new Date().toISOString()} ${text}\n`);
  const secrets = readTokens(settings.tokens);
  if (typeof secrets === 'string') {
    terminal.err(`locktopus: ${secrets}.\n`);
    return ExitCode.mistake;
  }
  const { tokens } = secrets;
  const server = new Server({
    ...settings.server,
    tokens: tokens.client,
    adminTokens: tokens.admin,
    adminObserver: { evicted: (eviction, by) => log(evictionLine(eviction, by)) },
    clientObserver: settings.logClients ? clientLog(log) : undefined,
    lockObserver: settings.logLocks ? lockLog(log) : undefined,
    stallObserver: (report) => log(stallLine(report)),
  });
  try {
    await server.listen();
  } catch (error) {
    const { host = DEFAULT_HOST, port = DEFAULT_PORT } = settings.server;
    const failure = error instanceof Error ? error : new Error(String(error));
    terminal.err(`locktopus: ${listenFailure(failure, host, port)}\n`);
    return ExitCode.cannotListen;
  }
  log(startLine(server.address, settings));
  for (const warning of secrets.warnings) log(warning);
  if (!server.isLoopback && tokens.client.length === 0) log(exposureWarning(server.address));
  const ticker = startTicker(settings.statsIntervalS, () => log(statsLine(server.counts)));
  return {
    reload: hasTokenFile(settings.tokens) ? () => reloadTokens(server, settings, log) : undefined,
    async stop(signal) {
      clearInterval(ticker);
      log(`${signal}: stopping (${statsLine(server.counts)}); again to end at once`);
      const { cutOff } = await drain(server, settings.drainTimeoutMs, log);
      log(stoppedLine(cutOff));
      return cutOff === 0 ? ExitCode.ok : ExitCode.cutOff;
    },
  };
}

/** Drains and tells, as long as it takes, what is still held. */
async function drain(
  server: Server,
  timeoutMs: number,
  log: (text: string) => void,
): Promise<Drained> {
  let told = '';
  const tell = (): void => {
    const line = drainLine(server.holders, server.counts);
    if (line !== told && server.holders > 0) log(line);
    told = line;
  };
  const drained = server.drain(timeoutMs);
  if (timeoutMs > 0) tell();
  const ticker = startTicker(DRAIN_LOOK_S, tell);
  const result = await drained;
  clearInterval(ticker);
  return result;
}

function reloadTokens(server: Server, { tokens }: Settings, log: (text: string) => void): void {
  const read = readTokens(tokens);
  if (typeof read === 'string') {
    log(`${read}; the tokens stay as they were`);
    return;
  }
  server.setTokens(read.tokens);
  for (const warning of read.warnings) log(warning);
  log(`read ${read.tokens.client.length} tokens and ${read.tokens.admin.length} admin tokens`);
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
