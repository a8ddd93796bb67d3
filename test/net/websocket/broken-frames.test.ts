/**
 * Broken frames against the real server: each is answered with its close code however it is cut, is
 * a lost connection to the session behind it, and nothing at all to anybody else.
 */
import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { CHUNK_SIZES, piecesOf } from '../../support/cut-anywhere.ts';
import { type LineClient, lock, write } from '../../support/line-client.ts';
import { setUp } from '../../support/line-server.ts';
import { RawClient } from '../../support/raw-client.ts';
import { until } from '../../support/running-server.ts';
import { handshake } from '../../support/websocket-client.ts';
import {
  BINARY,
  close,
  FIN,
  fragmented,
  frame,
  hex,
  PING,
  TEXT,
  text,
} from '../../support/websocket-frames.ts';

const LIMITS = { maxMessageBytes: 300, maxFragments: 4 };
const ABANDON_MS = 60_000;
const PATHS = ['/v1?namespace=default', '/v2'] as const;

const OFFENCES: readonly (readonly [what: string, bytes: Buffer, code: number])[] = [
  ['an unmasked frame', hex('81 02 4869'), 1002],
  ['a reserved bit', frame(FIN | 0x40 | TEXT, 'x'), 1002],
  ['a reserved opcode', frame(FIN | 3), 1002],
  ['a reserved control opcode', frame(FIN | 11), 1002],
  ['a continuation of nothing', frame(FIN, 'x'), 1002],
  ['a message inside a message', Buffer.concat([frame(TEXT, 'x'), text('y')]), 1002],
  ['a fragmented ping', frame(PING, 'x'), 1002],
  ['a ping of 126 bytes', frame(FIN | PING, Buffer.alloc(126)), 1002],
  ['5 as a length in 16 bits', hex('81 fe 0005 00000000 48656c6c6f'), 1002],
  ['5 as a length in 64 bits', hex('81 ff 0000000000000005 00000000 48656c6c6f'), 1002],
  ['a length with its top bit set', hex('82 ff 8000000000000001'), 1002],
  ['a length of 2^32', hex('82 ff 0000000100000000'), 1009],
  ['a declared length over the limit, and no payload', hex('82 fe 012d'), 1009],
  [
    'fragments over the limit in sum',
    fragmented(BINARY, Buffer.alloc(200), Buffer.alloc(101)),
    1009,
  ],
  ['too many empty fragments', fragmented(TEXT, '', '', '', '', ''), 1008],
  ['text that is not UTF-8', text(hex('c3 28')), 1007],
  ['half a character at the end', text(hex('7b e2 82')), 1007],
  ['a close of one byte', frame(FIN | 8, 'x'), 1002],
  ['a close with 1005', close(1005), 1002],
  ['a close with bad text', close(1000, hex('ff')), 1007],
];

async function upgraded(port: number, path: string): Promise<RawClient> {
  const client = new RawClient(port);
  await client.send(handshake(path));
  await client.until(() => client.head !== undefined);
  return client;
}

/** A server where the test holds `a`; `path` is where the others come. */
async function withHolder(t: TestContext, options = {}) {
  const world = await setUp(t, { limits: LIMITS, defaultAbandonTimeoutMs: ABANDON_MS, ...options });
  const holder: LineClient = await world.connect();
  const { id } = await holder.ask(lock(write('a')));
  const release = async () => {
    assert.deepEqual(await holder.ask({ action: 'release', id }), {
      action: 'release',
      id,
      state: 'released',
    });
  };
  return { ...world, port: world.server.address.port, release };
}

/** Locks `b`, which is free, and returns when that is held. */
async function hold(client: RawClient): Promise<void> {
  await client.send(text(JSON.stringify(lock(write('b')))));
  await client.until(() => client.frames.length === 1);
  assert.match(String(client.frames[0]?.payload), /"state":"acquired"/);
}

