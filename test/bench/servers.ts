/** The servers that are measured, each a program of its own: ours, the floors and the peers. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { beside, Child } from './child.ts';
import { INSTALL_PEERS, liveMutex } from './live-mutex.ts';
import type { ProbeQuestion } from './probe.ts';

/** See floor-lines.ts. */
export type FloorMode = 'parsing' | 'plain' | 'twin';

export type ServerSpec =
  | {
      readonly kind: 'ours';
      readonly program: string;
      readonly args?: readonly string[];
      /** With a data directory. */
      readonly isStored?: boolean;
      /** With an etcd of one member, on the same machine. */
      readonly isInEtcd?: boolean;
    }
  | { readonly kind: 'floor'; readonly mode: FloorMode; readonly reply: string }
  | { readonly kind: 'echo'; readonly mode: 'ws' | 'twin' }
  | {
      readonly kind: 'redis';
      /** With `appendfsync always`. */
      readonly isStored?: boolean;
    }
  | { readonly kind: 'live-mutex' };

export interface RunningServer {
  readonly port: number;
  readonly pid: number;
  /** Milliseconds of the recovery from the data directory. */
  readonly recoveredMs: number;
  /** Asks the probe, if it was started with one. */
  ask(question: ProbeQuestion): Promise<unknown>;
  stop(): Promise<void>;
}

const ALWAYS = ['--appendonly', 'yes', '--appendfsync', 'always'];
const NEVER = ['--appendonly', 'no'];

/** A new directory on the disk that the bench is on. */
export function newDirectory(): string {
  return mkdtempSync(fileURLToPath(new URL('./stored-', import.meta.url)));
}

/**
 * @param hasProbe whether it can be asked for its memory and for a profile; Node programs only
 * @param dataDir of a server that is stored: one that remains. By default a new one, removed when the
 *   server is stopped
 */
export async function startServer(
  spec: ServerSpec,
  hasProbe = false,
  dataDir?: string,
): Promise<RunningServer> {
  const flags = hasProbe ? ['--import', pathToFileURL(beside('probe')).href] : [];
  const isOwnPort = spec.kind === 'redis' || spec.kind === 'live-mutex';
  const chosen = isOwnPort ? await freePort() : 0;
  const isStored = 'isStored' in spec && spec.isStored === true;
  const ownDir = isStored && dataDir === undefined ? newDirectory() : undefined;
  const isInEtcd = 'isInEtcd' in spec && spec.isInEtcd === true;
  const etcd = isInEtcd ? await startEtcd() : undefined;
  const command = [...commandOf(spec, flags, chosen, dataDir ?? ownDir), ...(etcd?.args ?? [])];
  const child = new Child('server', command);
  const ready = readyLine(spec.kind, isStored || isInEtcd);
  const [, port, recoveredMs] = await child.printed(ready);
  return {
    port: Number(port ?? chosen),
    pid: child.pid,
    recoveredMs: Number(recoveredMs),
    ask: (ask) => child.ask({ ask }),
    async stop() {
      await child.stop();
      await etcd?.stop();
      if (ownDir !== undefined) rmSync(ownDir, { recursive: true });
    },
  };
}

/** An etcd of one member with a new directory, and what a server needs to use it. */
async function startEtcd(): Promise<{ args: readonly string[]; stop(): Promise<void> }> {
  const directory = newDirectory();
  const [client, peer] = [await freePort(), await freePort()].map(
    (port) => `http://127.0.0.1:${port}`,
  );
  const child = new Child('engine', [
    ...['etcd', '--data-dir', directory, '--log-level', 'info', '--logger', 'zap'],
    ...['--listen-client-urls', `${client}`, '--advertise-client-urls', `${client}`],
    ...['--listen-peer-urls', `${peer}`, '--initial-advertise-peer-urls', `${peer}`],
    ...['--initial-cluster', `default=${peer}`],
    ...['--auto-compaction-mode', 'revision', '--auto-compaction-retention', '10000'],
  ]);
  await child.printed(/serving client|serving insecure client/);
  return {
    args: ['--etcd', `${client}`],
    async stop() {
      await child.stop();
      rmSync(directory, { recursive: true });
    },
  };
}

function readyLine(kind: ServerSpec['kind'], isStored: boolean): RegExp {
  if (kind === 'redis') return /Ready to accept connections/;
  if (!isStored) return /listens on \S+:(\d+) /;
  return /listens on \S+:(\d+) [\s\S]*recovered .* in (\d+) ms/;
}

function commandOf(
  spec: ServerSpec,
  flags: readonly string[],
  port: number,
  directory: string | undefined,
): string[] {
  const node = [process.execPath, ...flags];
  switch (spec.kind) {
    case 'ours':
      return [
        ...[...node, spec.program, '--port', '0', ...(spec.args ?? [])],
        ...(directory === undefined ? [] : ['--data-dir', directory]),
      ];
    case 'floor':
      return [...node, beside('floor-lines'), spec.mode, spec.reply];
    case 'echo':
      return [...node, beside('floor-websocket'), spec.mode];
    case 'redis':
      return [
        ...['redis-server', '--port', `${port}`, '--save', ''],
        ...(directory === undefined ? NEVER : [...ALWAYS, '--dir', directory]),
      ];
    case 'live-mutex':
      return [...node, beside('live-mutex'), `${port}`];
  }
}

/** Why a peer can't take part, and what to do about it. */
export async function missing(spec: ServerSpec): Promise<string | undefined> {
  const { kind } = spec;
  if ('isInEtcd' in spec && spec.isInEtcd && spawnSync('etcd', ['--version']).status !== 0) {
    return 'etcd is not installed: apt-get install etcd-server';
  }
  if (kind === 'redis' && spawnSync('redis-server', ['--version']).status !== 0) {
    return 'Redis is not installed: apt-get install redis-server';
  }
  if (kind === 'live-mutex' && (await liveMutex()) === undefined) {
    return `live-mutex is not installed: ${INSTALL_PEERS}`;
  }
  return undefined;
}

/** A port that nobody listens on; below those that the system hands out, as live-mutex wants it. */
async function freePort(): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 10_000);
    const server = createServer();
    const isFree = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => resolve(true));
    });
    if (!isFree) continue;
    const { port: taken } = server.address() as AddressInfo;
    await new Promise((resolve) => server.close(resolve));
    return taken;
  }
}
