/**
 * A network between many clients and the conversations of a server, on one driven clock. Each direction
 * of each connection has its own delays, can stall, and can lose what is in flight; each side learns of
 * an end in its own time, or never.
 */
import type { Transport, TransportEvents } from '../../src/client/transport.ts';
import type { Channel, Conversation } from '../../src/protocol/channel.ts';
import type { Clock, Timer } from '../../src/runtime/clock.ts';
import type { Random } from '../support/random.ts';

interface Due extends Timer {
  readonly atMs: number;
  readonly run: () => void;
}

/** A clock that goes from one thing that falls due to the next. */
export class SimClock implements Clock {
  #nowMs = 0;
  /** By time, then by creation. */
  readonly #due: Due[] = [];

  now(): number {
    return this.#nowMs;
  }

  get isEmpty(): boolean {
    return this.#due.length === 0;
  }

  setTimer(delayMs: number, run: () => void): Timer {
    const atMs = this.#nowMs + delayMs;
    const timer: Due = {
      atMs,
      run,
      cancel: () => {
        const index = this.#due.indexOf(timer);
        if (index >= 0) this.#due.splice(index, 1);
      },
    };
    let index = this.#due.length;
    while (index > 0 && (this.#due[index - 1]?.atMs ?? 0) > atMs) index--;
    this.#due.splice(index, 0, timer);
    return timer;
  }

  soon(job: () => void): void {
    queueMicrotask(job);
  }

  nextTurn(job: () => void): void {
    this.setTimer(0, job);
  }

  /** Does the next thing, if there is one until then; otherwise it is that time. */
  step(untilMs: number): boolean {
    const next = this.#due[0];
    if (next === undefined || next.atMs > untilMs) {
      this.#nowMs = Math.max(this.#nowMs, untilMs);
      return false;
    }
    this.#due.shift();
    this.#nowMs = Math.max(this.#nowMs, next.atMs);
    next.run();
    return true;
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => void this.setTimer(ms, resolve));
  }
}

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

export class SimConnection implements Channel {
  /** The client's end. */
  readonly transport: Transport;
  readonly client: string;
  readonly locality = 'unix';
  readonly unreadBytes = 0;
  readonly #network: SimNetwork;
  readonly #events: TransportEvents;
  readonly #toServer: Lane;
  readonly #toClient: Lane;
  readonly #conversation: Conversation;
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
    if (!this.#isServerDone) this.#conversation.receive(text);
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
  readonly #makeConversation: (channel: Channel) => Conversation;
  readonly #connections = new Set<SimConnection>();
  isCalm = false;
  connects = 0;

  constructor(
    clock: SimClock,
    random: Random,
    makeConversation: (channel: Channel) => Conversation,
  ) {
    this.clock = clock;
    this.#random = random;
    this.#makeConversation = makeConversation;
  }

  connect(client: string, events: TransportEvents): Transport {
    this.connects++;
    const connection = new SimConnection(this, client, events);
    this.#connections.add(connection);
    // It may be in trouble from the beginning.
    if (!this.isCalm && this.#random.oneIn(8)) this.#trouble(connection);
    return connection.transport;
  }

  converse(channel: Channel): Conversation {
    return this.#makeConversation(channel);
  }

  forget(connection: SimConnection): void {
    this.#connections.delete(connection);
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
