/**
 * One round of fuzzing, from one seed: a server of its own, bystanders that hold and await locks,
 * and clients that send arbitrary bytes. Throws if a check fails.
 *
 * No check depends on real time: the server runs on a fake clock. A connection counts as hung if it
 * has no answer while another one, opened before it, has had `MAX_TRIPS` answers.
 */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { WRONG_TOKEN_DELAY_MS } from '../../src/protocol/auth.ts';
import { DEFAULT_LIMITS, type Limits } from '../../src/runtime/limits.ts';
import { Server } from '../../src/server.ts';
import type { SessionLock } from '../../src/session/lock-record.ts';
import type { Namespace } from '../../src/session/namespace.ts';
import type { LockObserver } from '../../src/session/session-host.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { LineClient } from '../support/line-client.ts';
import { codeOf } from '../support/line-server.ts';
import type { Random } from '../support/random.ts';
import { NOTHING_LEFT } from '../support/running-server.ts';
import { Bystanders } from './bystanders.ts';
import { FuzzClient, type Script } from './client.ts';
import type { Vocabulary } from './messages.ts';
import { drawScript } from './script.ts';

const TOKEN = 'Let-me-in-0123456789';
const ADMIN_TOKEN = 'Let-me-reign-0123456789';

/** The most answers to another client, or turns of the event loop, that an answer may take. */
const MAX_TRIPS = 2000;
/** The most delays of an answer to a wrong token that pass while a client waits. */
const DELAYS = 20;
const MAX_CLIENTS = 24;
/** Longer than every timeout that a client can have set. */
const FOR_EVER_MS = 2 ** 55;

const TIGHT: Limits = {
  ...DEFAULT_LIMITS,
  maxMessageBytes: 3000,
  maxFragments: 8,
  maxResourcesPerLock: 5,
  maxSegmentsPerPath: 6,
  maxSegmentBytes: 40,
  maxLocksPerSession: 5,
  maxWaitersPerNamespace: 12,
  maxWatches: 2,
};

/** Every namespace that ever had a lock: the server shows them only to its lock observer. */
class Seen implements LockObserver {
  readonly namespaces = new Set<Namespace>();

  enqueued(lock: SessionLock): void {
    this.#note(lock);
  }

  acquired(lock: SessionLock): void {
    this.#note(lock);
  }

  released(): void {}

  verify(): void {
    for (const { table } of this.namespaces) table.verify();
  }

  #note(lock: SessionLock): void {
    this.namespaces.add(lock.context.session.namespace);
  }
}

/** What a round has covered, so that the test sees that nothing is out of reach. */
export interface RoundReport {
  readonly clients: number;
  /** Codes of errors, and `action state` of other replies. */
  readonly heard: readonly string[];
}

export async function playRound(t: TestContext, random: Random): Promise<RoundReport> {
  const round = new Round(t, random);
  try {
    return await round.play();
  } catch (error) {
    round.abandon();
    throw error;
  }
}

class Round {
  readonly #t: TestContext;
  readonly #random: Random;
  readonly #clock = new FakeClock();
  readonly #seen = new Seen();
  readonly #limits: Limits;
  /** A valid token, if one is required. */
  readonly #token: string | undefined;
  readonly #server: Server;
  #clients: FuzzClient[] = [];

