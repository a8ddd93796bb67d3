/**
 * Several servers that share an etcd, in place of the one of a chaos run. Clients know one port,
 * behind which a front leads each new connection to the server that says it is ready. Connections
 * stay with the server that they were led to, also if another one serves by then.
 */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Etcd } from '../support/etcd.ts';
import { ask } from '../support/http-client.ts';
import { Program } from '../support/program.ts';
import type { Random } from '../support/random.ts';

const TTL_S = 2;
const SERVERS = 2;
const NOTHING_HELD = / 0 locks held, 0 waiting/;
const LOOK_MS = 30;
const ANSWER_MS = 500;

interface Member {
  readonly program: Program;
  readonly port: number;
  isPaused: boolean;
}

export class ChaosCell {
  readonly #t: TestContext;
  readonly #args: readonly string[];
  readonly #imports: readonly string[];
  readonly #etcd: Etcd;
  #members: Member[] = [];
  /** Where new connections go. */
  #owner: Member | undefined;
  #isWatching = true;
  readonly #sockets = new Set<Socket>();
  /** What was done to owners, counted by name. */
  readonly faults: Record<string, number> = {};
  kills = 0;
  readonly #programs: Program[] = [];

  private constructor(t: TestContext, etcd: Etcd, imports: readonly string[]) {
    this.#t = t;
    this.#etcd = etcd;
    this.#imports = imports;
    this.#args = [
      ...['--port', '0', '--stats-interval', '1', '--default-abandon-timeout', '1000'],
      ...['--etcd', etcd.urls.map(({ origin }) => origin).join(','), '--lease-ttl', `${TTL_S}`],
    ];
  }

  static async start(
    t: TestContext,
    imports: readonly string[],
    members: 1 | 3 = 1,
  ): Promise<{ server: ChaosCell; port: number }> {
    const cell = new ChaosCell(t, await Etcd.start(t, { members }), imports);
    for (let i = 0; i < SERVERS; i++) await cell.#begin();
    void cell.#watch();
    await cell.#untilServed();
    const front = createServer((socket) => cell.#lead(socket)).listen(0, '127.0.0.1');
    await once(front, 'listening');
    t.after(() => {
      cell.#isWatching = false;
      front.close();
      for (const socket of cell.#sockets) socket.destroy();
    });
    return { server: cell, port: (front.address() as AddressInfo).port };
  }

  /** Locks recovered by all owners. */
  get recovered(): number {
    const logs = this.#programs.flatMap(({ stdout }) => [
      ...stdout.matchAll(/recovered \d+ sessions? and (\d+) locks?/g),
    ]);
    return logs.reduce((sum, [, locks]) => sum + Number(locks), 0);
  }

  async pause(ms: number): Promise<void> {
    const child = this.#owner?.program.child;
    child?.kill('SIGSTOP');
    await delay(ms);
    child?.kill('SIGCONT');
  }

  /** Does something to the owner after which another server serves. */
  async crash(random: Random): Promise<void> {
    const owner = await this.#untilServed();
    this.kills++;
    const what = random.pick([
      'killed',
      'told to stop',
      'stopped past its lease and woken',
    ] as const);
    const isEtcdToo = this.#etcd.children.length > 1 && random.oneIn(3);
    this.faults[what] = (this.faults[what] ?? 0) + 1;
    if (isEtcdToo) await this.#killLeader();
    if (what === 'stopped past its lease and woken') {
      owner.program.child.kill('SIGSTOP');
      owner.isPaused = true;
      await this.#untilServed();
      await delay(random.below(500));
      owner.program.child.kill('SIGCONT');
      owner.isPaused = false;
      return;
    }
    owner.program.child.kill(what === 'killed' ? 'SIGKILL' : 'SIGTERM');
    this.#members = this.#members.filter((member) => member !== owner);
    const begun = this.#begin();
    await owner.program.ended();
    await begun;
    await this.#untilServed();
  }

  /** Waits until no lock is left, then stops all servers; returns the exit code of the owner. */
  async stop(): Promise<number | NodeJS.Signals | null> {
    const { program } = await this.#untilServed();
    await program.logged(NOTHING_HELD, program.stdout.length);
    this.#isWatching = false;
    for (const member of this.#members) member.program.child.kill('SIGTERM');
    for (const member of this.#members) await member.program.ended();
    return program.ended();
  }

  async #killLeader(): Promise<void> {
    this.faults['leader of etcd killed'] = (this.faults['leader of etcd killed'] ?? 0) + 1;
    const leader = await this.#etcd.leader(this.#t);
    await this.#etcd.kill(leader);
    setTimeout(() => this.#etcd.startMember(leader), 1000);
  }

  async #begin(): Promise<void> {
    const program = new Program(this.#t, this.#args, {}, this.#imports);
    this.#programs.push(program);
    this.#members.push({ program, port: await program.port(), isPaused: false });
  }

  async #watch(): Promise<void> {
    while (this.#isWatching) {
      for (const member of this.#members) {
        if (member.isPaused) continue;
        const answer = ask(member.port, '/readyz').catch(() => undefined);
        // It may be stopped meanwhile.
        const ready = await Promise.race([answer, delay(ANSWER_MS)]);
        if (ready?.status === 200) this.#owner = member;
        else if (this.#owner === member) this.#owner = undefined;
      }
      if (this.#owner !== undefined && !this.#members.includes(this.#owner))
        this.#owner = undefined;
      if (this.#owner?.isPaused) this.#owner = undefined;
      await delay(LOOK_MS);
    }
  }

  async #untilServed(): Promise<Member> {
    for (;;) {
      const owner = this.#owner;
      if (owner !== undefined && !owner.isPaused && this.#members.includes(owner)) return owner;
      await delay(LOOK_MS);
    }
  }

  #lead(socket: Socket): void {
    const owner = this.#owner;
    if (owner === undefined) {
      socket.destroy();
      return;
    }
    const to = connect({ port: owner.port, host: '127.0.0.1', noDelay: true });
    for (const [one, other] of [
      [socket, to],
      [to, socket],
    ] as const) {
      this.#sockets.add(one);
      one.setNoDelay(true);
      one.on('error', () => {});
      one.on('close', () => {
        this.#sockets.delete(one);
        other.destroy();
      });
      one.pipe(other);
    }
  }
}
