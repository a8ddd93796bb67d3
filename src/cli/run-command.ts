/** Holds a lock while a command runs: what `locktopus run` does once its command line is read. */
import { constants } from 'node:os';
import { type Client, LockTimeoutError, type Resource } from '../client/index.ts';
import { type Connection, open, report } from './connection.ts';
import { isLikeNohup } from './controlling-terminal.ts';
import { watchForLoss } from './loss.ts';
import { type CommandEnd, type ProcessGroup, StartFailure, startGroup } from './process-group.ts';
import { type Signals, type VerbContext, VerbExit } from './verb.ts';

/** The exit codes of commands that could not be started, as in shells. */
export const CANNOT_START = 126;
export const NOT_FOUND = 127;
/** Plus the number of the signal that ended the command. */
const SIGNALLED = 128;

/** Signals that end a wait. */
const ENDING = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const;

/** Signals that the command gets. */
const FORWARDED = [...ENDING, 'SIGUSR1', 'SIGUSR2', 'SIGWINCH'] as const;

/** Whether SIGHUP is ignored: nohup asks for that, but Node resets it. */
const outlivesTerminal = isLikeNohup();

/** What the command line asks for. */
export interface Plan {
  /** The command and its arguments. */
  readonly command: readonly string[];
  readonly resources: readonly Resource[];
  /** Milliseconds to wait for the lock; undefined for no limit. */
  readonly waitMs: number | undefined;
  /** Milliseconds between SIGTERM and SIGKILL. */
  readonly graceMs: number;
  readonly abandonTimeoutMs: number;
  readonly label: string;
}

/**
 * Connects, waits for the lock, and runs the command. Resolves with the exit code.
 *
 * @returns a sentence without its full stop if the URL is a mistake
 */
export async function runHolding(
  plan: Plan,
  connection: Connection,
  context: VerbContext,
): Promise<number | string> {
  const { abandonTimeoutMs, label, waitMs } = plan;
  const wait = interruptibleWait(context.signals);
  try {
    const client = await open(connection, { abandonTimeoutMs, label, signal: wait.signal });
    if (typeof client === 'string') return client;
    let end: CommandEnd | number;
    try {
      end = await hold(client, plan, wait, context);
    } finally {
      await client.close();
    }
    if (typeof end === 'number') return end;
    return end.signal === null ? end.code : endBy(end.signal, context.signals);
  } catch (error) {
    if (wait.interruptedBy !== undefined) return endBy(wait.interruptedBy, context.signals);
    if (!(error instanceof LockTimeoutError)) return report(error, context);
    const why = waitMs === 0 ? 'the lock is taken' : error.message;
    context.err(`locktopus: ${why}; the command was not run.\n`);
    return VerbExit.notAcquired;
  } finally {
    wait.stop();
  }
}

/** Acquires the lock and runs the command. Resolves with the command's end, or with an exit code. */
async function hold(
  client: Client,
  { command, graceMs, resources, waitMs }: Plan,
  wait: InterruptibleWait,
  context: VerbContext,
): Promise<CommandEnd | number> {
  // No event can come between the grant and the start of the command: a signal is for one of the two.
  const lock = await client.lock(resources, { waitMs, signal: wait.signal });
  const [file = ''] = command;
  let running: Running | undefined;
  // Before the start: as soon as the command runs it may cause a signal, whose usual effect is to end
  // this process or, SIGUSR1, to start Node's debugger.
  const stopForwarding = forwardSignals(context.signals, () => running);
  const group = await startGroup(command, { ...context.env, LOCKTOPUS_ID: lock.id }, graceMs);
  if (group instanceof StartFailure) {
    stopForwarding();
    const isMissing = group.code === 'ENOENT';
    const why = isMissing ? 'command not found' : group.message;
    context.err(`locktopus: cannot run ${file}: ${why}.\n`);
    return isMissing ? NOT_FOUND : CANNOT_START;
  }
  let isLost = false;
  const loss = watchForLoss(lock, graceMs, (why, killInMs) => {
    isLost = true;
    context.err(`locktopus: ${why}; ending ${file}.\n`);
    group.end(killInMs);
  });
  running = { group, check: loss.check };
  wait.stop();
  const end = await group.commandEnd;
  const wasLost = isLost;
  if (!(await group.clear(graceMs))) {
    context.err(`locktopus: some processes that ${file} started could not be ended.\n`);
  }
  loss.stop();
  return wasLost ? VerbExit.lost : end;
}

interface InterruptibleWait {
  /** Aborts when a signal asks this process to end. */
  readonly signal: AbortSignal;
  readonly interruptedBy: NodeJS.Signals | undefined;
  /** Leaves the signals to their usual effect. */
  stop(): void;
}

function interruptibleWait(signals: Signals): InterruptibleWait {
  const controller = new AbortController();
  let interruptedBy: NodeJS.Signals | undefined;
  const stop = onSignals(signals, ENDING, (name) => {
    interruptedBy = name;
    // A second signal need not wait for the server's goodbye.
    stop();
    controller.abort();
  });
  return {
    signal: controller.signal,
    get interruptedBy() {
      return interruptedBy;
    },
    stop,
  };
}

/** The command that runs. */
interface Running {
  readonly group: ProcessGroup;
  /** Called when this process goes on after a suspension: the lock may be lost. */
  readonly check: () => void;
}

/**
 * Passes signals on to the command, and is suspended together with it. Once the command has run it is
 * not undone: a signal that comes when the command has ended is too late to change the exit code.
 *
 * @returns what stops it
 */
function forwardSignals(signals: Signals, running: () => Running | undefined): () => void {
  const stop = onSignals(signals, FORWARDED, (name) => running()?.group.signal(name));
  const suspend = (): void => {
    // Not SIGTSTP: it has no effect on a group without a shell in its session.
    running()?.group.signal('SIGSTOP');
    // Where no shell could resume this process either, it has no effect, and all goes on at once.
    signals.raise('SIGTSTP');
    signals.on('SIGTSTP', suspend);
    running()?.check();
    running()?.group.signal('SIGCONT');
  };
  signals.on('SIGTSTP', suspend);
  return () => {
    stop();
    signals.off('SIGTSTP', suspend);
  };
}

/** Returns what stops it. */
function onSignals(
  signals: Signals,
  names: readonly NodeJS.Signals[],
  handle: (name: NodeJS.Signals) => void,
): () => void {
  const handler = (name: NodeJS.Signals): void => {
    if (name !== 'SIGHUP' || !outlivesTerminal) handle(name);
  };
  for (const name of names) signals.on(name, handler);
  return () => {
    for (const name of names) signals.off(name, handler);
  };
}

/**
 * The end by a signal, as a shell sees it. A shell's loop ends with Ctrl-C only if the signal itself
 * has ended what it runs.
 */
function endBy(name: NodeJS.Signals, signals: Signals): number {
  if (name === 'SIGINT') signals.raise(name);
  return SIGNALLED + constants.signals[name];
}
