/**
 * A v1 client on a bare socket. It sends any frames, lawful or not, in one write, and is light
 * enough to have a thousand of. Pings it answers by itself.
 */
import { Buffer } from 'node:buffer';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { Inbox } from './inbox.ts';
import type { Reply } from './line-client.ts';
import {
  CLOSE,
  FIN,
  frame,
  PING,
  PONG,
  type ServerFrame,
  serverFrames,
  TEXT,
  text,
} from './websocket-frames.ts';

const HEAD_END = '\r\n\r\n';

/** A handshake that is accepted. It has a Host, unless one is among `headers`. */
export function handshake(target: string, ...headers: string[]): string {
  const hasHost = headers.some((header) => header.startsWith('Host:'));
  return [
    `GET ${target} HTTP/1.1`,
    ...(hasHost ? [] : ['Host: localhost']),
    'Upgrade: websocket',
    'Connection: Upgrade',
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
    'Sec-WebSocket-Version: 13',
    ...headers,
    HEAD_END.slice(2),
  ].join('\r\n');
}

export class LeanWebSocket {
  readonly socket: Socket;
  readonly #inbox = new Inbox<ServerFrame>();
  #head: string | undefined;
  #bytes: Buffer = Buffer.alloc(0);

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (chunk) => this.#take(chunk));
    socket.on('error', () => {});
    socket.on('close', () => this.#inbox.end());
  }

  /** @param target path and query, as they go on the wire */
  static async connect(
    t: TestContext,
    port: number,
    target = '/v1?namespace=test',
    ...headers: string[]
  ): Promise<LeanWebSocket> {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    t.after(() => socket.destroy());
    const client = new LeanWebSocket(socket);
    socket.write(handshake(target, ...headers), 'latin1');
    while (client.#head === undefined) await once(socket, 'data');
    if (!client.head.startsWith('HTTP/1.1 101 ')) throw new Error(client.head);
    return client;
  }

  /** The head of the response to the handshake. */
  get head(): string {
    return this.#head ?? '';
  }

  /** Sends messages as JSON, one per text frame, in one write. */
  send(...messages: object[]): void {
    this.sendBytes(...messages.map((message) => text(JSON.stringify(message))));
  }

  /** Sends whole frames, or pieces of them, in one write. */
  sendBytes(...bytes: Buffer[]): void {
    this.socket.write(Buffer.concat(bytes));
  }

  nextFrame(): Promise<ServerFrame> {
    return this.#inbox.next();
  }

  /** The text of the next frame; fails when it is none of text. */
  async nextText(): Promise<string> {
    const { opcode, payload } = await this.nextFrame();
    if (opcode !== TEXT) throw new Error(`frame with opcode ${opcode}: ${payload.toString('hex')}`);
    return payload.toString('utf8');
  }

  async next(): Promise<Reply> {
    return JSON.parse(await this.nextText());
  }

  #take(chunk: Buffer): void {
    this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk]);
    if (this.#head === undefined) {
      const end = this.#bytes.indexOf(HEAD_END);
      if (end === -1) return;
      this.#head = this.#bytes.toString('latin1', 0, end + HEAD_END.length);
      this.#bytes = this.#bytes.subarray(end + HEAD_END.length);
    }
    if (!this.head.startsWith('HTTP/1.1 101 ')) return;
    let taken = 0;
    for (const frame of serverFrames(this.#bytes)) {
      taken = frame.payload.byteOffset + frame.payload.length - this.#bytes.byteOffset;
      if (frame.opcode === PING) this.sendBytes(pongOf(frame));
      else this.#inbox.push(frame);
      if (frame.opcode === CLOSE) this.socket.end();
    }
    this.#bytes = this.#bytes.subarray(taken);
  }
}

function pongOf({ payload }: ServerFrame): Buffer {
  return frame(FIN | PONG, payload);
}
