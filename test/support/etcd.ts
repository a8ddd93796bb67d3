/** A real etcd for tests, where it is installed; in CI it must be. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { EtcdGateway, type EtcdOptions } from '../../src/store/etcd-gateway.ts';
import { type Certificate, type Scope, temporaryFolder } from './certificates.ts';
import { ownPort } from './ports.ts';

/** Why tests with etcd are skipped; false if they are not. */
export const etcdIsMissing: string | false =
  process.env.CI === undefined &&
  spawnSync('etcd', ['--version']).status !== 0 &&
  'etcd is not installed (Debian: etcd-server)';

/** For tests that are not about members that fail: the machine may be busy. */
export const PATIENT = { tryMs: 20_000 };

export interface EtcdSettings {
  readonly members?: 1 | 3;
  /** The address on which it serves clients. By default 127.0.0.1. */
  readonly host?: string;
  /** Serves TLS, and wants that certificate of clients. */
  readonly tls?: { readonly server: Certificate; readonly client: Certificate };
  readonly args?: readonly string[];
}

export class Etcd {
  readonly urls: readonly URL[];
  readonly #commands: readonly (readonly string[])[];
  readonly children: ChildProcess[] = [];

  private constructor(urls: readonly URL[], commands: readonly (readonly string[])[]) {
    this.urls = urls;
    this.#commands = commands;
  }

  /** Starts one or three members, which end with the test, and waits until they answer. */
  static async start(t: Scope, settings: EtcdSettings = {}): Promise<Etcd> {
    const { members = 1, host = '127.0.0.1', tls, args = [] } = settings;
    const folder = temporaryFolder(t);
    const names = ['a', 'b', 'c'].slice(0, members);
    const peers: string[] = [];
    const urls: URL[] = [];
    for (const _ of names) {
      const scheme = tls === undefined ? 'http' : 'https';
      urls.push(new URL(`${scheme}://${host}:${await ownPort()}`));
      peers.push(`http://127.0.0.1:${await ownPort()}`);
    }
    const cluster = names.map((name, i) => `${name}=${peers[i]}`).join(',');
    const certificates: string[] = [];
    if (tls !== undefined) {
      const { server, client } = tls;
      // The gateway is a client of etcd itself, with the certificate of the server.
      const trusted = join(folder, 'trusted.crt');
      writeFileSync(trusted, Buffer.concat([client.cert, server.cert]));
      certificates.push('--cert-file', server.certFile, '--key-file', server.keyFile);
      certificates.push('--client-cert-auth', '--trusted-ca-file', trusted);
    }
    const commands = names.map((name, i) => [
      ...['--name', name, '--data-dir', join(folder, name), '--log-level', 'error'],
      ...['--listen-client-urls', `${urls[i]?.origin}`],
      ...['--advertise-client-urls', `${urls[i]?.origin}`],
      ...['--listen-peer-urls', `${peers[i]}`, '--initial-advertise-peer-urls', `${peers[i]}`],
      ...['--initial-cluster', cluster, '--auto-compaction-retention', '1000'],
      ...['--auto-compaction-mode', 'revision', ...certificates, ...args],
    ]);
    const etcd = new Etcd(urls, commands);
    for (const index of commands.keys()) etcd.startMember(index);
    t.after(async () => {
      for (const child of etcd.children) await end(child);
    });
    const pem = tls && {
      ca: tls.server.cert.toString(),
      cert: tls.client.cert.toString(),
      key: tls.client.key.toString(),
    };
    await etcd.gateway(t, pem);
    return etcd;
  }

  /** Starts a member, again if it was killed. */
  startMember(index: number): void {
    this.children[index] = spawn('etcd', [...(this.#commands[index] ?? [])], { stdio: 'ignore' });
  }

  /** Kills a member and waits until it is gone. */
  async kill(index: number): Promise<void> {
    const child = this.children[index];
    if (child !== undefined) await end(child);
  }

  /** A gateway that is closed when the test ends, once etcd answers. */
  async gateway(t: Scope, options: Partial<EtcdOptions> = {}): Promise<EtcdGateway> {
    const gateway = new EtcdGateway({ members: this.urls, ...PATIENT, ...options });
    t.after(() => gateway.close());
    for (;;) {
      try {
        await gateway.call('/v3/kv/range', { key: 'AA==' });
        return gateway;
      } catch (error) {
        if (!(error instanceof Error && /does not answer/.test(error.message))) return gateway;
      }
      if (this.children.every(hasEnded)) throw new Error('etcd has ended');
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** The index of the member that leads now; on a busy machine there may be none for a while. */
  async leader(t: Scope): Promise<number> {
    const gateways = this.urls.map((url) => new EtcdGateway({ members: [url], tryMs: 1000 }));
    t.after(() => gateways.forEach((gateway) => void gateway.close()));
    for (;;) {
      for (const [index, gateway] of gateways.entries()) {
        const status = await gateway.call('/v3/maintenance/status', {}).catch(() => undefined);
        const header = status?.header;
        if (typeof header !== 'object' || header === null || !('member_id' in header)) continue;
        if (header.member_id === status?.leader) return index;
      }
    }
  }
}

function hasEnded({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null;
}

async function end(child: ChildProcess): Promise<void> {
  if (hasEnded(child)) return;
  child.kill('SIGKILL');
  await once(child, 'exit');
}
