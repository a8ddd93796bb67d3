/**
 * Processes of the bench. Where there are two cores, servers run on one of them and generators of
 * load on another, so that neither takes time from the other.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';

export type Role = 'server' | 'generator' | 'engine';

const CORES: Readonly<Record<Role, string>> = {
  server: '1',
  generator: '0',
  engine: '0,1',
};

export const IS_PINNED = cpus().length > 1 && spawnSync('taskset', ['--version']).status === 0;

/** The compiled file beside this one. */
export function beside(name: string): string {
  return fileURLToPath(new URL(`./${name}.js`, import.meta.url));
}

const running = new Set<ChildProcess>();

// However this process ends, it leaves none of them behind.
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(1));

export class Child {
  readonly #process: ChildProcess;
  #output = '';

  /** @param command a program and its arguments; `process.execPath` for Node */
  constructor(role: Role, command: readonly string[]) {
    const [program = '', ...args] = IS_PINNED
      ? ['taskset', '-c', CORES[role], ...command]
      : command;
    this.#process = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe', 'ipc'] });
    running.add(this.#process);
    this.#process.on('close', () => running.delete(this.#process));
    this.#process.stdout?.setEncoding('utf8').on('data', (text: string) => this.#keep(text));
    this.#process.stderr?.setEncoding('utf8').on('data', (text: string) => this.#keep(text));
  }

  get pid(): number {
    if (this.#process.pid === undefined) throw new Error(`it did not start: ${this.#output}`);
    return this.#process.pid;
  }

  /** Waits until what it has printed matches. */
  async printed(pattern: RegExp): Promise<RegExpMatchArray> {
    for (;;) {
      const match = this.#output.match(pattern);
      if (match !== null) return match;
      await this.#next('output');
    }
  }

  /** Sends it a message over IPC and waits for the answer; one question at a time. */
  async ask(message: object): Promise<unknown> {
    const answered = this.#next('message');
    this.#process.send(message);
    return answered;
  }

  /** Ends it; resolves when it is gone. */
  async stop(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const closed = once(this.#process, 'close');
    this.#process.kill('SIGKILL');
    await closed;
  }

  #keep(text: string): void {
    this.#output += text;
    this.#process.emit('output');
  }

  #next(event: 'output' | 'message'): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const onEvent = (value: unknown): void => {
        this.#process.off('close', onClose);
        resolve(value);
      };
      const onClose = (): void => {
        this.#process.off(event, onEvent);
        reject(new Error(`${this.#process.spawnargs.join(' ')} ended: ${this.#output}`));
      };
      this.#process.once(event, onEvent);
      this.#process.once('close', onClose);
    });
  }
}
