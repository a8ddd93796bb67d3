/** The servers that are measured, each a program of its own: ours, the floors and the peers. */
import { spawnSync } from 'node:child_process';
import { type AddressInfo, createServer } from 'node:net';
import { pathToFileURL } from 'node:url';
import { beside, Child } from './child.ts';
import { INSTALL_PEERS, liveMutex } from './live-mutex.ts';
import type { ProbeQuestion } from './probe.ts';

export type ServerSpec =
  | { readonly kind: 'ours'; readonly program: string; readonly args?: readonly string[] }
  | { readonly kind: 'floor'; readonly parses: boolean; readonly reply: string }
  | { readonly kind: 'echo' }
  | { readonly kind: 'redis' }
  | { readonly kind: 'live-mutex' };

export interface RunningServer {
  readonly port: number;
  readonly pid: number;
  /** Asks the probe, if it was started with one. */
  ask(question: ProbeQuestion): Promise<unknown>;
  stop(): Promise<void>;
}

/** @param hasProbe whether it can be asked for its memory and for a profile; Node programs only */
export async function startServer(spec: ServerSpec, hasProbe = false): Promise<RunningServer> {
  const flags = hasProbe ? ['--import', pathToFileURL(beside('probe')).href] : [];
  const isOwnPort = spec.kind === 'redis' || spec.kind === 'live-mutex';
  const chosen = isOwnPort ? await freePort() : 0;
  const child = new Child('server', commandOf(spec, flags, chosen));
  const [, port] = await child.printed(
    spec.kind === 'redis' ? /Ready to accept connections/ : /listens on \S+:(\d+) /,
  );
  return {
    port: Number(port ?? chosen),
    pid: child.pid,
    ask: (ask) => child.ask({ ask }),
    stop: () => child.stop(),
  };
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
