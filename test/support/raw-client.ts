/** A TCP client that sends exact bytes, and keeps what it receives. */
import { Buffer } from 'node:buffer';
import { once } from 'node:events';
import { createConnection, type Socket } from 'node:net';
import { Changes } from './changes.ts';
import { type ServerFrame, serverFrames } from './websocket-frames.ts';

const HEAD_END = '\r\n\r\n';

export class RawClient {
  readonly socket: Socket;
  /** The peer has sent FIN. */
  finished = false;
  /** The socket is closed. */
  closed = false;
  #received: Buffer[] = [];
  readonly #changes = new Changes();

  constructor(port: number) {
    this.socket = createConnection({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
    this.socket.on('data', (chunk) => this.#note(() => this.#received.push(chunk)));
    this.socket.on('end', () => this.#note(() => (this.finished = true)));
    this.socket.on('close', () => this.#note(() => (this.closed = true)));
    this.socket.on('error', () => {}); // 'close' follows
  }

  /** A client after its WebSocket handshake, sent with `first` in the same packet. */
  static async upgraded(port: number, first: Buffer = Buffer.alloc(0)): Promise<RawClient> {
    const client = new RawClient(port);
    client.socket.write(Buffer.concat([Buffer.from(HANDSHAKE), first]));
    await client.until(() => client.head !== undefined);
    return client;
  }

  get received(): Buffer {
    const [first, ...more] = this.#received;
    if (first !== undefined && more.length === 0) return first;
    const whole = Buffer.concat(this.#received);
    this.#received = [whole];
    return whole;
  }

  /** The response head, once it is complete. */
  get head(): string | undefined {
    const end = this.received.indexOf(HEAD_END);
    return end === -1 ? undefined : this.received.toString('latin1', 0, end + HEAD_END.length);
  }

  /** The bytes after the response head. */
  get body(): Buffer {
    return this.received.subarray(this.head?.length ?? this.received.length);
  }

  get frames(): ServerFrame[] {
    return serverFrames(this.body);
  }

  /** The frames as 'opcode:payload in hexadecimal', to compare. */
  get frameList(): string[] {
    return this.frames.map(({ opcode, payload }) => `${opcode}:${payload.toString('hex')}`);
  }

  /** Waits until `condition` holds; rejects if the socket closes before. */
  async until(condition: () => boolean): Promise<void> {
    await this.#changes.until(() => {
      const isTrue = condition();
      if (!isTrue && this.closed) throw new Error(`closed after ${this.received.length} bytes`);
      return isTrue;
    });
  }

  /** Waits for the server's FIN, answers it with a FIN and waits for the end. */
  async finish(): Promise<void> {
    await this.until(() => this.finished || this.closed);
    if (this.closed) return;
    this.socket.end();
    await this.until(() => this.closed);
  }

  /** Flushes earlier writes to the kernel, so that the next write is another packet. */
  async send(bytes: Buffer | string): Promise<void> {
    if (!this.socket.write(bytes)) await once(this.socket, 'drain');
    await new Promise((resolve) => setImmediate(resolve));
  }

  #note(change: () => void): void {
    change();
    this.#changes.notify();
  }
}

/** The handshake of RFC 6455, 1.3, with all headers that a server requires. */
export const HANDSHAKE = [
  'GET /chat HTTP/1.1',
  'Host: server.example.com',
  'Upgrade: websocket',
  'Connection: Upgrade',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
  'Origin: http://example.com',
  'Sec-WebSocket-Protocol: chat, superchat',
  'Sec-WebSocket-Extensions: permessage-deflate',
  'Sec-WebSocket-Version: 13',
  '\r\n',
].join('\r\n');
