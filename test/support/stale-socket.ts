import { once } from 'node:events';
import { linkSync } from 'node:fs';
import { createServer } from 'node:net';

/** Leaves a socket at `path` without a listener, as a killed server does. */
export async function leaveStaleSocket(path: string): Promise<void> {
  const killed = createServer().listen(`${path}~`);
  await once(killed, 'listening');
  // Node removes only the name that the socket was bound to.
  linkSync(`${path}~`, path);
  killed.close();
  await once(killed, 'close');
}
