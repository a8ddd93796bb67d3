import type { TestContext } from 'node:test';
import { Server, type ServerCounts } from '../../src/server.ts';
import type { ServerOptions } from '../../src/server-options.ts';

/** A server on a free port of the loopback address, closed when the test ends. */
export async function startServer(t: TestContext, options: ServerOptions = {}): Promise<Server> {
  const server = new Server({ port: 0, ...options });
  await server.listen();
  t.after(() => server.close());
  return server;
}

/** The counts of a server that all clients have left, and that keeps nothing for them. */
export const NOTHING_LEFT: ServerCounts = {
  connections: 0,
  namespaces: 0,
  sessions: 0,
  acquired: 0,
  enqueued: 0,
};

/** Waits, turn by turn of the event loop, until the server in this process fulfils a condition. */
export async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await new Promise((resolve) => setImmediate(resolve));
}
