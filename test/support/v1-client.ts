/**
 * A v1 client on the `ws` package, for tests that compare every message exactly, and a server for
 * it on a fake clock.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { TestContext } from 'node:test';
import type { Server } from '../../src/server.ts';
import type { ServerOptions } from '../../src/server-options.ts';
import { FakeClock } from './fake-clock.ts';
import { lock } from './line-client.ts';
import { startServer } from './running-server.ts';
import { Watch } from './watch.ts';
import { WsClient } from './ws-client.ts';

export class V1Client extends WsClient {
  /** @param query the parameters, percent-encoded where necessary */
  static async connect(t: TestContext, port: number, query = 'namespace=test'): Promise<V1Client> {
    const client = new V1Client(t, port, `/v1?${query}`);
    await once(client.socket, 'open');
    return client;
  }

  /** Locks resources that must be free; returns the lock's id. */
  async acquire(...resources: object[]): Promise<string> {
    const frame = await this.ask(lock(...resources));
    const id = idOf(frame);
    assert.equal(frame, acquired(id));
    return id;
  }

  /** Requests resources that must be taken; returns the lock's id. */
  async enqueue(...resources: object[]): Promise<string> {
    const frame = await this.ask(lock(...resources));
    const id = idOf(frame);
    assert.equal(frame, enqueued(id));
    return id;
  }

  /** Waits for the frame that reports that the enqueued lock with that id is held. */
  async granted(id: string): Promise<void> {
    assert.equal(await this.next(), acquired(id));
  }

  /** Releases its lock, which must be the one with that id. */
  async release(id: string): Promise<void> {
    assert.equal(await this.ask({ action: 'release' }), ready(id));
  }
}

/** The exact frames of v1. */
export function acquired(id: string): string {
  return `{"id":"${id}","action":"lock","state":"acquired"}`;
}

export function enqueued(id: string): string {
  return `{"id":"${id}","action":"lock","state":"enqueued"}`;
}

export function ready(id: string): string {
  return `{"id":"${id}","action":"release","state":"ready"}`;
}

export function idOf(frame: string): string {
  const { id } = JSON.parse(frame);
  assert.match(id, /^[1-9][0-9]*$/);
  assert.ok(Number.isSafeInteger(Number(id)));
  return id;
}

export interface V1Server {
  readonly server: Server;
  readonly port: number;
  readonly clock: FakeClock;
  readonly watch: Watch;
  /** A client of that server. */
  connect(query?: string): Promise<V1Client>;
}

export async function startV1(t: TestContext, options: ServerOptions = {}): Promise<V1Server> {
  const clock = new FakeClock();
  const watch = new Watch();
  const observers = { clientObserver: watch, lockObserver: watch };
  const server = await startServer(t, { clock, ...observers, ...options });
  const { port } = server.address;
  return { server, port, clock, watch, connect: (query) => V1Client.connect(t, port, query) };
}
