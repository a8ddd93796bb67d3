/**
 * A v1 client on a bare socket. It sends any frames, valid or not, in one write, and answers pings.
 * It is light enough for a test with a thousand of them.
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
  ServerStream,
  TEXT,
  text,
} from './websocket-frames.ts';

/** A valid handshake. It has a default Host, unless `headers` has one. */
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
    '\r\n',
  ].join('\r\n');
}

export class WebSocketClient {
  readonly socket: Socket;
  readonly #inbox = new Inbox<ServerFrame>();
  readonly #stream = new ServerStream();

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (chunk) => this.#take(chunk));
    socket.on('error', () => {});
    socket.on('close', () => this.#inbox.end());
  }

  /** @param target path and query, as sent on the wire */
  static async connect(
    t: TestContext,
    port: number,
    target = '/v1?namespace=test',
    ...headers: string[]
  ): Promise<WebSocketClient> {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    t.after(() => socket.destroy());
    const client = new WebSocketClient(socket);
    socket.write(handshake(target, ...headers), 'latin1');
    while (client.#stream.head === undefined) await once(socket, 'data');
    if (!client.#stream.isUpgraded) throw new Error(client.head);
    return client;
  }

  /** The head of the response to the handshake. */
  get head(): string {
    return this.#stream.head ?? '';
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

  /** The text of the next frame; fails if it is not a text frame. */
  async nextText(): Promise<string> {
    const { opcode, payload } = await this.nextFrame();
    if (opcode !== TEXT) throw new Error(`frame with opcode ${opcode}: ${payload.toString('hex')}`);
    return payload.toString('utf8');
  }

  async next(): Promise<Reply> {
    return JSON.parse(await this.nextText());
  }

  #take(chunk: Buffer): void {
    for (const received of this.#stream.push(chunk)) {
      if (received.opcode === PING) this.sendBytes(frame(FIN | PONG, received.payload));
      else this.#inbox.push(received);
      if (received.opcode === CLOSE) this.socket.end();
    }
  }
}
