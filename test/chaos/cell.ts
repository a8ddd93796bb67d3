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
import { ETCD_HOST, type Site } from './namespaces.ts';

const TTL_S = 2;
/** Servers that are in no namespace of their own. */
const SERVERS = 2;
const NOTHING_HELD = / 0 locks held, 0 waiting/;
const LOOK_MS = 30;
const ANSWER_MS = 500;

interface Member {
  readonly program: Program;
  readonly port: number;
  readonly site: Site | undefined;
  isPaused: boolean;
}

export interface CellSettings {
  /** Of etcd. */
  readonly members?: 1 | 3;
  /** Where its servers are, which are then partitioned instead of killed. */
  readonly sites?: readonly Site[];
}

/** What an owner is cut off from, and whether for longer than its lease lasts. */
const PARTITIONS = (['etcd', 'clients', 'both'] as const).flatMap((from) => [
  { from, isLong: true },
  { from, isLong: false },
]);

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
    { members = 1, sites }: CellSettings,
  ): Promise<{ server: ChaosCell; port: number }> {
    const host = sites === undefined ? {} : { host: ETCD_HOST };
    const cell = new ChaosCell(t, await Etcd.start(t, { members, ...host }), imports);
    for (const site of sites ?? Array.from({ length: SERVERS }, () => undefined)) {
      await cell.#begin(site);
    }
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
    if (owner.site !== undefined) {
      await this.#partition(owner.site, random);
      return;
    }
    const what = random.pick([
      'killed',
      'told to stop',
      'stopped past its lease and woken',
    ] as const);
    const isEtcdToo = this.#etcd.children.length > 1 && random.oneIn(3);
    this.faults[what] = (this.faults[what] ?? 0) + 1;
    if (isEtcdToo) await this.#troubleLeader(random);
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
    const begun = this.#begin(undefined);
    await owner.program.ended();
    await begun;
    await this.#untilServed();
  }

  async #partition(site: Site, random: Random): Promise<void> {
    const { from, isLong } = PARTITIONS[(this.kills - 1) % PARTITIONS.length] ?? fail();
    const what = `cut off from ${from}, ${isLong ? 'long' : 'shortly'}`;
    this.faults[what] = (this.faults[what] ?? 0) + 1;
    if (from !== 'clients') site.cut('etcd');
    if (from !== 'etcd') site.cut('clients');
    if (!isLong) await delay(TTL_S * 500);
    else if (from === 'clients') await delay(TTL_S * 1500);
    else {
      await this.#untilServed(site);
      await delay(random.below(500));
    }
    site.heal();
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

  /** For about as long as etcd takes to elect another one. */
  async #troubleLeader(random: Random): Promise<void> {
    const what = random.pick(['killed', 'stopped'] as const);
    const fault = `leader of etcd ${what}`;
    this.faults[fault] = (this.faults[fault] ?? 0) + 1;
    const leader = await this.#leader();
    const child = this.#etcd.children[leader];
    if (what === 'killed') await this.#etcd.kill(leader);
    else child?.kill('SIGSTOP');
    const back = (): void => {
      if (what === 'killed') this.#etcd.startMember(leader);
      else child?.kill('SIGCONT');
    };
    const timer = setTimeout(back, 500 + random.below(2000));
    this.#t.after(() => clearTimeout(timer));
  }

  /** The index of etcd's leader, once there is one. */
  async #leader(): Promise<number> {
    for (;;) {
      const leader = await this.#etcd.leader(this.#t).catch(() => undefined);
      if (leader !== undefined) return leader;
      await delay(LOOK_MS);
    }
  }

  async #begin(site: Site | undefined): Promise<void> {
    const args = site === undefined ? this.#args : [...this.#args, '--host', site.host];
    const shell = site === undefined ? {} : { shell: site.shell };
    const program = new Program(this.#t, args, {}, this.#imports, shell);
    this.#programs.push(program);
    this.#members.push({ program, port: await program.port(), site, isPaused: false });
  }

  async #watch(): Promise<void> {
    while (this.#isWatching) {
      for (const member of this.#members) {
        if (member.isPaused) continue;
        const host = member.site?.host ?? '127.0.0.1';
        const answer = ask(member.port, '/readyz', { host }).catch(() => undefined);
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

  /** @param besides where it must not be */
  async #untilServed(besides?: Site): Promise<Member> {
    for (;;) {
      const owner = this.#owner;
      const isThere = owner !== undefined && !owner.isPaused && this.#members.includes(owner);
      if (isThere && (besides === undefined || owner.site !== besides)) return owner;
      await delay(LOOK_MS);
    }
  }

  #lead(socket: Socket): void {
    const owner = this.#owner;
    if (owner === undefined) {
      socket.destroy();
      return;
    }
    const host = owner.site?.host ?? '127.0.0.1';
    const to = connect({ port: owner.port, host, noDelay: true });
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

function fail(): never {
  throw new Error('there is nothing to do to the owner');
}
