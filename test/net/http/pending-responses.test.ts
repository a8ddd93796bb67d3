/** What a peer of HTTP costs that asks and does not read: bounded in bytes, and in time. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { IncomingMessage, ServerResponse } from 'node:http';
import { connect, Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { PendingResponses } from '../../../src/net/http/pending-responses.ts';
import { BufferBudget } from '../../../src/net/stream/buffer-budget.ts';
import type { ServerOptions } from '../../../src/server-options.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { exchange, statuses } from '../../support/http-client.ts';
import { LineClient } from '../../support/line-client.ts';
import { startServer, until } from '../../support/running-server.ts';
import { handshake } from '../../support/websocket-client.ts';

const get = (path: string, more = ''): string =>
  `GET ${path} HTTP/1.1\r\nHost: localhost\r\n${more}\r\n`;
const CLOSE = 'Connection: close\r\n';

/** A connection that may leave 100 bytes unread, and the first of its answers. */
function setUp(t: TestContext) {
  const socket = new Socket();
  t.after(() => socket.destroy());
  const answers = new PendingResponses(100, new BufferBudget(100_000));
  const response = (): ServerResponse => new ServerResponse(new IncomingMessage(socket));
  return { socket, answers, response, first: response() };
}

test('answers up to the bound may wait for their peer; with one byte more it is cut', (t) => {
  const { socket, answers, response, first } = setUp(t);
  assert.equal(answers.add(socket, first, 60), true);
  assert.equal(answers.add(socket, response(), 40), true);
  assert.equal(answers.isWaiting(socket), true);
  assert.equal(answers.add(socket, response(), 1), false);
  first.emit('close');
  assert.equal(answers.add(socket, response(), 59), true);
});

test('an answer that is longer than the bound is sent if nothing else waits', (t) => {
  const { socket, answers, response, first } = setUp(t);
  assert.equal(answers.add(socket, first, 1000), true);
  assert.equal(answers.add(socket, response(), 1), false);
  first.emit('close');
  assert.equal(answers.add(socket, response(), 101), false);
});

test('an answer without a body takes no room', async (t) => {
  const { address } = await startServer(t, { limits: { maxUnreadBytes: 1 } });
  const head = 'HEAD / HTTP/1.1\r\nHost: localhost\r\n';
  const received = await exchange(address.port, `${head}\r\n${head}${CLOSE}\r\n`);
  assert.deepEqual(statuses(received), [200, 200]);
});

/** A server whose front page is long, and somebody who asks for it and never reads. */
async function startDeaf(t: TestContext, options: ServerOptions = {}) {
  const clock = new FakeClock();
  const server = await startServer(t, { clock, ...options });
  const { port } = server.address;
  // Told as JSON, six bytes each.
  const name = '\u0001'.repeat(1000);
  for (let i = 0; i < 100; i++) {
    const client = await LineClient.connect(t, port);
    await client.ask({ action: 'hello', namespace: `${i}${name}` });
  }
  /** Asks for the page so often that the answers don't fit between here and there. */
  const deaf = async (after: string): Promise<Socket> => {
    const socket = connect({ port, host: '127.0.0.1' });
    t.after(() => socket.destroy());
    socket.on('error', () => {});
    await once(socket, 'connect');
    const { timersSet } = clock;
    socket.write(get('/').repeat(20) + after);
    // One for the connection, and one more with each request.
    await until(() => clock.timersSet >= timersSet + 20);
    return socket;
  };
  return { clock, server, deaf };
}

for (const [what, after] of [
  ['nothing else', ''],
  ['half a request', 'GET / HT'],
  ['garbage', 'garbage\r\n\r\n'],
  ['a handshake', handshake('/v2')],
] as const) {
  test(`who does not read its answers, and then sends ${what}, is cut in the end`, async (t) => {
    const { clock, server, deaf } = await startDeaf(t);
    await deaf(after);
    assert.equal(server.counts.connections, 101);
    clock.advance(9999);
    assert.equal(server.counts.connections, 101);
    clock.advance(1);
    await until(() => server.counts.connections === 100);
    assert.equal(clock.pendingTimers, 0);
  });
}

test('a guesser that does not read what it asked for before is cut in the end', async (t) => {
  const adminTokens = ['a-token-of-an-administrator'];
  const { clock, server, deaf } = await startDeaf(t, { adminTokens });
  await deaf(get('/', 'Authorization: Bearer not-the-token-of-anybody\r\n'));
  clock.advance(1000);
  clock.advance(10_000);
  await until(() => server.counts.connections === 100);
  assert.equal(clock.pendingTimers, 0);
});
