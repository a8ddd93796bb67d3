/** Reading into a buffer that all sockets share. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { PassThrough } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { InputPump } from '../../../src/net/stream/input-pump.ts';
import { OutputBuffer } from '../../../src/net/stream/output-buffer.ts';
import { readShared } from '../../../src/net/stream/shared-read.ts';
import { makeStreamHost } from '../../../src/net/stream/stream-host.ts';
import { systemClock } from '../../../src/runtime/clock.ts';

/** Both ends of a connection; the first is the server's. */
async function pair(t: TestContext): Promise<[Socket, Socket]> {
  const server = createServer({ allowHalfOpen: true, noDelay: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const peer = connect({ port: (server.address() as AddressInfo).port, noDelay: true });
  const [socket] = (await once(server, 'connection')) as [Socket];
  t.after(() => {
    server.close();
    socket.destroy();
    peer.destroy();
  });
  return [socket, peer];
}

/** Gathers what is read as text; `until` waits for so many characters. */
function gathering() {
  let text = '';
  let heard = (): void => {};
  return {
    take: (chunk: Buffer): void => {
      text += chunk.toString('latin1');
      heard();
    },
    async until(length: number): Promise<string> {
      while (text.length < length) await new Promise<void>((resolve) => (heard = resolve));
      return text;
    },
  };
}

test('this Node lets the sockets of a server be read into a buffer of ours', {
  skip: process.platform === 'win32',
}, async (t) => {
  const [socket, peer] = await pair(t);
  const [other, otherPeer] = await pair(t);
  const buffers = new Set<ArrayBufferLike>();
  for (const [reader, writer] of [
    [socket, peer],
    [other, otherPeer],
  ] as const) {
    const got = new Promise<void>((resolve) => {
      const isShared = readShared(reader, (chunk) => {
        buffers.add(chunk.buffer);
        resolve();
      });
      assert.ok(isShared);
    });
    writer.write('anything');
    await got;
  }
  assert.equal(buffers.size, 1);
});

test('whatever its size, all that comes is read, in order, and then the end', async (t) => {
  const [socket, peer] = await pair(t);
  const { take, until } = gathering();
  readShared(socket, take);
  const text = Array.from({ length: 100_000 }, (_, i) => `${i};`).join('');
  peer.end(text);
  await once(socket, 'end');
  assert.equal(await until(text.length), text);
  assert.equal(socket.bytesRead, text.length);
});

test('what was put back and what was read before comes first', async (t) => {
  const [socket, peer] = await pair(t);
  peer.write('second ');
  await once(socket, 'readable');
  socket.unshift('first ');
  const { take, until } = gathering();
  readShared(socket, take);
  socket.resume();
  peer.write('third');
  assert.equal(await until(18), 'first second third');
});

test('a paused socket is not read, and loses nothing', async (t) => {
  const [socket, peer] = await pair(t);
  const { take, until } = gathering();
  readShared(socket, (chunk) => {
    socket.pause();
    take(chunk);
  });
  peer.write('one ');
  assert.equal(await until(4), 'one ');
  // Answered by the other end only after it has all that was sent before.
  peer.write('two');
  const before = socket.bytesRead;
  socket.write('ping');
  await once(peer, 'data');
  assert.equal(socket.bytesRead, before);
  socket.resume();
  assert.equal(await until(7), 'one two');
});

test('what comes to a socket that is paused in the chunk with which it begins waits', async (t) => {
  const [socket, peer] = await pair(t);
  const { take, until } = gathering();
  const begun = new Promise<void>((resolve) => {
    // As in a connection whose first bytes tell what reads it: then Node's own reading goes on.
    socket.once('data', () => {
      readShared(socket, (chunk) => {
        assert.equal(socket.isPaused(), false);
        take(chunk);
      });
      socket.pause();
      resolve();
    });
  });
  peer.write('first');
  await begun;
  const text = 'x'.repeat(300_000);
  peer.write(text);
  while (socket.readableLength === 0) await new Promise((resolve) => setImmediate(resolve));
  socket.resume();
  peer.end('last');
  assert.equal(await until(text.length + 4), `${text}last`);
});

test('a reset while it is read is an error and the end', async (t) => {
  const [socket, peer] = await pair(t);
  readShared(socket, () => {});
  const failed = new Promise<Error>((resolve) => socket.on('error', resolve));
  const closed = new Promise<boolean>((resolve) => socket.on('close', resolve));
  peer.resetAndDestroy();
  assert.match((await failed).message, /ECONNRESET/);
  assert.equal(await closed, true);
});

test('a server that is told to reads each socket for itself', async (t) => {
  for (const sharedReads of [true, false]) {
    const [socket, peer] = await pair(t);
    const streams = makeStreamHost(systemClock, 1000, { sharedReads });
    const output = new OutputBuffer(socket, streams, 1000, () => {});
    const buffers = new Set<ArrayBufferLike>();
    let heard = (): void => {};
    const push = (chunk: Buffer): number => {
      buffers.add(chunk.buffer);
      heard();
      return chunk.length;
    };
    new InputPump(socket, streams, output, { push, pause() {} }, () => {}).start();
    for (let i = 0; i < 2; i++) {
      const read = new Promise<void>((resolve) => (heard = resolve));
      peer.write('anything');
      await read;
    }
    assert.equal(buffers.size, sharedReads && process.platform !== 'win32' ? 1 : 2);
  }
});

test('what is no plain socket is read as ever', async () => {
  const stream = new PassThrough();
  const { take, until } = gathering();
  assert.equal(readShared(stream, take), false);
  stream.write('as ever');
  assert.equal(await until(7), 'as ever');
});
