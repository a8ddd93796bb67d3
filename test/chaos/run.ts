/**
 * A chaos run: the real program behind a bad network, processes of clients that are killed, stopped
 * and continued, and a guard of what the locks protect; afterwards the histories are checked. Or the
 * server has a data directory, and is what is killed.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { nodeArgs } from '../support/compiled.ts';
import { CuttingProxy } from '../support/cutting-proxy.ts';
import { Random } from '../support/random.ts';
import { type CellSettings, ChaosCell } from './cell.ts';
import { check, type Verdict } from './checker.ts';
import type { Orders } from './client-process.ts';
import { Guard } from './guard.ts';
import { type HistoryEvent, now, readHistory } from './history.ts';
import { ChaosServer } from './server.ts';

export interface ChaosOptions {
  readonly seed: number;
  readonly seconds: number;
  /**
   * The server has a data directory, and is killed and started again that many times, whatever
   * `seconds` says. No other fault is done to processes then.
   */
  readonly kills?: number | undefined;
  /** With `kills`: several servers share an etcd, and their owner is killed or partitioned. */
  readonly cell?: CellSettings;
  readonly processes: number;
  /** Clients at a time in each process. */
  readonly places: number;
  /** Milliseconds for open requests at the end. */
  readonly patienceMs: number;
  /** Modules that the server's process loads before the program: planted bugs. */
  readonly imports?: readonly string[];
  /** Only faults of the network and of the server. */
  readonly isCalm?: boolean;
  /** Clients do little but rely on their locks: see `drawCharacter`. */
  readonly isIdle?: boolean;
}

export interface ChaosReport {
  readonly verdict: Verdict;
  readonly guard: Guard;
  readonly clients: number;
  /** The faults done to processes and connections, counted by name. */
  readonly faults: Readonly<Record<string, number>>;
  /** Sessions that clients have resumed. */
  readonly resumes: number;
  readonly server: ChaosServer | ChaosCell;
  /** Undefined unless the server was killed. */
  readonly dataDir: string | undefined;
}

/** Guarded writes between two kills, at most. */
const WORK_BETWEEN_KILLS = 60;

/** Milliseconds for which clients are stopped when an owner is replaced: they lose their sessions. */
const STOPPED_MS = 3000;

interface Crew {
  readonly name: string;
  readonly child: ChildProcess;
  readonly historyPath: string;
  /** Its output: empty unless it failed. */
  output: string;
  isKilled: boolean;
}

class Chaos {
  readonly #options: ChaosOptions;
  readonly #t: TestContext;
  readonly #random: Random;
  readonly #folder: string;
  readonly #crews: Crew[] = [];
  readonly #kills: HistoryEvent[] = [];
  readonly faults: Record<string, number> = {};