  constructor(t: TestContext, random: Random) {
    this.#t = t;
    this.#random = random;
    this.#limits = random.oneIn(8) ? DEFAULT_LIMITS : TIGHT;
    this.#token = random.oneIn(4) ? TOKEN : undefined;
    this.#server = new Server({
      port: 0,
      clock: this.#clock,
      limits: this.#limits,
      tokens: this.#token === undefined ? [] : [this.#token],
      // With admin tokens, no other client may evict the lock of another.
      adminTokens: [ADMIN_TOKEN],
      lockObserver: this.#seen,
    });
  }

  async play(): Promise<RoundReport> {
    const random = this.#random;
    await this.#server.listen();
    const words = this.#drawWords();
    const bystanders = await Bystanders.arrive(this.#t, this.#server, random, words, this.#token);
    // One whose session may be taken over, and one that checks the server now and then.
    const ally = await this.#friend();
    const control = await this.#friend();
    await this.#runClients(control.client, {
      ...words,
      ids: [...bystanders.ids, '1'],
      sessions: [...Array(3).fill(ally.session), ...bystanders.names.flatMap(nearly)],
    });
    for (let count = random.below(4); count > 0; count--) {
      await bystanders.check();
      this.#seen.verify();
      this.#clock.advance(random.below(29_000));
    }
    await bystanders.check();
    this.#seen.verify();
    await bystanders.releaseAll(this.#t, this.#server.address.port, random);
    this.#seen.verify();
    for (const { client } of [ally, control]) client.socket.destroy();
    await this.#end();
    const heard = this.#clients.flatMap(({ heard }) => heard);
    return { clients: this.#clients.length, heard };
  }

  /** Closes all that would keep a failed process from ending. */
  abandon(): void {
    void this.#server.close();
    this.#clock.advance(FOR_EVER_MS);
    for (const { socket } of this.#clients) socket.destroy();
  }

  #drawWords(): Vocabulary {
    const good = this.#token === undefined ? [] : [this.#token, this.#token];
    const segments = ['a', 'b', '', '__proto__', '\ud800', '\ufffd', 'é'];
    return {
      namespaces: this.#random.pick([
        ['default'],
        ['default', 'shop'],
        ['__proto__', 'é', 'default'],
      ]),
      segments: segments.slice(0, 1 + this.#random.below(segments.length)),
      ids: [],
      sessions: [],
      tokens: [...good, ...nearly(TOKEN), ...nearly(ADMIN_TOKEN)],
      isGuarded: this.#token !== undefined,
    };
  }

  async #friend(): Promise<{ client: LineClient; session: string }> {
    const client = await LineClient.connect(this.#t, this.#server.address.port);
    const { session } = await client.ask({ action: 'hello', token: this.#token });
    return { client, session: String(session) };
  }

  async #runClients(control: LineClient, words: Vocabulary): Promise<void> {
    const { port } = this.#server.address;
    const scripts = Array.from({ length: 1 + this.#random.below(MAX_CLIENTS) }, () =>
      drawScript(this.#random, words, this.#limits),
    );
    this.#clients = await Promise.all(scripts.map((script) => FuzzClient.play(port, script)));
    for (const client of this.#clients) await hearOut(client, control);
    for (const client of this.#clients) await this.#seeOff(client, control);
  }

  /** Waits until the server has closed a connection whose client has ended its side. */
  async #seeOff(client: FuzzClient, control: LineClient): Promise<void> {
    if (client.script.ending === 'stay') return;
    // A client that reads nothing can't learn that this is the end.
    if (!client.script.reads) client.socket.resume();
    const isGone = (): boolean => client.isClosed || client.isOver;
    for (let count = 0; !isGone() && count < DELAYS; count++) {
      for (let trips = 0; !isGone() && trips < MAX_TRIPS / DELAYS; trips++) {
        await control.ask({ action: 'ping' });
      }
      // A wrong token is answered late.
      if (!isGone()) this.#clock.advance(WRONG_TOKEN_DELAY_MS);
    }
    await patiently(control, isGone, client, 'is not let go');
  }

  /** All clients leave, or are disconnected; the server must keep nothing for any of them. */
  async #end(): Promise<void> {
    const isStopped = this.#random.oneIn(4);
    const drained = isStopped ? this.#server.drain(this.#random.pick([0, 1000])) : undefined;
    // Those that stay are disconnected when the server stops.
    if (isStopped) await turns();
    for (const client of this.#clients) {
      client.check();
      client.socket.destroy();
    }
    await within(() => {
      // A client that waits for the delayed answer to a wrong token is not checked before.
      this.#clock.advance(1);
      return this.#server.counts.connections === 0;
    }, 'the last connection is gone');
    this.#clock.advance(FOR_EVER_MS);
    await drained;
    assert.deepEqual(this.#server.counts, NOTHING_LEFT);
    assert.equal(this.#clock.pendingTimers, 0, 'no timer is left');
    this.#seen.verify();
    for (const { table } of this.#seen.namespaces) assert.ok(table.isEmpty);
    if (!isStopped) await this.#nobodyComesBack();
    await this.#server.close();
  }

  /** A session that has ended can't be resumed: the server does not keep its name. */
  async #nobodyComesBack(): Promise<void> {
    const client = await LineClient.connect(this.#t, this.#server.address.port);
    for (const session of this.#clients.flatMap(({ sessions }) => sessions)) {
      const reply = await client.ask({ action: 'hello', session, token: this.#token });
      assert.equal(codeOf(reply), 'no_such_session');
    }
    client.socket.destroy();
  }
}

/** Waits until `client` has its answer; then it ends its side, if it is to. */
async function hearOut(client: FuzzClient, control: LineClient): Promise<void> {
  const { script } = client;
  if (script.ending !== 'ask') return;
  const isSure = script.foresight.fate !== 'unknown';
  if (isSure) await patiently(control, () => client.isSatisfied, client, 'is not answered');
  if (isSure) client.judge();
  if (client.socket.writable) client.socket.end();
}

async function patiently(
  control: LineClient,
  condition: () => boolean,
  client: FuzzClient,
  fault: string,
): Promise<void> {
  const { script } = client;
  for (let trips = 0; !condition(); trips++) {
    client.check();
    if (trips > MAX_TRIPS) assert.fail(`${fault}: ${described(script)}`);
    await control.ask({ action: 'ping' });
  }
}

/** Waits for the server in this process, for a bounded number of turns of the event loop. */
export async function within(condition: () => boolean, what: string): Promise<void> {
  for (let count = 0; !condition(); count++) {
    assert.ok(count < MAX_TRIPS, what);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

async function turns(): Promise<void> {
  for (let count = 0; count < 10; count++) await new Promise((resolve) => setImmediate(resolve));
}

/** Guesses of a client that has seen most of a name. */
function nearly(name: string): string[] {
  const [most, last] = [name.slice(0, -1), name.slice(-1)];
  const other = last === '-' ? '_' : '-';
  return [most, `${name} `, name.toLowerCase(), `${most}${other}`, `\0${name}`];
}

function described({ kind, ending, pieces, foresight }: Script): string {
  const bytes = Buffer.concat(pieces).toString('latin1');
  return `${kind}, then ${ending}, ${foresight.fate}: ${JSON.stringify(bytes.slice(0, 4000))}`;
}
