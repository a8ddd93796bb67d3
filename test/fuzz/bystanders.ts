/**
 * Sessions that hold and await locks while others misbehave. Theirs are the oldest locks of their
 * namespaces, so later clients can't make them wait, and a model of their locks alone says which of
 * them are held.
 */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import type { Server } from '../../src/server.ts';
import type { Resource } from '../../src/table/resource.ts';
import { LineClient, lock, type Reply } from '../support/line-client.ts';
import { unreadOf } from '../support/line-server.ts';
import { LockModel } from '../support/lock-model.ts';
import type { Random } from '../support/random.ts';
import { until } from '../support/running-server.ts';
import { WebSocketClient } from '../support/websocket-client.ts';
import { FIN, frame, PING, PONG } from '../support/websocket-frames.ts';
import type { Vocabulary } from './messages.ts';

/** One of their locks. */
interface Held {
  readonly id: number;
  readonly owner: Bystander;
  isAcquired: boolean;
}

interface Bystander {
  readonly namespace: string;
  /** The name by which it can be resumed; v1 has none. */
  readonly name: string | undefined;
  ask(message: object): Promise<Reply>;
  /** All messages that are no replies. Also shows the server that the client is alive. */
  unread(): Promise<Reply[]>;
  leave(): void;
}

/** Longer than any round's time. */
const ABANDON_TIMEOUT_MS = 1e12;

/** The most of one bystander: less than any round's limit. */
const MAX_LOCKS = 4;

export class Bystanders {
  readonly #locks: Held[] = [];
  readonly #all: Bystander[] = [];
  readonly #models = new Map<string, LockModel>();
  /** A valid token. */
  #token: string | undefined;
  /** A bystander without a connection, with what it needs to resume. */
  #lost: { readonly name: string; readonly bystander: LostBystander } | undefined;

  get ids(): string[] {
    return this.#locks.map(({ id }) => String(id));
  }

  get names(): string[] {
    return this.#all.flatMap(({ name }) => name ?? []);
  }

  static async arrive(
    t: TestContext,
    server: Server,
    random: Random,
    words: Vocabulary,
    token: string | undefined,
  ): Promise<Bystanders> {
    const { port } = server.address;
    const all = new Bystanders();
    all.#token = token;
    const namespace = () => random.pick(words.namespaces);
    for (let count = 1 + random.below(3); count > 0; count--) {
      all.#all.push(await lineBystander(t, port, namespace(), token));
    }
    if (random.oneIn(2)) all.#all.push(await v1Bystander(t, port, namespace(), token));
    const lost = new LostBystander(await lineBystander(t, port, namespace(), token));
    all.#all.push(lost);
    all.#lost = { name: lost.name, bystander: lost };
    for (let count = 2 + random.below(8); count > 0; count--) {
      await all.#lock(random.pick(all.#all), drawResources(random, words));
    }
    if (random.oneIn(2)) await lost.lose(server);
    return all;
  }

  /** Checks that nothing has changed for any of them, and that the server agrees with the model. */
  async check(): Promise<void> {
    for (const bystander of this.#all) assert.deepEqual(await bystander.unread(), []);
  }

  /** Releases each lock, and checks that exactly the locks that the model names are granted. */
  async releaseAll(t: TestContext, port: number, random: Random): Promise<void> {
    if (this.#lost?.bystander.isLost) await this.#resume(t, port, this.#lost.bystander);
    while (this.#locks.length > 0) {
      const [held] = this.#locks.splice(random.below(this.#locks.length), 1);
      if (held === undefined) continue;
      const isV1 = held.owner.name === undefined;
      const reply = await held.owner.ask(
        isV1 ? { action: 'release' } : { action: 'release', id: String(held.id) },
      );
      assert.deepEqual([reply.id, reply.state], [String(held.id), isV1 ? 'ready' : 'released']);
      this.#model(held.owner.namespace).release(held.id);
      await this.#expectGrants();
    }
    for (const bystander of this.#all) bystander.leave();
  }

  async #lock(bystander: Bystander, resources: Resource[]): Promise<void> {
    const count = this.#locks.filter(({ owner }) => owner === bystander).length;
    if (count === (bystander.name === undefined ? 1 : MAX_LOCKS)) return;
    const reply = await bystander.ask(lock(...resources));
    const id = Number(reply.id);
    const model = this.#model(bystander.namespace);
    // v1 has no limits: the server ignores the field.
    const counted = bystander.name === undefined ? resources.map(withoutLimit) : resources;
    model.lock({ id, resources: counted });
    const isAcquired = model.acquired().has(id);
    assert.equal(reply.state, isAcquired ? 'acquired' : 'enqueued');
    this.#locks.push({ id, owner: bystander, isAcquired });
  }

  async #expectGrants(): Promise<void> {
    for (const bystander of this.#all) {
      const model = this.#model(bystander.namespace);
      const granted = this.#locks.filter(
        (held) => held.owner === bystander && !held.isAcquired && model.acquired().has(held.id),
      );
      const told = await bystander.unread();
      assert.deepEqual(
        told.map(({ id, state }) => [id, state]),
        granted.map(({ id }) => [String(id), 'acquired']),
        'those whose turn it is are told, in order of arrival',
      );
      for (const held of granted) held.isAcquired = true;
    }
  }

