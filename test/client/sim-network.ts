/**
 * A network between many clients and the conversations of a server, on one driven clock. Each direction
 * of each connection has its own delays, can stall, and can lose what is in flight; each side learns of
 * an end in its own time, or never.
 */

import type { Transport, TransportEvents } from '../../src/client/transport.ts';
import type { Channel, Conversation } from '../../src/protocol/channel.ts';
import type { Timer } from '../../src/runtime/clock.ts';
import { messageOf } from '../support/message.ts';
import type { Random } from '../support/random.ts';
import type { SimClock } from './sim-clock.ts';

/** One way of a connection: what goes in comes out in order, later. */
class Lane {
  readonly #clock: SimClock;
  readonly #delay: () => number;
  readonly #waiting: { atMs: number; run: () => void }[] = [];
  #timer: Timer | undefined;
  #heldUntilMs = 0;
  #isDead = false;

  constructor(clock: SimClock, delay: () => number) {
    this.#clock = clock;
    this.#delay = delay;
  }

  push(run: () => void): void {
    if (this.#isDead) return;
    const lastMs = this.#waiting.at(-1)?.atMs ?? 0;
    const atMs = Math.max(lastMs, this.#heldUntilMs, this.#clock.now() + this.#delay());
    this.#waiting.push({ atMs, run });
    if (this.#waiting.length === 1) this.#arm();
  }

  /** Nothing arrives before then. */
  hold(ms: number): void {
    this.#heldUntilMs = Math.max(this.#heldUntilMs, this.#clock.now() + ms);
    for (const item of this.#waiting) item.atMs = Math.max(item.atMs, this.#heldUntilMs);
    this.#arm();
  }

  /** Nothing arrives any more. */
  kill(): void {
    this.#isDead = true;
    this.#waiting.length = 0;
    this.#timer?.cancel();
  }

  #arm(): void {
    this.#timer?.cancel();
    const [first] = this.#waiting;
    if (first === undefined) return;
    this.#timer = this.#clock.setTimer(Math.max(0, first.atMs - this.#clock.now()), () => {
      this.#waiting.shift();
      first.run();
      if (!this.#isDead) this.#arm();
    });
  }
}

/** The server's end of a connection. */
export type SimConversation = Pick<Conversation, 'receive' | 'lost'>;

export class SimConnection implements Channel {
  /** The client's end. */
  readonly transport: Transport;
  readonly client: string;
  readonly locality = 'unix';
  readonly unreadBytes = 0;
  readonly heldAgoMs = Number.POSITIVE_INFINITY;
  readonly #network: SimNetwork;
  readonly #events: TransportEvents;
  readonly #toServer: Lane;
  readonly #toClient: Lane;
  readonly #conversation: SimConversation;
  #isServerDone = false;
  #isClientDone = false;

  constructor(network: SimNetwork, client: string, events: TransportEvents) {
    this.client = client;
    this.#network = network;
    this.#events = events;
    const delay = (): number => network.delayMs();
    this.#toServer = new Lane(network.clock, delay);
    this.#toClient = new Lane(network.clock, delay);
    this.#conversation = network.converse(this);
    const leave = (): void => this.#leave();
    this.transport = {
      send: (text) => this.#toServer.push(() => this.#arrive(text)),
      close: leave,
      destroy: leave,
    };
    this.#toClient.push(() => this.#isClientDone || events.opened());
  }

  reply(message: string): void {
    this.notify(message);
  }

  notify(message: string): void {
    const text = Buffer.from(message, 'latin1').toString('utf8');
    this.#toClient.push(() => this.#isClientDone || this.#events.message(text));
  }

  admitted(): void {}
  yieldTurn(): void {}

  /** The server ends it. */
  end(): void {
    this.#isServerDone = true;
    this.#toClient.push(() => this.#hearEnd());
  }

  holdToServer(ms: number): void {
    this.#toServer.hold(ms);
  }

  holdToClient(ms: number): void {
    this.#toClient.hold(ms);
  }

  /** What is on its way is lost, and what comes; neither side hears of it by this. */
  kill(): void {
    this.#toServer.kill();
    this.#toClient.kill();
  }

  /** The client hears that it has ended. */
  loseClient(): void {
    this.#hearEnd();
  }

  /** The server hears that it has ended. */
  loseServer(): void {
    this.#isServerDone = true;
    this.#conversation.lost();
  }

  #arrive(text: string): void {
    if (!this.#isServerDone) this.#conversation.receive(messageOf(text));
  }

  #leave(): void {
    this.#isClientDone = true;
    this.#toServer.push(() => this.loseServer());
    this.#network.forget(this);
  }

  #hearEnd(): void {
    if (this.#isClientDone) return;
    this.#isClientDone = true;
    this.#network.forget(this);
    this.#events.closed(undefined);
  }
}

export class SimNetwork {
  readonly clock: SimClock;
  readonly #random: Random;
  readonly #makeConversation: (connection: SimConnection) => SimConversation;
  readonly #connections = new Set<SimConnection>();
  isCalm = false;
  connects = 0;
  /** Until when nothing arrives, by client. */
  readonly #cutUntilMs = new Map<string, number>();
  /** Until when its connections end at once. */
  readonly #refusedUntilMs = new Map<string, number>();

