/** The servers that are measured, each a program of its own: ours, the floors and the peers. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { beside, Child } from './child.ts';
import { INSTALL_LIVE_MUTEX, liveMutex } from './live-mutex.ts';

export type ServerSpec =
  | { readonly kind: 'ours'; readonly program: string; readonly args?: readonly string[] }
  | { readonly kind: 'floor'; readonly parses: boolean; readonly reply: string }
  | { readonly kind: 'echo' }
  | { readonly kind: 'redis' }
  | { readonly kind: 'live-mutex' };

export interface StartOptions {
  /** Lets it tell its memory over IPC. */
  readonly probe?: boolean;
  /** Takes a CPU profile, to be read when it has stopped. */
  readonly profile?: boolean;
}

export interface RunningServer {
  readonly child: Child;
  readonly port: number;
  /** Ends it; resolves with the CPU profile, if one was to be taken. */
  stop(): Promise<string | undefined>;
}

export async function startServer(
  spec: ServerSpec,
  options: StartOptions = {},
): Promise<RunningServer> {
  const folder = mkdtempSync(join(tmpdir(), 'locktopus-bench-'));
  const flags = [
    ...(options.probe ? ['--import', pathToFileURL(beside('memory-probe')).href] : []),
    ...(options.profile ? ['--cpu-prof', '--cpu-prof-dir', folder] : []),
  ];
  const isOwnPort = spec.kind === 'redis' || spec.kind === 'live-mutex';
  const chosen = isOwnPort ? await freePort() : 0;
  const child = new Child('server', commandOf(spec, flags, chosen));
  try {
    const [, port] = await child.printed(
      spec.kind === 'redis' ? /Ready to accept connections/ : /listens on \S+:(\d+) /,
    );
    return { child, port: Number(port ?? chosen), stop: () => stop(child, folder, options) };
  } catch (error) {
    rmSync(folder, { recursive: true });
    throw error;
  }
}

async function stop(
  child: Child,
  folder: string,
  { profile = false }: StartOptions,
): Promise<string | undefined> {
  try {
    // The profile is written at the end of a program that ends by itself.
    await child.stop(profile ? 'SIGTERM' : 'SIGKILL');
    const [file] = readdirSync(folder);
    return file === undefined ? undefined : readFileSync(join(folder, file), 'utf8');
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function commandOf(spec: ServerSpec, flags: readonly string[], port: number): string[] {
  const node = [process.execPath, ...flags];
  switch (spec.kind) {
    case 'ours':
      return [...node, spec.program, '--port', '0', ...(spec.args ?? [])];
    case 'floor':
      return [...node, beside('floor-lines'), spec.parses ? 'parse' : 'plain', spec.reply];
    case 'echo':
      return [...node, beside('floor-websocket')];
    case 'redis':
      return ['redis-server', '--port', `${port}`, '--save', '', '--appendonly', 'no'];
    case 'live-mutex':
      return [...node, beside('live-mutex'), `${port}`];
  }
}

/** Why a peer can't take part, and what to do about it. */
export async function missing({ kind }: ServerSpec): Promise<string | undefined> {
  if (kind === 'redis' && spawnSync('redis-server', ['--version']).status !== 0) {
    return 'Redis is not installed: apt-get install redis-server';
  }
  if (kind === 'live-mutex' && (await liveMutex()) === undefined) {
    return `live-mutex is not installed: ${INSTALL_LIVE_MUTEX}`;
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
