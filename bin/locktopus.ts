#!/usr/bin/env node
/** The executable: runs the verb that the command line names, or the server. */
import { VerbExit } from '../src/cli/verb.ts';
import { dispatch } from '../src/cli/verbs.ts';

const command = dispatch(process.argv.slice(2));

// Each is loaded only when it is asked for: `locktopus ping` needs no server.
if (command.kind === 'serve') {
  const { serveProgram } = await import('../src/cli/serve-program.ts');
  await serveProgram(command.args);
} else if (command.kind === 'verb') {
  const { runProgram } = await import('../src/cli/program.ts');
  await runProgram(command.entry, command.args);
} else {
  process.stderr.write(`locktopus: ${command.message} See locktopus --help.\n`);
  process.exitCode = VerbExit.usage;
}
