#!/usr/bin/env node
/** The executable: passes arguments, environment, terminal and signals to the program. */
import cluster from 'node:cluster';
import { constants } from 'node:os';
import { inheritedFds } from '../src/cli/activation.ts';
import { hasTerminal, leaveClosedTerminals } from '../src/cli/controlling-terminal.ts';
import { crash } from '../src/cli/crash.ts';
import { LogSink } from '../src/cli/log-sink.ts';
import { run } from '../src/cli/serve.ts';

// First, so that they cover all that follows.
process.on('uncaughtException', crash);
process.on('unhandledRejection', crash);
process.on('exit', leaveClosedTerminals);

// The reader of the log may end; the server must not end with it.
process.stdout.on('error', () => {});
process.stderr.on('error', () => {});

/** Milliseconds that the log's reader has at the end, to read what is left. */
const LAST_READING_MS = 1000;

const sink = new LogSink(process.stdout);
const running = await run(process.argv.slice(2), process.env, {
  out: (text) => sink.write(text),
  err: (text) => process.stderr.write(text),
  hasTerminal: hasTerminal(),
  fds: inheritedFds(process.env, process.pid),
});

if (typeof running === 'number') {
  process.exitCode = running;
  // The channel to the primary would keep a worker of node:cluster from ending.
  cluster.worker?.disconnect();
} else {
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
