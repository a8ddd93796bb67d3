/**
 * The server of a chaos run: the real program. With a data directory it can be killed at any moment,
 * and is started again on the same directory and port.
 */
import type { TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { ownPort } from '../support/ports.ts';
import { Program } from '../support/program.ts';
import type { Random } from '../support/random.ts';

const NOTHING_HELD = / 0 locks held, 0 waiting/;
const NOTHING_LEFT = / 0 connections, 0 namespaces, 0 sessions, 0 locks held, 0 waiting/;

/** Milliseconds after which a server that starts is killed at the latest, if it is. */
const START_MS = 400;

export class ChaosServer {
  readonly #t: TestContext;
  readonly #args: readonly string[];
  readonly #imports: readonly string[];
  readonly #dataDir: string | undefined;
  #program: Program;
  kills = 0;
  /** Locks recovered by all starts. */
  recovered = 0;

  private constructor(
    t: TestContext,
    port: number,
    imports: readonly string[],
    dataDir: string | undefined,
  ) {
    this.#t = t;
    this.#imports = imports;
    this.#dataDir = dataDir;
    this.#args = [
      ...['--port', String(port), '--stats-interval', '1', '--default-abandon-timeout', '1000'],
      ...(dataDir === undefined ? [] : ['--data-dir', dataDir]),
    ];
    this.#program = this.#begin();
  }

  /**
   * @param imports modules that its process loads before the program
   * @param dataDir undefined to keep locks in memory
   */
  static async start(
    t: TestContext,
    imports: readonly string[],
    dataDir: string | undefined,
  ): Promise<{ server: ChaosServer; port: number }> {
    const chosen = dataDir === undefined ? 0 : await ownPort();
    const server = new ChaosServer(t, chosen, imports, dataDir);
    return { server, port: await server.#program.port() };
  }

  /** Stops the process for some milliseconds. */
  async pause(ms: number): Promise<void> {
    const { child } = this.#program;
    child.kill('SIGSTOP');
    await delay(ms);
    child.kill('SIGCONT');
  }

  /** Kills the process and starts the next one, which may be killed while it reads its directory. */
  async crash(random: Random): Promise<void> {
    await this.#kill();
    this.#program = this.#begin();
    if (random.oneIn(4)) {
      await delay(random.below(START_MS));
      await this.#kill();
      this.#program = this.#begin();
    }
    await this.#program.port();
    const [, locks] = await this.#program.logged(/recovered \d+ sessions? and (\d+) locks?/);
    this.recovered += Number(locks);
  }

  /** Stops the process as an operator does, and starts the next one; returns the exit code. */
  async restart(): Promise<number | NodeJS.Signals | null> {
    this.#program.child.kill('SIGTERM');
    const code = await this.#program.ended();
    this.#program = this.#begin();
    await this.#program.port();
    return code;
  }

  /** Waits until the server keeps nothing for clients, then stops it; returns its exit code. */
  async stop(): Promise<number | NodeJS.Signals | null> {
    const { child, stdout } = this.#program;
    // With a data directory, sessions that can be resumed outlast the run.
    const gone = this.#dataDir === undefined ? NOTHING_LEFT : NOTHING_HELD;
    await this.#program.logged(gone, stdout.length);
    child.kill('SIGTERM');
    return this.#program.ended();
  }

  #begin(): Program {
    return new Program(this.#t, this.#args, {}, this.#imports);
  }

  async #kill(): Promise<void> {
    const { child } = this.#program;
    if (child.exitCode !== null) throw new Error(`the server ended: ${this.#program.stderr}`);
    this.kills++;
    child.kill('SIGKILL');
    await this.#program.ended();
  }
}
