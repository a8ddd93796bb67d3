/** Embeds a server, makes it listen, and prints the result. */
import { Server } from '../../src/index.ts';

const path = process.argv[2];
const server = new Server({
  port: 0,
  ...(path === undefined ? {} : { tcp: false, socket: { path } }),
});
try {
  await server.listen();
  process.stdout.write(`listening, pid ${process.pid}\n`);
  await server.close();
} catch (error) {
  process.stdout.write(`${error}\n`);
}
process.disconnect?.();
