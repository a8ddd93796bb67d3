/**
 * A process that, on request of its parent, listens on the Unix socket of its command line, reports
 * the result, and stops listening.
 */
import { Server } from '../../src/server.ts';

/** The parent's requests and the replies: `listening`, `stopped`, or the code of an error. */
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
