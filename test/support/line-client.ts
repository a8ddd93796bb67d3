import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { Inbox } from './inbox.ts';

/** A parsed reply; tests check the fields that they expect. */
export type Reply = Record<string, unknown>;

/** A client of the line protocol that keeps received lines until the test reads them. */
export class LineClient {
  readonly socket: Socket;
  readonly #lines = new Inbox<string>();
  #partial = '';

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.setEncoding('utf8');
    socket.on('data', (text: string) => this.#take(text));
    socket.on('error', () => {});
    socket.on('close', () => this.#lines.end());
    socket.on('end', () => this.#lines.end());
  }

  static async connect(t: TestContext, port: number): Promise<LineClient> {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    await once(socket, 'connect');
    return LineClient.on(t, socket);
  }

  /** A client on a socket that the test has made. */
  static on(t: TestContext, socket: Socket): LineClient {
    t.after(() => socket.destroy());
    return new LineClient(socket);
  }

  /** Sends messages as JSON, one per line, in one write. */
  send(...messages: object[]): void {
    this.sendRaw(messages.map((message) => `${JSON.stringify(message)}\n`).join(''));
  }

  sendRaw(bytes: string | Uint8Array): void {
    this.socket.write(bytes);
  }

  /** Sends one message and waits for the next line, which must be its reply. */
  async ask(message: object): Promise<Reply> {
    this.send(message);
    return this.next();
  }

  /** The next line; fails if the connection ends first. */
  nextLine(): Promise<string> {
    return this.#lines.next();
  }

  async next(): Promise<Reply> {
    return JSON.parse(await this.nextLine());
  }

  /** Waits until the server ends the connection; returns the lines that were not read. */
  async ended(): Promise<Reply[]> {
    return (await this.#lines.ended()).map((line) => JSON.parse(line));
  }

  /** The lines that have arrived and were not read yet. */
  get unread(): Reply[] {
    return this.#lines.items.map((line) => JSON.parse(line));
  }

  #take(text: string): void {
    const lines = (this.#partial + text).split('\n');
    this.#partial = lines.pop() ?? '';
    this.#lines.push(...lines);
  }
}

/** Shorthands for resources: `write('a', 'b')`, `read()` for the root. */
export function write(...path: string[]) {
  return { type: 'write', path } as const;
}

export function read(...path: string[]) {
  return { type: 'read', path } as const;
}

export function lock(...resources: object[]) {
  return { action: 'lock', resources };
}
