/**
 * A process that listens on the Unix socket named on its command line whenever it is told to, says
 * what came of it, and stops when it is told to.
 */
import { Server } from '../../src/server.ts';

/** What a process is told, and what it answers: `listening`, `stopped`, or the code of an error. */
export type Order = 'listen' | 'stop';

const [path = ''] = process.argv.slice(2);
let server: Server | undefined;

process.on('message', async (order: Order) => {
  if (order === 'stop') {
    await server?.close();
    process.send?.('stopped');
    return;
  }
  server = new Server({ tcp: false, socket: { path } });
  const code = await server.listen().then(
    () => 'listening',
    (error: NodeJS.ErrnoException) => error.code,
  );
  process.send?.(code);
});
process.send?.('ready');