  /** Resumes, and checks that everything is as it was. */
  async #resume(t: TestContext, port: number, lost: LostBystander): Promise<void> {
    const client = await LineClient.connect(t, port);
    const own = this.#locks.filter(({ owner }) => owner === lost);
    const hello = await client.ask({ action: 'hello', session: lost.name, token: this.#token });
    assert.deepEqual([hello.resumed, hello.locks], [true, own.length]);
    for (const { id, isAcquired } of own) {
      const reply = await client.next();
      assert.deepEqual([reply.id, reply.state], [String(id), isAcquired ? 'acquired' : 'enqueued']);
    }
    lost.comeBack(client);
  }

  #model(namespace: string): LockModel {
    const model = this.#models.get(namespace) ?? new LockModel();
    this.#models.set(namespace, model);
    return model;
  }
}

async function lineBystander(
  t: TestContext,
  port: number,
  namespace: string,
  token: string | undefined,
): Promise<LineBystander> {
  const client = await LineClient.connect(t, port);
  const hello = { action: 'hello', namespace, token, abandonTimeoutMs: ABANDON_TIMEOUT_MS };
  const { session } = await client.ask(hello);
  return new LineBystander(client, namespace, String(session));
}

class LineBystander implements Bystander {
  readonly namespace: string;
  readonly name: string;
  client: LineClient;

  constructor(client: LineClient, namespace: string, name: string) {
    this.client = client;
    this.namespace = namespace;
    this.name = name;
  }

  ask(message: object): Promise<Reply> {
    return this.client.ask(message);
  }

  unread(): Promise<Reply[]> {
    return unreadOf(this.client);
  }

  leave(): void {
    this.client.send({ action: 'bye' });
    this.client.socket.end();
  }
}

/** A bystander that can lose its connection for a while; then it receives nothing. */
class LostBystander extends LineBystander {
  isLost = false;

  constructor(before: LineBystander) {
    super(before.client, before.namespace, before.name);
  }

  async lose(server: Server): Promise<void> {
    const { connections } = server.counts;
    this.client.socket.resetAndDestroy();
    this.isLost = true;
    await until(() => server.counts.connections < connections);
  }

  comeBack(client: LineClient): void {
    this.client = client;
    this.isLost = false;
  }

  override async unread(): Promise<Reply[]> {
    return this.isLost ? [] : super.unread();
  }
}

async function v1Bystander(
  t: TestContext,
  port: number,
  namespace: string,
  token: string | undefined,
): Promise<Bystander> {
  const shown = token === undefined ? '' : `&token=${token}`;
  const query = `namespace=${encodeURIComponent(namespace)}&abandon-timeout-ms=${ABANDON_TIMEOUT_MS}${shown}`;
  const client = await WebSocketClient.connect(t, port, `/v1?${query}`);
  return {
    namespace,
    name: undefined,
    ask: (message) => {
      client.send(message);
      return client.next();
    },
    unread: async () => {
      client.sendBytes(frame(FIN | PING, 'unread'));
      const replies: Reply[] = [];
      for (;;) {
        const { opcode, payload } = await client.nextFrame();
        if (opcode === PONG) return replies;
        if (opcode !== PING) replies.push(JSON.parse(payload.toString()));
      }
    },
    leave: () => void client.socket.end(),
  };
}

function withoutLimit({ type, path }: Resource): Resource {
  return { type, path };
}

function drawResources(random: Random, words: Vocabulary): Resource[] {
  return Array.from({ length: 1 + random.below(2) }, () => {
    const path = Array.from({ length: random.below(3) }, () => random.pick(words.segments));
    const type = random.pick(['read', 'write'] as const);
    return type === 'read' && random.oneIn(4)
      ? { type, path, limit: 1 + random.below(2) }
      : { type, path };
  });
}
