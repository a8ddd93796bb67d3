/** Ports for what must know its port before it listens, or listens on the same one again later. */
import { once } from 'node:events';
import { createServer } from 'node:net';
import { Random } from './random.ts';

const FIRST = 20_000;
const COUNT = 10_000;

/** Nothing listens on them, and nothing that a test starts ever does. */
export const CLOSED_PORTS = [1, 2] as const;

const random = new Random(process.pid ^ Date.now());
const given = new Set<number>();

/**
 * A port on which nothing listens, below those that the system hands out (32,768 and up on Linux).
 * One of these may be given to another process while nothing listens on it, or to a client that
 * connects to it, for its own end: then that meets itself.
 */
export async function ownPort(): Promise<number> {
  for (;;) {
    const port = FIRST + random.below(COUNT);
    if (given.has(port)) continue;
    given.add(port);
    const listener = createServer();
    const isFree = await new Promise<boolean>((resolve) => {
      listener.on('error', () => resolve(false));
      listener.listen(port, '127.0.0.1', () => resolve(true));
    });
    if (!isFree) continue;
    listener.close();
    await once(listener, 'close');
    return port;
  }
}