  constructor(
    clock: SimClock,
    random: Random,
    makeConversation: (connection: SimConnection) => SimConversation,
  ) {
    this.clock = clock;
    this.#random = random;
    this.#makeConversation = makeConversation;
  }

  connect(client: string, events: TransportEvents): Transport {
    this.connects++;
    const connection = new SimConnection(this, client, events);
    this.#connections.add(connection);
    if (this.clock.now() < (this.#refusedUntilMs.get(client) ?? 0)) connection.end();
    this.#holdBoth(connection, (this.#cutUntilMs.get(client) ?? 0) - this.clock.now());
    // It may be in trouble from the beginning.
    if (!this.isCalm && this.#random.oneIn(8)) this.#trouble(connection);
    return connection.transport;
  }

  converse(connection: SimConnection): SimConversation {
    return this.#makeConversation(connection);
  }

  forget(connection: SimConnection): void {
    this.#connections.delete(connection);
  }

  /** For some time nothing arrives on the connections of a client, in either direction. */
  cut(client: string, ms: number): void {
    this.#cutUntilMs.set(client, this.clock.now() + ms);
    for (const connection of this.#connections) {
      if (connection.client === client) this.#holdBoth(connection, ms);
    }
  }

  /** For some time a client's connections end, which the server does not hear of. */
  refuse(client: string, ms: number): void {
    this.#refusedUntilMs.set(client, this.clock.now() + ms);
    for (const connection of this.#connections) {
      if (connection.client !== client) continue;
      connection.kill();
      connection.loseClient();
    }
  }

  #holdBoth(connection: SimConnection, ms: number): void {
    if (ms <= 0) return;
    connection.holdToServer(ms);
    connection.holdToClient(ms);
  }

  delayMs(): number {
    return this.#random.below(4) / 2;
  }

  /** Something happens to one of the connections. */
  disturb(): void {
    const connections = [...this.#connections];
    if (connections.length > 0) this.#trouble(this.#random.pick(connections));
  }

  #trouble(connection: SimConnection): void {
    const random = this.#random;
    const longMs = random.pick([10, 100, 1000, 3000]);
    const later = (run: () => void): void => {
      if (!random.oneIn(3)) this.clock.setTimer(random.below(longMs), run);
    };
    switch (random.below(5)) {
      case 0:
        // Broken: each side hears of it in its own time, if at all.
        connection.kill();
        later(() => connection.loseServer());
        later(() => connection.loseClient());
        break;
      case 1:
        connection.holdToServer(random.below(longMs));
        break;
      case 2:
        connection.holdToClient(random.below(longMs));
        break;
      case 3:
        // Half open: what the server said is on its way still, while it takes the client for lost.
        connection.holdToClient(random.below(longMs));
        later(() => connection.loseServer());
        break;
      default:
        connection.holdToServer(random.below(longMs));
        connection.holdToClient(random.below(longMs));
    }
  }
}
