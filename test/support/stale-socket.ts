import { once } from 'node:events';
import { linkSync } from 'node:fs';
import { createServer } from 'node:net';

/** Leaves a socket at `path` that nobody listens on, as a server does that is killed. */
export async function leaveStaleSocket(path: string): Promise<void> {
  const killed = createServer().listen(`${path}~`);
  await once(killed, 'listening');
  // Node removes the name that it was bound to, and no other.
  linkSync(`${path}~`, path);
  killed.close();
  await once(killed, 'close');
}
