/** Clients for tests: of a real server over real sockets, by a clock that the test drives if it wants. */
import { spawn } from 'node:child_process';
import type { TestContext } from 'node:test';
import { pathToFileURL } from 'node:url';
import { type Client, connectClient } from '../../src/client/client.ts';
import type { ClientClock, Environment } from '../../src/client/environment.ts';
import { type ConnectOptions, connect } from '../../src/client/index.ts';
import { SocketTransport } from '../../src/client/transport-socket.ts';
import { parseUrl } from '../../src/client/url.ts';
import { LOADER, moduleFile } from '../support/compiled.ts';
import { FakeClock } from '../support/fake-clock.ts';

/** A client's clocks, both driven; each can be set. */
export class ClientFakeClock extends FakeClock implements ClientClock {
  /** How far the wall clock was set forward. */
  aheadMs = 0;
  /** How far the monotonic clock has jumped forward. */
  jumpedMs = 0;

  override now(): number {
    return super.now() + this.jumpedMs;
  }

  wallNow(): number {
    return super.now() + this.aheadMs;
  }
}

/** A client that is closed when the test ends. */
export async function connected(
  t: TestContext,
  url: string,
  options: ConnectOptions = {},
): Promise<Client> {
  const client = await connect(url, options);
  t.after(() => client.close());
  return client;
}

/** The same by a clock that the test drives, over a real socket. */
export async function connectedBy(
  t: TestContext,
  clock: ClientClock,
  url: string,
  options: ConnectOptions = {},
): Promise<Client> {
  const client = await connectClient(environmentBy(clock), parseUrl(url), options);
  t.after(() => client.close());
  return client;
}

export function environmentBy(clock: ClientClock): Environment {
  return {
    clock,
    random: () => 0,
    open: (address, _token, events) => {
      if (address.kind === 'websocket') throw new TypeError('sockets only');
      return new SocketTransport(address, undefined, events);
    },
    keepAlive: () => {},
    report: (error) => {
      throw error;
    },
    context: undefined,
  };
}

/** The next event of that name. */
export function next<Name extends Parameters<Client['on']>[0]>(
  client: Client,
  name: Name,
): Promise<void> {
  return new Promise((resolve) => {
    const handler = (): void => {
      client.off(name, handler);
      resolve();
    };
    client.on(name, handler);
  });
}

/** The reason with which a signal aborts. */
export function aborted(signal: AbortSignal): Promise<unknown> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(signal.reason);
    else signal.addEventListener('abort', () => resolve(signal.reason), { once: true });
  });
}

/** Runs a program that uses the library, until the test ends. */
export function runProgram(t: TestContext, program: string) {
  const library = pathToFileURL(moduleFile('src/client/index.ts')).href;
  const text = `import { connect, write } from '${library}'; ${program}`;
  const args = [...LOADER, '--input-type=module', '--eval', text];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  return child;
}
