/**
 * A WebSocket client on the `ws` package, a foreign implementation: whole messages, and the end.
 */
import { once } from 'node:events';
import type { TestContext } from 'node:test';
import { WebSocket } from 'ws';
import { Inbox } from './inbox.ts';

/** The end of a connection as seen by the client. */
export interface Closed {
  readonly code: number;
  readonly reason: string;
  /** Messages that arrived before the end and were not read by the test. */
  readonly unread: readonly string[];
}

export class WsClient {
  readonly socket: WebSocket;
  readonly #inbox = new Inbox<string>();
  #close = { code: 0, reason: '' };

  protected constructor(t: TestContext, port: number, target: string) {
    this.socket = new WebSocket(`ws://127.0.0.1:${port}${target}`);
    t.after(() => this.socket.terminate());
    this.socket.on('message', (data, isBinary) => {
      this.#inbox.push(isBinary ? 'a binary message' : String(data));
    });
    this.socket.on('error', () => {});
    this.socket.on('close', (code, reason) => {
      this.#close = { code, reason: String(reason) };
      this.#inbox.end();
    });
  }

  /** @param target path and query, as sent on the wire */
  static async open(t: TestContext, port: number, target: string): Promise<WsClient> {
    const client = new WsClient(t, port, target);
    await once(client.socket, 'open');
    return client;
  }

  /** Sends each message as JSON in a text frame of its own. */
  send(...messages: object[]): void {
    for (const message of messages) this.socket.send(JSON.stringify(message));
  }

  /** The next message, unparsed. */
  next(): Promise<string> {
    return this.#inbox.next();
  }

  async ask(message: object): Promise<string> {
    this.send(message);
    return this.next();
  }

  /** Waits for the end. */
  async closed(): Promise<Closed> {
    const unread = await this.#inbox.ended();
    return { ...this.#close, unread };
  }
}
