/** A real server on a fake clock, and clients of the line protocol, for the protocol's tests. */
import type { TestContext } from 'node:test';
import type { ServerOptions } from '../../src/server-options.ts';
import { FakeClock } from './fake-clock.ts';
import { LineClient, type Reply } from './line-client.ts';
import { startServer } from './running-server.ts';
import { Watch } from './watch.ts';

export async function setUp(t: TestContext, options: ServerOptions = {}) {
  const clock = new FakeClock();
  const watch = new Watch();
  const server = await startServer(t, {
    clock,
    lockObserver: watch,
    clientObserver: watch,
    ...options,
  });
  const connect = () => LineClient.connect(t, server.address.port);
  /** A client after its hello, and the name of its session. */
  const greet = async (hello: object = {}) => {
    const client = await connect();
    const { session } = await client.ask({ action: 'hello', ...hello });
    return { client, session: String(session) };
  };
  /** Cuts a connection and waits until the server has noticed. */
  const cut = async (client: LineClient): Promise<void> => {
    const before = watch.count('disconnected');
    client.socket.resetAndDestroy();
    await watch.until('disconnected', before + 1);
  };
  return { clock, server, watch, connect, greet, cut };
}

/** The code of an error reply. */
export function codeOf(reply: Reply): unknown {
  return (reply.error as { code: unknown } | undefined)?.code;
}

/** Waits for all that the server has sent `client` so far; returns the lines not read yet. */
export async function unreadOf(client: LineClient): Promise<Reply[]> {
  const ref = 'everything before this';
  client.send({ action: 'ping', ref });
  const replies: Reply[] = [];
  for (let reply = await client.next(); reply.ref !== ref; reply = await client.next()) {
    replies.push(reply);
  }
  return replies;
}

/** The next `count` replies. */
export async function take(client: LineClient, count: number): Promise<Reply[]> {
  const replies: Reply[] = [];
  while (replies.length < count) replies.push(await client.next());
  return replies;
}
