/**
 * The floor of WebSocket in Node, as a program: a server that echoes each message.
 *
 *     node floor-websocket.js ws|twin
 *
 *  - `ws`: the `ws` package, as it is used.
 *  - `twin`: bare, with short and whole messages only. It parses each as JSON, and reads and writes as
 *    our server does: all sockets into one buffer, and the answers once all of them are read.
 */
import type { Buffer } from 'node:buffer';
import { createHash } from 'node:crypto';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { argv } from 'node:process';
import { WebSocketServer } from 'ws';
import { readShared } from '../../src/net/stream/shared-read.ts';

const isTwin = argv[2] === 'twin';

/** Sockets with echoes that are not written yet, byte strings. */
let echoed: (readonly [Socket, string])[] = [];

function echoAfterReading(socket: Socket, frames: string): void {
  if (echoed.push([socket, frames]) > 1) return;
  setImmediate(() => {
    const all = echoed;
    echoed = [];
    for (const [each, bytes] of all) each.write(bytes, 'latin1');
  });
}

const KEY = /^Sec-WebSocket-Key: *(\S+)/im;
/** RFC 6455, 1.3. */
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

function acceptance(head: string): string {
  const accept = createHash('sha1')
    .update(`${KEY.exec(head)?.[1]}${GUID}`)
    .digest('base64');
  const fields = `Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}`;
  return `HTTP/1.1 101 Switching Protocols\r\n${fields}\r\n\r\n`;
}

const HEAD_BYTES = 2;
const MASK_BYTES = 4;

/** The echo of all frames in `chunk`, each of which is whole. */
function echoOf(chunk: Buffer): string {
  let frames = '';
  for (let at = 0; at < chunk.length; ) {
    const length = (chunk[at + 1] ?? 0) & 0x7f;
    const start = at + HEAD_BYTES + MASK_BYTES;
    const end = start + length;
    if (end > chunk.length) throw new Error('a frame in two chunks');
    for (let i = start; i < end; i++) {
      const mask = chunk[at + HEAD_BYTES + ((i - start) % MASK_BYTES)] ?? 0;
      chunk[i] = (chunk[i] ?? 0) ^ mask;
    }
    const text = chunk.toString('latin1', start, end);
    JSON.parse(text);
    frames += `\x81${String.fromCharCode(length)}${text}`;
    at = end;
  }
  return frames;
}

function listening(server: { address(): unknown }): void {
  console.log(`listens on 127.0.0.1:${(server.address() as AddressInfo).port} `);
}

if (isTwin) {
  const server = createServer({ noDelay: true }, (socket) => {
    let isOpen = false;
    socket.on('error', () => socket.destroy());
    readShared(socket, (chunk) => {
      if (isOpen) echoAfterReading(socket, echoOf(chunk));
      else socket.write(acceptance(chunk.toString('latin1')));
      isOpen = true;
    });
  });
  server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, () => listening(server));
} else {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  server.on('connection', (socket) => {
    socket.on('error', () => socket.terminate());
    socket.on('message', (data) => socket.send(data, { binary: false }));
  });
  server.on('listening', () => listening(server));
}
