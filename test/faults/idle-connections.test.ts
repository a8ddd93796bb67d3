/**
 * Thousands of connections that say hello and then nothing: what they cost, and that others are
 * served as if they weren't there.
 *
 * `IDLE_CONNECTIONS=10000` opens that many; `ulimit -n` must allow for them, here and in the server.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { test } from 'node:test';
import { LineClient, lock, write } from '../support/line-client.ts';
import { ProbedProgram, type Sample, told } from '../support/probed-program.ts';
import { handshake } from '../support/websocket-client.ts';
import { text } from '../support/websocket-frames.ts';

const IDLE = Number(process.env.IDLE_CONNECTIONS ?? 500);
/** Connections opened at a time: fewer than the system queues for a listener. */
const BATCH = 100;
const HELLO = JSON.stringify({ action: 'hello', namespace: 'idle', abandonTimeoutMs: 0 });
const LOCKS = 1000;

/** Resolves when hello is answered. Every second one is on WebSocket. */
async function open(port: number, n: number): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1' });
  if (n % 2 === 0) socket.write(`${HELLO}\n`);
  else {
    socket.write(handshake('/v2'), 'latin1');
    socket.write(text(HELLO));
  }
  let heard = '';
  while (!heard.includes('"session"')) {
    const [chunk] = await once(socket, 'data');
    heard += chunk.toString('latin1');
  }
  return socket;
}

/** Milliseconds for `LOCKS` locks and releases, one after the other. */
async function timeLocks(client: LineClient): Promise<number> {
  const from = performance.now();
  for (let i = 0; i < LOCKS; i++) {
    assert.equal((await client.ask(lock(write('a')))).state, 'acquired');
    assert.equal((await client.ask({ action: 'release' })).state, 'released');
  }
  return performance.now() - from;
}

test(`${IDLE} idle connections are in nobody's way`, { timeout: 120_000 }, async (t) => {
  const server = new ProbedProgram(t);
  const port = await server.port();
  const client = await LineClient.connect(t, port);
  await client.ask({ action: 'ping' });
  // First, so that no file of code that is loaded meanwhile is open.
  const alone = await timeLocks(client);
  const before = await server.settled();

  const idle: Socket[] = [];
  t.after(() => idle.forEach((socket) => void socket.destroy()));
  while (idle.length < IDLE) {
    const batch = Array.from({ length: Math.min(BATCH, IDLE - idle.length) }, (_, i) =>
      open(port, idle.length + i),
    );
    idle.push(...(await Promise.all(batch)));
  }
  // Fewer if the program had not quite started before.
  const isOpen = ({ descriptors }: Sample): boolean => descriptors <= before.descriptors + IDLE;
  const during = await server.settled(isOpen);
  const among = await timeLocks(client);
  assert.ok(isOpen(during), told(during));
  t.diagnostic(`before: ${told(before)}`);
  t.diagnostic(`during: ${told(during)}`);
  const bytesEach = (figure: 'heap' | 'rss'): string =>
    ((during[figure] - before[figure]) / IDLE).toFixed(0);
  t.diagnostic(`bytes each: ${bytesEach('heap')} heap, ${bytesEach('rss')} RSS`);
  t.diagnostic(`${LOCKS} locks: ${alone.toFixed(0)} ms alone, ${among.toFixed(0)} ms among them`);

  for (const socket of idle) socket.destroy();
  client.send({ action: 'bye' });
  await client.ended();
  client.socket.destroy();
  await server.empty();
  const after = await server.settled(({ descriptors }) => descriptors < before.descriptors);
  t.diagnostic(`after: ${told(after)}`);
  assert.ok(after.descriptors < before.descriptors, told(after));
});
