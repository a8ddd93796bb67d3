/** Runs one verb as a process: its streams, its exit code, and what a bug looks like. */
import { leaveClosedTerminals } from './controlling-terminal.ts';
import { runVerb, type VerbContext, VerbExit } from './verb.ts';
import type { VerbEntry } from './verbs.ts';

/** Runs the verb; the process ends when nothing is left to do. */
export async function runProgram(entry: VerbEntry, args: readonly string[]): Promise<void> {
  process.on('uncaughtException', crash);
  process.on('unhandledRejection', crash);
  process.on('exit', leaveClosedTerminals);
  process.stdout.on('error', leave);
  process.stderr.on('error', () => {});
  const context: VerbContext = {
    env: process.env,
    out: (text) => process.stdout.write(text),
    err: (text) => process.stderr.write(text),
    isTerminal: process.stdout.isTTY === true,
    get columns() {
      return process.stdout.columns;
    },
    signals: {
      on: (name, handler) => process.on(name, handler),
      off: (name, handler) => process.off(name, handler),
      raise: (name) => {
        process.removeAllListeners(name);
        process.kill(process.pid, name);
      },
    },
  };
  process.exitCode = await runVerb(entry.name, await entry.load(), args, context);
}

/** With EPIPE, the reader has what it wanted, as in `locktopus ls | head`. */
function leave({ code, message }: NodeJS.ErrnoException): void {
  if (code === 'EPIPE') process.exit(VerbExit.ok);
  process.stderr.write(`locktopus: cannot write the output: ${message}.\n`);
  process.exit(VerbExit.internal);
}

function crash(error: unknown): void {
  const what = error instanceof Error ? (error.stack ?? error.message) : String(error);
  process.stderr.write(`locktopus: internal error; please report this as a bug. ${what}\n`);
  process.exit(VerbExit.internal);
}