  constructor(t: TestContext, options: ChaosOptions) {
    this.#t = t;
    this.#options = options;
    this.#random = new Random(options.seed);
    this.#folder = mkdtempSync(join(tmpdir(), 'locktopus-chaos-'));
    t.after(() => rmSync(this.#folder, { recursive: true }));
  }

  async run(): Promise<ChaosReport> {
    const { seed, processes, patienceMs, places, imports = [], kills, cell } = this.#options;
    const { isIdle = false } = this.#options;
    const isWithoutDirectory = kills === undefined || cell !== undefined;
    const dataDir = isWithoutDirectory ? undefined : join(this.#folder, 'data');
    const { server, port } =
      cell === undefined
        ? await ChaosServer.start(this.#t, imports, dataDir)
        : await ChaosCell.start(this.#t, imports, cell);
    const proxy = new CuttingProxy(new Random(seed), port);
    proxy.maxDelayMs = 5;
    const guard = new Guard();
    const ports = {
      port,
      proxyPort: await proxy.listen(this.#t),
      guardPort: await guard.listen(this.#t),
    };
    const isPatient = kills !== undefined;
    const orders = { ...ports, places, patienceMs, isPatient, isIdle };
    const hire = (): Promise<void> => this.#hire(orders);
    if (server instanceof ChaosCell) server.stopClients = () => this.#stopClients();
    await Promise.all(Array.from({ length: processes }, hire));

    if (kills !== undefined) await this.#kill(server, kills, guard);
    else await this.#disturb(server, hire);
    proxy.isCutting = false;
    await Promise.all(this.#crews.map((crew) => this.#dismiss(crew)));
    if (proxy.cuts > 0) this.faults['connections cut'] = proxy.cuts;

    const histories = this.#crews.map(({ historyPath }) => readHistory(historyPath));
    const events = histories.flat();
    return {
      verdict: check([...histories, this.#kills]),
      guard,
      clients: events.filter(({ e }) => e === 'opened').length,
      faults: this.faults,
      resumes: events.filter((event) => event.e === 'heard' && event.resumed).length,
      server,
      dataDir,
    };
  }

  async #disturb(server: ChaosServer | ChaosCell, hire: () => Promise<void>): Promise<void> {
    const until = now() + this.#options.seconds * 1e9;
    while (now() < until) {
      await delay(100 + this.#random.below(400));
      await this.#fault(server, hire);
    }
  }

  async #kill(server: ChaosServer | ChaosCell, kills: number, guard: Guard): Promise<void> {
    while (server.kills < kills) {
      // Clients work again, as far as the machine lets them.
      const enough = guard.sums.accepted + this.#random.below(WORK_BETWEEN_KILLS);
      const until = now() + 2e9;
      while (guard.sums.accepted < enough && now() < until) await delay(10);
      await delay(this.#random.below(30));
      await server.crash(this.#random);
    }
    if (server instanceof ChaosCell) Object.assign(this.faults, server.faults);
    else this.faults['server killed'] = server.kills;
  }

  async #stopClients(): Promise<void> {
    const { child } = this.#random.pick(this.#crews);
    await delay(this.#random.below(1000));
    child.kill('SIGSTOP');
    await delay(STOPPED_MS);
    child.kill('SIGCONT');
  }

  async #hire(rest: Omit<Orders, 'name' | 'seed' | 'historyPath'>): Promise<void> {
    const name = `p${this.#crews.length}`;
    const historyPath = join(this.#folder, `${name}.jsonl`);
    const seed = this.#options.seed + 1000 * (this.#crews.length + 1);
    const orders: Orders = { ...rest, name, seed, historyPath };
    const args = [...nodeArgs('test/chaos/client-process.ts'), JSON.stringify(orders)];
    // It inherits no pipe of ours: a helper of tsx that outlives its process would keep it open,
    // and with it the process that waits for our end.
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe', 'ipc'] });
    const crew: Crew = { name, child, historyPath, output: '', isKilled: false };
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => (crew.output += text));
    }
    this.#t.after(() => {
      child.kill('SIGKILL');
      child.stdout?.destroy();
      child.stderr?.destroy();
    });
    this.#crews.push(crew);
    await Promise.race([once(child, 'message'), once(child, 'exit')]);
    if (child.exitCode !== null) throw new Error(`client process ${name} failed: ${crew.output}`);
  }

  async #fault(server: ChaosServer | ChaosCell, hire: () => Promise<void>): Promise<void> {
    const alive = this.#crews.filter(({ isKilled }) => !isKilled);
    const crew = this.#random.pick(alive);
    const dice = this.#options.isCalm === true ? 0 : this.#random.below(20);
    if (dice < 5) {
      this.#count('server stopped and woken');
      await server.pause(20 + this.#random.below(300));
    } else if (dice < 18) {
      // Longer than some abandon timeouts and heartbeats, shorter than others.
      this.#count('clients stopped and woken');
      crew.child.kill('SIGSTOP');
      await delay(50 + this.#random.below(2000));
      crew.child.kill('SIGCONT');
    } else {
      this.#count('clients killed');
      crew.isKilled = true;
      crew.child.kill('SIGKILL');
      this.#kills.push({ t: now(), e: 'killed', process: crew.name });
      await hire();
    }
  }

  /** Lets open requests end. A process that ends by an error of its own fails the run. */
  async #dismiss(crew: Crew): Promise<void> {
    const { child, isKilled, name } = crew;
    if (isKilled) return;
    if (child.exitCode === null) {
      child.send('finish');
      await once(child, 'exit');
    }
    if (child.exitCode !== 0) throw new Error(`client process ${name} failed: ${crew.output}`);
  }

  #count(fault: string): void {
    this.faults[fault] = (this.faults[fault] ?? 0) + 1;
  }
}

export function runChaos(t: TestContext, options: ChaosOptions): Promise<ChaosReport> {
  return new Chaos(t, options).run();
}
