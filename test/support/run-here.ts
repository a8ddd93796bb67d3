/** The server's command in this process, where it must not start: a process costs half a second. */
import assert from 'node:assert/strict';
import { run } from '../../src/cli/serve.ts';

/** The exit code, and what is said on stderr. Fails if the server starts. */
export async function runHere(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<{ code: number; said: string }> {
  let said = '';
  const code = await run([...args], env, {
    ...{ out: () => {}, log: () => {}, fail: () => {}, hasTerminal: false },
    err: (text) => {
      said += text;
    },
  });
  if (typeof code === 'number') return { code, said };
  await code.stop('the end of the test');
  assert.fail(`it starts: ${args.join(' ')}`);
}
