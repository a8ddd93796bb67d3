import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { nodeArgs } from './compiled.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** The real program in a process of its own; the end of the test kills it. */
export class Program {
  readonly child: ChildProcess;
  readonly #closed: Promise<unknown>;
  stdout = '';
  stderr = '';

  /**
   * @param imports modules to load first, relative to the repository's root
   * @param shell commands that a shell runs first, in the process that becomes the program
   * @param fds descriptors that it inherits, from 3 on
   */
  constructor(
    t: TestContext,
    args: readonly string[],
    env: Record<string, string> = {},
    imports: readonly string[] = [],
    { shell = '', fds = [] }: { shell?: string; fds?: readonly number[] } = {},
  ) {
    const command = [process.execPath, ...nodeArgs('bin/locktopus.ts', imports), ...args];
    const [file = '', ...rest] =
      shell === '' ? command : ['sh', '-c', `${shell}; exec "$@"`, 'sh', ...command];
    this.child = spawn(file, rest, {
      cwd: ROOT,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe', ...fds],
    });
    this.#closed = once(this.child, 'close');
    this.child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.stdout += text;
    });
    this.child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text;
    });
    t.after(() => {
      this.child.kill('SIGKILL');
      // A helper process of tsx may outlive it, and would keep them open.
      this.child.stdout?.destroy();
      this.child.stderr?.destroy();
    });
  }

  /**
   * Waits until the log matches; fails if the program ends before it does.
   *
   * @param from leaves out that many characters at the beginning
   */
  async logged(pattern: RegExp, from = 0): Promise<RegExpMatchArray> {
    for (;;) {
      const match = this.stdout.slice(from).match(pattern);
      if (match !== null) return match;
      const { stdout, exitCode, signalCode } = this.child;
      if (exitCode !== null || signalCode !== null) {
        throw new Error(`it ended: ${this.stdout}${this.stderr}`);
      }
      if (stdout === null) throw new Error('no output');
      await Promise.race([once(stdout, 'data'), this.#closed]);
    }
  }

  /** The port that it listens on. */
  async port(): Promise<number> {
    const [, port] = await this.logged(/listens on \S+:(\d+) /);
    return Number(port);
  }

  /** Waits for the end: the exit code, or the signal that ended it. */
  async ended(): Promise<number | NodeJS.Signals | null> {
    await this.#closed;
    return this.child.exitCode ?? this.child.signalCode;
  }
}