for (const path of PATHS) {
  for (const [what, bytes, code] of OFFENCES) {
    test(`${path}: ${what} is answered ${code}, however it is cut, and loses the session`, async (t) => {
      const { server, clock, port, release } = await withHolder(t);
      for (const size of CHUNK_SIZES) {
        const client = await upgraded(port, path);
        await hold(client);
        for (const piece of piecesOf(Buffer.concat([bytes, text('{"action":"release"}')]), size)) {
          if (!client.finished) await client.send(piece);
        }
        await client.finish();
        assert.equal(client.frames.length, 2, 'what came after it is ignored');
        assert.equal(client.frames[1]?.payload.readUInt16BE(0), code);
        await until(() => server.counts.connections === 1);
        assert.deepEqual(
          [server.counts.sessions, server.counts.acquired],
          [2, 2],
          'lost, not ended',
        );
        clock.advance(ABANDON_MS);
        assert.deepEqual([server.counts.sessions, server.counts.acquired], [1, 1]);
      }
      await release();
      assert.equal(clock.pendingTimers, 0);
    });
  }

  for (const [what, leave] of [
    ['a half-close', (client: RawClient) => client.socket.end()],
    [
      'a half-close in mid-frame',
      (client: RawClient) => client.socket.end(text('Hello').subarray(0, 8)),
    ],
    ['a half-close in mid-header', (client: RawClient) => client.socket.end(hex('81'))],
    ['a reset', (client: RawClient) => client.socket.resetAndDestroy()],
    [
      'a reset in mid-frame',
      async (client: RawClient) => {
        await client.send(text('Hello').subarray(0, 8));
        client.socket.resetAndDestroy();
      },
    ],
  ] as const) {
    test(`${path}: ${what} loses the session: who waits leaves the queue`, async (t) => {
      const { server, clock, port, release } = await withHolder(t);
      const client = await upgraded(port, path);
      await client.send(text(JSON.stringify(lock(write('a')))));
      await client.until(() => client.frames.length === 1);
      assert.equal(server.counts.enqueued, 1);
      await leave(client);
      await until(() => server.counts.connections === 1);
      assert.deepEqual([server.counts.sessions, server.counts.enqueued], [1, 0]);
      await release();
      client.socket.destroy();
      assert.equal(clock.pendingTimers, 0);
    });
  }

  test(`${path}: a peer that floods with pings and never reads is cut and costs a bounded amount`, async (t) => {
    const { server, clock, port, release } = await withHolder(t, {
      limits: { ...LIMITS, maxUnreadBytes: 50_000 },
    });
    const client = await upgraded(port, path);
    await hold(client);
    client.socket.pause();
    const pings = Buffer.concat(Array(500).fill(frame(FIN | PING, Buffer.alloc(125))));
    while (server.counts.connections === 2 && client.socket.writable) {
      if (client.socket.write(pings)) await new Promise((resolve) => setImmediate(resolve));
      else
        await Promise.race([once(client.socket, 'drain'), once(client.socket, 'close')]).catch(
          () => {},
        );
    }
    await until(() => server.counts.connections === 1);
    clock.advance(ABANDON_MS);
    assert.deepEqual([server.counts.sessions, server.counts.acquired], [1, 1]);
    client.socket.destroy();
    await release();
  });

  test(`${path}: pings, pongs and empty frames around a message change nothing about it`, async (t) => {
    const { port, release } = await withHolder(t);
    const client = await upgraded(port, path);
    const message = JSON.stringify(lock(write('b')));
    const bytes = Buffer.concat([
      frame(FIN | PING, 'one'),
      frame(TEXT, message.slice(0, 10)),
      frame(FIN | PING, 'two'),
      frame(0),
      frame(FIN | 10, 'unasked'),
      frame(FIN, message.slice(10)),
      close(1000),
    ]);
    for (const piece of piecesOf(bytes, 7)) await client.send(piece);
    await client.finish();
    assert.deepEqual(
      client.frames.map(({ opcode }) => opcode),
      [10, 10, 1, 8],
    );
    await release();
  });
}
