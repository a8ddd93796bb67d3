/** Messages of 64 KiB to 16 MiB, whole, in fragments and in small packets, over real sockets. */
import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { after, before, test } from 'node:test';
import { type EchoServer, startEchoServer } from '../../support/echo-server.ts';
import { RawClient } from '../../support/raw-client.ts';
import { startServer } from '../../support/running-server.ts';
import { handshake } from '../../support/websocket-client.ts';
import {
  BINARY,
  close,
  FIN,
  fragmented,
  frame,
  TEXT,
  text,
} from '../../support/websocket-frames.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

let server: EchoServer;
before(async () => {
  server = await startEchoServer();
});
after(() => server.http.close());

/** Characters of every length; `bytes` of them, filled up with dots. */
function textOf(bytes: number): Buffer {
  const unit = 'aé€😀';
  const filled = unit.repeat(bytes / Buffer.byteLength(unit));
  return Buffer.from(filled.padEnd(filled.length + bytes - Buffer.byteLength(filled), '.'));
}

function binaryOf(bytes: number): Buffer {
  return Buffer.alloc(bytes, Buffer.from([0, 255, 128, 7, 200]));
}

const PAYLOADS = [
  ['text', TEXT, textOf],
  ['binary', BINARY, binaryOf],
] as const;

/** Sends `pieces` and a close, and expects one message back, the same. */
async function expectEcho(
  opcode: number,
  payload: Buffer,
  pieces: Iterable<Buffer>,
): Promise<void> {
  const client = await RawClient.upgraded(server.port);
  for (const piece of pieces) client.socket.write(piece);
  await client.send(close(1000));
  await client.finish();
  const [echo, end] = client.frames;
  assert.equal(client.frames.length, 2);
  assert.equal(echo?.opcode, opcode);
  assert.ok(echo?.payload.equals(payload));
  assert.equal(end?.payload.readUInt16BE(0), 1000);
}

function* slices(bytes: Buffer, size: number): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

for (const [name, opcode, make] of PAYLOADS) {
  for (const size of [64 * KIB, MIB, 16 * MIB]) {
    test(`${name} of ${size / KIB} KiB comes back`, async () => {
      const payload = make(size);
      await expectEcho(opcode, payload, [frame(FIN | opcode, payload)]);
    });
  }

  for (const size of [64, KIB, 64 * KIB, MIB]) {
    test(`${name} of 1 MiB in fragments of ${size} bytes comes back as one message`, async () => {
      const payload = make(MIB);
      await expectEcho(opcode, payload, [fragmented(opcode, ...slices(payload, size))]);
    });
  }

  for (const size of [64, 2 * KIB]) {
    test(`${name} of 1 MiB in packets of ${size} bytes comes back`, async () => {
      const payload = make(MIB);
      await expectEcho(opcode, payload, slices(frame(FIN | opcode, payload), size));
    });
  }

  for (const size of [0, 16, 256, 16 * KIB]) {
    test(`a hundred times ${name} of ${size} bytes, each sent when the last came back`, async () => {
      const payload = make(size);
      const message = frame(FIN | opcode, payload);
      const client = await RawClient.upgraded(server.port);
      let length = 0;
      for (let count = 1; count <= 100; count++) {
        await client.send(message);
        length += size + (size < 126 ? 2 : 4);
        await client.until(() => client.body.length === length);
      }
      assert.ok(
        client.frames.every((echo) => echo.opcode === opcode && echo.payload.equals(payload)),
      );
      client.socket.destroy();
    });
  }
}

test('what a client cuts into fragments of 1300 bytes by itself comes back whole', async () => {
  for (const size of [KIB, 8 * KIB, 64 * KIB]) {
    const payload = textOf(size);
    await expectEcho(TEXT, payload, [fragmented(TEXT, ...slices(payload, 1300))]);
  }
});

test('with a raised limit the server itself takes 16 MiB, and not a byte more', async (t) => {
  const { address } = await startServer(t, { limits: { maxMessageBytes: 16 * MIB } });
  const most = Buffer.alloc(16 * MIB, ' ');
  most.write('{"action":"ping"}');
  const client = new RawClient(address.port);
  await client.send(handshake('/v2'));
  await client.until(() => client.head !== undefined);
  await client.send(
    Buffer.concat([text(most), frame(FIN | TEXT, Buffer.concat([most, Buffer.from(' ')]))]),
  );
  await client.finish();
  assert.equal(String(client.frames[0]?.payload), '{"action":"ping"}');
  assert.equal(client.frames[1]?.payload.readUInt16BE(0), 1009);
});
