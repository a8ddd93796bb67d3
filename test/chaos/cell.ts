/**
 * Several servers that share an etcd, in place of the one of a chaos run. Clients know one port,
 * behind which a front leads each new connection to the server that says it is ready.
 */
import type { TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { base64 } from '../../src/store/etcd-json.ts';
import { ownerKey } from '../../src/store/etcd-store.ts';
import { CuttingProxy } from '../support/cutting-proxy.ts';
import { Etcd } from '../support/etcd.ts';
import { ask } from '../support/http-client.ts';
import { Program } from '../support/program.ts';
import { Random } from '../support/random.ts';
import { Front, type Target } from './front.ts';
import { ETCD_HOST, type Site } from './namespaces.ts';

const TTL_S = 2;
/** Servers that are in no namespace of their own. */
const SERVERS = 2;
const NOTHING_HELD = / 0 locks held, 0 waiting/;
const LOOK_MS = 30;
const ANSWER_MS = 500;
/** Of the keys in etcd. */
const PREFIX = '/chaos/';
/** For which a server is paused that is to wake far behind the times: see `HardFault`. */
const LONG_PAUSE_MS = 6000;

interface Member extends Target {
  readonly program: Program;
  readonly site: Site | undefined;
  /** Its way to etcd, where it is to be cut. */
  readonly link: CuttingProxy | undefined;
  isPaused: boolean;
}

/**
 * What is done to an owner at the worst moment, in search of a planted bug:
 *  - paused until the sessions that did not move to its successor are abandoned there, and woken;
 *  - cut off from etcd, replaced at once (its key is deleted), and its clients stopped while it may
 *    still speak;
 *  - killed after etcd's leader was stopped and replaced, and that leader woken before the lease ends:
 *    it carries out what it was sent before.
 */
export type HardFault = 'paused for long' | 'replaced while cut off' | 'killed, old leader woken';

export interface CellSettings {
  /** Of etcd. */
  readonly members?: 1 | 3;
  /** Where its servers are, which are then partitioned instead of killed. */
  readonly sites?: readonly Site[];
  /** The only fault that is done to owners. */
  readonly hardFault?: HardFault;
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
  readonly #hardFault: HardFault | undefined;
  #members: Member[] = [];
  /** Where new connections go. */
  #owner: Member | undefined;
  #isWatching = true;
  readonly #front = new Front(() => this.#owner);
  /** What was done to owners, counted by name. */
  readonly faults: Record<string, number> = {};
  kills = 0;
  readonly #programs: Program[] = [];
  /** Stops clients for a while: called when an owner was replaced that may not know it. */
  stopClients: () => Promise<void> = async () => {};

  private constructor(
    t: TestContext,
    etcd: Etcd,
    imports: readonly string[],
    hardFault: HardFault | undefined,
  ) {
    this.#t = t;
    this.#etcd = etcd;
    this.#imports = imports;
    this.#hardFault = hardFault;
    this.#args = [
      ...['--port', '0', '--stats-interval', '1', '--default-abandon-timeout', '1000'],
      ...['--etcd-prefix', PREFIX, '--lease-ttl', `${TTL_S}`],
    ];
  }

  static async start(
    t: TestContext,
    imports: readonly string[],
    { members = 1, sites, hardFault }: CellSettings,
  ): Promise<{ server: ChaosCell; port: number }> {
    const host = sites === undefined ? {} : { host: ETCD_HOST };
    const etcd = await Etcd.start(t, { members, ...host });
    const cell = new ChaosCell(t, etcd, imports, hardFault);
    for (const site of sites ?? Array.from({ length: SERVERS }, () => undefined)) {
      await cell.#begin(site);
    }
    void cell.#watch();
    await cell.#untilServed();
    t.after(() => {
      cell.#isWatching = false;
      cell.#front.close();
    });
    return { server: cell, port: await cell.#front.listen() };
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
    if (this.#hardFault !== undefined) {
      this.faults[this.#hardFault] = this.kills;
      await this.#doHard(owner, this.#hardFault, random);
      return;
    }
    if (owner.site !== undefined) {
      await this.#partition(owner, owner.site, random);
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
    await this.#replace(owner, what === 'killed' ? 'SIGKILL' : 'SIGTERM');
    await this.#untilServed();
  }

  async #replace(owner: Member, signal: NodeJS.Signals): Promise<void> {
    owner.program.child.kill(signal);
    this.#members = this.#members.filter((member) => member !== owner);
    const begun = this.#begin(undefined);
    await owner.program.ended();
    await begun;
  }

  async #doHard(owner: Member, fault: HardFault, random: Random): Promise<void> {
    const { link, program } = owner;
    if (fault === 'paused for long') {
      program.child.kill('SIGSTOP');
      owner.isPaused = true;
      await this.#untilServed(owner);
      // Some clients move to the new owner.
      this.#front.cut(owner, () => random.oneIn(6));
      await delay(LONG_PAUSE_MS);
      program.child.kill('SIGCONT');
      owner.isPaused = false;
    } else if (fault === 'replaced while cut off') {
      if (link !== undefined) link.silenced = 'both';
      const gateway = await this.#etcd.gateway(this.#t);
      await gateway.call('/v3/kv/deleterange', { key: base64(ownerKey(PREFIX)) });
      await this.#untilServed(owner);
      await this.stopClients();
      if (link !== undefined) link.silenced = 'none';
    } else {
      const leader = await this.#leader();
      const child = this.#etcd.children[leader];
      child?.kill('SIGSTOP');
      // Another one leads, and the owner goes on.
      await delay(3000 + random.below(500));
      program.child.kill('SIGKILL');
      child?.kill('SIGCONT');
      await this.#replace(owner, 'SIGKILL');
    }
    await this.#untilServed();
  }

  async #partition(owner: Member, site: Site, random: Random): Promise<void> {
    const { from, isLong } = PARTITIONS[(this.kills - 1) % PARTITIONS.length] ?? fail();
    const what = `cut off from ${from}, ${isLong ? 'long' : 'shortly'}`;
    this.faults[what] = (this.faults[what] ?? 0) + 1;
    if (from !== 'clients') site.cut('etcd');
    if (from !== 'etcd') site.cut('clients');
    if (!isLong) await delay(TTL_S * 500);
    else if (from === 'clients') await delay(TTL_S * 1500);
    else {
      await this.#untilServed(owner);
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
    const link = this.#hardFault === 'replaced while cut off' ? this.#link() : undefined;
    const etcd =
      link === undefined
        ? this.#etcd.urls.map(({ origin }) => origin).join(',')
        : `http://127.0.0.1:${await link.listen(this.#t)}`;
    const host = site?.host ?? '127.0.0.1';
    const args = [...this.#args, '--etcd', etcd, '--host', host];
    const shell = site === undefined ? {} : { shell: site.shell };
    const program = new Program(this.#t, args, {}, this.#imports, shell);
    this.#programs.push(program);
    const port = await program.port();
    this.#members.push({ program, host, port, site, link, isPaused: false });
  }

  #link(): CuttingProxy {
    const link = new CuttingProxy(new Random(0), Number(this.#etcd.urls[0]?.port));
    link.isCutting = false;
    return link;
  }

  async #watch(): Promise<void> {
    while (this.#isWatching) {
      for (const member of this.#members) {
        if (member.isPaused) continue;
        const { host, port } = member;
        const answer = ask(port, '/readyz', { host }).catch(() => undefined);
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

  /** @param besides which it must not be */
  async #untilServed(besides?: Member): Promise<Member> {
    for (;;) {
      const owner = this.#owner;
      const isThere = owner !== undefined && !owner.isPaused && this.#members.includes(owner);
      if (isThere && owner !== besides) return owner;
      for (const { program } of this.#members) {
        if (program.child.exitCode !== null) throw new Error(`a server ended: ${program.stderr}`);
      }
      await delay(LOOK_MS);
    }
  }
}

function fail(): never {
  throw new Error('there is nothing to do to the owner');
}
