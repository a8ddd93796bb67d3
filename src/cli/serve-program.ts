/** Runs the server as a process: passes environment, terminal and signals to `serve`. */
import { constants } from 'node:os';
import { clusterWorker } from '../runtime/cluster-worker.ts';
import { inheritedFds } from './activation.ts';
import { hasTerminal, leaveClosedTerminals } from './controlling-terminal.ts';
import { crash, fail } from './crash.ts';
import { LogSink } from './log-sink.ts';
import { run } from './serve.ts';

/** Milliseconds that the log's reader has at the end, to read what is left. */
const LAST_READING_MS = 1000;

/** @param args the command line after the program's name, or after `serve` */
export async function serveProgram(args: readonly string[]): Promise<void> {
  // First, so that they cover all that follows.
  process.on('uncaughtException', crash);
  process.on('unhandledRejection', crash);
  process.on('exit', leaveClosedTerminals);

  // The reader of the log may end; the server must not end with it.
  process.stdout.on('error', () => {});
  process.stderr.on('error', () => {});

  const sink = new LogSink(process.stdout);
  const running = await run(args, process.env, {
    out: (text) => process.stdout.write(text),
    log: (line, droppedLine) => sink.write(line, droppedLine),
    err: (text) => process.stderr.write(text),
    fail,
    hasTerminal: hasTerminal(),
    fds: inheritedFds(process.env, process.pid),
  });

  if (typeof running === 'number') {
    process.exitCode = running;
    // The channel to the primary would keep a worker of node:cluster from ending.
    (await clusterWorker())?.disconnect();
    return;
  }
  let isStopping = false;
  const onSignal = async (signal: NodeJS.Signals): Promise<void> => {
    if (isStopping) process.exit(128 + constants.signals[signal]);
    isStopping = true;
    const code = await running.stop(signal);
    await sink.flushed(LAST_READING_MS);
    process.exit(code);
  };
  // Without files to reload, in a terminal, SIGHUP says that the terminal was closed.
  process.on('SIGHUP', running.reload ?? onSignal);
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
}
