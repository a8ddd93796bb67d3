/**
 * A server that sends what the test wants, valid or not, to a client on a driven clock. Without sockets:
 * messages arrive at once.
 */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { type Client, connectClient } from '../../src/client/client.ts';
import type { Environment } from '../../src/client/environment.ts';
import type { ClientOptions } from '../../src/client/options.ts';
import type { Transport, TransportEvents } from '../../src/client/transport.ts';
import { parseUrl } from '../../src/client/url.ts';
import { ClientFakeClock } from './support.ts';

export type Message = Readonly<Record<string, unknown>>;

export const ABANDON_MS = 10_000;

export class Connection implements Transport {
  readonly address: string;
  readonly token: string | undefined;
  readonly #events: TransportEvents;
  /** What the client has sent and the test has not taken. */
  readonly heard: Message[] = [];
  isOver = false;

  constructor(address: string, token: string | undefined, events: TransportEvents) {
    this.address = address;
    this.token = token;
    this.#events = events;
  }

  send(text: string): void {
    assert.ok(!this.isOver, 'nothing is sent after the end');
    this.heard.push(JSON.parse(text));
  }

  close(): void {
    this.isOver = true;
  }

  destroy(): void {
    this.isOver = true;
  }

  open(): void {
    this.#events.opened();
  }

  say(...messages: (Message | string)[]): void {
    for (const message of messages) {
      this.#events.message(typeof message === 'string' ? message : JSON.stringify(message));
    }
  }

  /** The connection breaks. */
  end(error?: Error): void {
    this.isOver = true;
    this.#events.closed(error);
  }

  /** The next request, which must have that action. */
  take(action: string): Message & { readonly ref: number } {
    const request = this.heard.shift();
    assert.equal(request?.action, action);
    assert.ok(typeof request.ref === 'number');
    return { ...request, ref: request.ref };
  }

  /** Answers the pings that are there. */
  answerPings(): void {
    while (this.heard[0]?.action === 'ping') {
      this.say({ action: 'ping', ref: this.take('ping').ref });
    }
  }
}

export class ScriptedServer {
  readonly clock = new ClientFakeClock();
  readonly reported: unknown[] = [];
  isKeptAlive = false;
  readonly #connections: Connection[] = [];

  readonly environment: Environment = {
    clock: this.clock,
    random: () => 0.5,
    open: (address, token, events) => {
      const connection = new Connection(address.name, token, events);
      this.#connections.push(connection);
      return connection;
    },
    keepAlive: (isBusy) => {
      this.isKeptAlive = isBusy;
    },
    report: (error) => void this.reported.push(error),
    context: undefined,
  };

  /** The next connection that the client has begun to open. */
  connection(): Connection {
    const connection = this.#connections.shift();
    assert.ok(connection !== undefined, 'the client connects');
    return connection;
  }

  get hasConnection(): boolean {
    return this.#connections.length > 0;
  }

  /** The next connection, after the pause that the client makes: opened, its hello taken. */
  reconnection(pauseMs = 5000): {
    connection: Connection;
    hello: Message & { readonly ref: number };
  } {
    this.clock.advance(pauseMs);
    const connection = this.connection();
    connection.open();
    return { connection, hello: connection.take('hello') };
  }

  /** A client that has begun session s1 at the first of its addresses, and its connection. */
  async join(t: TestContext, options: ClientOptions = {}, url = 'locktopus://a,b/shop') {
    const joining = connectClient(this.environment, parseUrl(url), options);
    const connection = this.connection();
    connection.open();
    const { ref } = connection.take('hello');
    connection.say(greeting(ref));
    const client = await joining;
    t.after(() => {
      const closed = client.close();
      // Its `bye` is not answered.
      this.clock.advance(5000);
      return closed;
    });
    return { client, connection };
  }
}

export function greeting(ref: number, fields: Message = {}): Message {
  return {
    ...{ action: 'hello', ref, session: 's1', sessionId: '1', namespace: 'shop', protocol: 2 },
    ...{ version: '0.1.0', abandonTimeoutMs: ABANDON_MS, limits: {} },
    ...fields,
  };
}

/** The answer to a hello that resumes s1, and its list. */
export function resumed(ref: number, ...locks: readonly Message[]): Message[] {
  const list = locks.map((lock) => ({ action: 'lock', ...lock }));
  return [greeting(ref, { resumed: true, locks: locks.length }), ...list];
}

/** Asks for a lock, and has the server grant it. */
export async function granted(
  client: Client,
  connection: Connection,
  { id = '7', holdMs }: { readonly id?: string; readonly holdMs?: number } = {},
) {
  const lock = client.lock({ type: 'write', path: ['a'] }, { holdMs });
  await null;
  const { ref } = connection.take('lock');
  connection.say({ action: 'lock', ref, id, state: 'acquired' });
  return { lock: await lock, ref };
}
