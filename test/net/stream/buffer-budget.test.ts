/** What all connections together may make the server keep. */
import assert from 'node:assert/strict';
import { Writable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { BufferAccount, BufferBudget, FREE_BYTES } from '../../../src/net/stream/buffer-budget.ts';
import { OutputBuffer } from '../../../src/net/stream/output-buffer.ts';
import { makeStreamHost } from '../../../src/net/stream/stream-host.ts';
import { systemClock } from '../../../src/runtime/clock.ts';
import { roomForBuffers, roomForLocks } from '../../../src/runtime/limits.ts';
import { LineClient } from '../../support/line-client.ts';
import { startServer, until } from '../../support/running-server.ts';
import { WebSocketClient } from '../../support/websocket-client.ts';
import { FIN, frame, TEXT } from '../../support/websocket-frames.ts';

test('what is beyond the free bytes of each buffer is counted, to the last byte there is', () => {
  const budget = new BufferBudget(100);
  const [one, two] = [new BufferAccount(budget), new BufferAccount(budget)];
  assert.equal(one.keep(FREE_BYTES), true);
  assert.equal(one.isCounted, false);
  assert.equal(one.keep(FREE_BYTES + 60), true);
  assert.equal(two.keep(FREE_BYTES + 40), true);
  assert.equal(budget.kept, 100);
  assert.equal(two.keep(FREE_BYTES + 41), false);
  assert.equal(budget.kept, 100, 'what was not taken is not counted');
  assert.equal(one.keep(FREE_BYTES + 59), true);
  assert.equal(two.keep(FREE_BYTES + 41), true);
  for (const account of [one, two]) account.keep(0);
  assert.equal(budget.kept, 0);
});

/** Output to a peer that reads nothing until it is told to. */
function stuckOutput(streams: ReturnType<typeof makeStreamHost>) {
  const waiting: (() => void)[] = [];
  const target = new Writable({ write: (_chunk, _encoding, done) => void waiting.push(done) });
  let overflows = 0;
  const output = new OutputBuffer(target, streams, 2 ** 30, () => {
    overflows++;
    target.destroy();
  });
  const read = (): void => {
    for (let done = waiting.shift(); done !== undefined; done = waiting.shift()) done();
  };
  return { output, read, overflows: () => overflows };
}

test('of peers that do not read, the one that would exceed the budget is cut, and no other', async () => {
  const streams = makeStreamHost(systemClock, 100_000);
  const [one, two, three] = [stuckOutput(streams), stuckOutput(streams), stuckOutput(streams)];
  one.output.push('x'.repeat(FREE_BYTES + 60_000));
  two.output.push('x'.repeat(FREE_BYTES + 40_000));
  assert.equal(streams.budget.kept, 100_000);
  three.output.push('x'.repeat(FREE_BYTES));
  three.output.push('x');
  assert.deepEqual(
    [one, two, three].map(({ overflows }) => overflows()),
    [0, 0, 1],
  );
  assert.equal(streams.budget.kept, 100_000);
  for (const { output } of [one, two]) output.flush();
  one.read();
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(streams.budget.kept, 40_000, 'what was read is no longer counted');
  two.output.push('x'.repeat(60_000));
  assert.equal(two.overflows(), 0);
  two.output.close();
  assert.equal(streams.budget.kept, 0);
});

/** Clients with a message of which 100,000 bytes have come and the end has not. */
const UNFINISHED = {
  lines: async (t: TestContext, port: number) => {
    const client = await LineClient.connect(t, port);
    await client.ask({ action: 'ping' });
    client.sendRaw('x'.repeat(100_000));
    return { socket: client.socket, finish: () => client.sendRaw('\n'), next: () => client.next() };
  },
  websocket: async (t: TestContext, port: number) => {
    const client = await WebSocketClient.connect(t, port, '/v2');
    client.send({ action: 'ping' });
    await client.next();
    client.sendBytes(frame(TEXT, 'x'.repeat(100_000)));
    const finish = (): void => client.sendBytes(frame(FIN, 'x'));
    return { socket: client.socket, finish, next: () => client.next() };
  },
};

for (const kind of ['lines', 'websocket'] as const) {
  test(`messages that do not end are bounded over all connections: ${kind}`, async (t) => {
    const server = await startServer(t, { limits: { maxBufferBytes: 400_000 } });
    const { port } = server.address;
    const witness = await LineClient.connect(t, port);
    const clients: Awaited<ReturnType<(typeof UNFINISHED)['lines']>>[] = [];
    // A block of 100,000 to 200,000 bytes each, by how the network has cut them.
    for (let i = 0; i < 6; i++) {
      const client = await UNFINISHED[kind](t, port);
      clients.push(client);
      // All of it has gone out, and every socket is read once in a turn.
      await until(() => client.socket.writableLength === 0);
      for (let turns = 0; turns < 4; turns++) await witness.ask({ action: 'ping' });
    }
    await until(() => server.counts.connections <= 5);
    assert.ok(server.counts.connections >= 3);
    const left = () => clients.filter(({ socket }) => !socket.closed);
    await until(() => left().length + 1 === server.counts.connections);
    for (const { socket, finish, next } of left()) {
      finish();
      assert.match(JSON.stringify(await next()), /bad_json/);
      socket.destroy();
    }
    await until(() => server.counts.connections === 1);
    const again = await UNFINISHED[kind](t, port);
    again.finish();
    assert.match(JSON.stringify(await again.next()), /bad_json/, 'nothing is counted any more');
  });
}

test('buffers may take a quarter of what the heap keeps', () => {
  const MIB = 1024 * 1024;
  assert.equal(roomForBuffers(112 * MIB), 16 * MIB);
  assert.equal(roomForBuffers(16 * MIB), 64 * 1024);
  assert.ok(roomForBuffers() <= roomForLocks());
});
