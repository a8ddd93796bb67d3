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

/** The counts of a server that everybody has left and where nothing was forgotten. */
export const NOTHING_LEFT: ServerCounts = {
  connections: 0,
  namespaces: 0,
  sessions: 0,
  acquired: 0,
  enqueued: 0,
};

/** Waits, one turn of the event loop at a time, until the server in this process has got there. */
export async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await new Promise((resolve) => setImmediate(resolve));
}
