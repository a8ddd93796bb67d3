/**
 * The generator's end of a connection, as lean as Node allows: bytes are read into one buffer of
 * the connection's own, without a stream in between, and handed on as they come.
 */
import { Buffer } from 'node:buffer';
import { connect, type Socket } from 'node:net';
import { handshake } from '../support/websocket-client.ts';

/** Takes the bytes from 0 to `length` of `buffer`, which is used again afterwards. */
export type OnBytes = (buffer: Buffer, length: number) => void;

const READ_BYTES = 32 * 1024;

/** Connects; with a `target` it also shakes hands as a WebSocket, and the head is not handed on. */
export async function open(
  port: number,
  target: string | undefined,
  onBytes: OnBytes,
  readBytes = READ_BYTES,
): Promise<Socket> {
  let isOpen = target === undefined;
  let opened = (): void => {};
  let failed = (_error: Error): void => {};
  const done = new Promise<void>((resolve, reject) => {
    opened = resolve;
    failed = reject;
  });
  const socket = connect({
    port,
    host: '127.0.0.1',
    noDelay: true,
    onread: {
      buffer: Buffer.alloc(readBytes),
      callback: (length, buffer) => {
        if (isOpen) {
          onBytes(buffer as Buffer, length);
          return true;
        }
        const head = (buffer as Buffer).toString('latin1', 0, length);
        isOpen = head.startsWith('HTTP/1.1 101 ') && head.endsWith('\r\n\r\n');
        if (isOpen) opened();
        else failed(new Error(head));
        return true;
      },
    },
  });
  socket.on('error', failed);
  socket.once('connect', () => {
    if (target === undefined) opened();
    else socket.write(handshake(target), 'latin1');
  });
  await done;
  socket.on('error', (error) => {
    throw error;
  });
  return socket;
}
