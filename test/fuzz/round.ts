/**
 * One round of fuzzing, from one seed: a server of its own, bystanders who hold and await locks,
 * and clients that send arbitrary bytes. Throws when anything is not as it must be.
 *
 * Nothing is judged by time. A connection hangs when it has not been answered although another one,
 * opened before it, has been `PATIENCE` times over; the server's own clock is driven.
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

/** Answers to another, or turns of the event loop, that somebody may have to wait for his own. */
const PATIENCE = 2000;
/** How often the delay of an answer to a wrong token is let pass while somebody waits. */
const DELAYS = 20;
const MAX_CLIENTS = 24;
/** Past every timeout that a client can have asked for. */
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

/** Every namespace that ever had a lock, through the only window that the server has. */
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

/** What a round came across, to see that none of it is out of reach. */
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
  /** What lets in, if anything must. */
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
      // With a token of their own for administrators, nobody else may touch the lock of another.
      adminTokens: [ADMIN_TOKEN],
      lockObserver: this.#seen,
    });
  }

  async play(): Promise<RoundReport> {
    const random = this.#random;
    await this.#server.listen();
    const words = this.#drawWords();
    const bystanders = await Bystanders.arrive(this.#t, this.#server, random, words, this.#token);
    // One whose session may be taken over, and one who asks now and then whether all is well.
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

  /** Leaves nothing open that would keep a process that failed from ending. */
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

  /** Waits until the server has let go of a client that has ended its side. */
  async #seeOff(client: FuzzClient, control: LineClient): Promise<void> {
    if (client.script.ending === 'stay') return;
    // Who reads nothing can't be told that this is the end.
    if (!client.script.reads) client.socket.resume();
    const isGone = (): boolean => client.isClosed || client.isOver;
    for (let count = 0; !isGone() && count < DELAYS; count++) {
      for (let trips = 0; !isGone() && trips < PATIENCE / DELAYS; trips++) {
        await control.ask({ action: 'ping' });
      }
      // A wrong token is answered late.
      if (!isGone()) this.#clock.advance(WRONG_TOKEN_DELAY_MS);
    }
    await patiently(control, isGone, client, 'is not let go');
  }

  /** Everybody goes, or is sent away; nothing at all is left of anybody. */
  async #end(): Promise<void> {
    const isStopped = this.#random.oneIn(4);
    const drained = isStopped ? this.#server.drain(this.#random.pick([0, 1000])) : undefined;
    // Those who stay are told to go when the server stops.
    if (isStopped) await turns();
    for (const client of this.#clients) {
      client.check();
      client.socket.destroy();
    }
    await within(() => {
      // Whoever waits for the late answer to a wrong token is not looked at before.
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

  /** A session that is over can't be resumed: nothing keeps its name. */
  async #nobodyComesBack(): Promise<void> {
    const client = await LineClient.connect(this.#t, this.#server.address.port);
    for (const session of this.#clients.flatMap(({ sessions }) => sessions)) {
      const reply = await client.ask({ action: 'hello', session, token: this.#token });
      assert.equal(codeOf(reply), 'no_such_session');
    }
    client.socket.destroy();
  }
}

/** Waits until `client` has heard what it must; then it ends its side, if it means to. */
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
    if (trips > PATIENCE) assert.fail(`${fault}: ${described(script)}`);
    await control.ask({ action: 'ping' });
  }
}

/** Waits for the server in this process, some turns of the event loop but not for ever. */
export async function within(condition: () => boolean, what: string): Promise<void> {
  for (let count = 0; !condition(); count++) {
    assert.ok(count < PATIENCE, what);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

async function turns(): Promise<void> {
  for (let count = 0; count < 10; count++) await new Promise((resolve) => setImmediate(resolve));
}

/** What somebody might guess who has seen most of a name. */
function nearly(name: string): string[] {
  const [most, last] = [name.slice(0, -1), name.slice(-1)];
  const other = last === '-' ? '_' : '-';
  return [most, `${name} `, name.toLowerCase(), `${most}${other}`, `\0${name}`];
}

function described({ kind, ending, pieces, foresight }: Script): string {
  const bytes = Buffer.concat(pieces).toString('latin1');
  return `${kind}, then ${ending}, ${foresight.fate}: ${JSON.stringify(bytes.slice(0, 4000))}`;
}
