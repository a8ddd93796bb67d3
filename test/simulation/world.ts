/**
 * A whole server behind fake sockets and a fake clock, its clients, and its reference. Every step
 * is one event: a client sends a message, bytes arrive, time passes, a connection is cut. After
 * each, the messages on every connection and the calls of the server's observer must be those that
 * the reference expects, and the tables must hold the reference's locks.
 */
import assert from 'node:assert/strict';
import type { LineHost } from '../../src/net/lines/line-connection.ts';
import { SessionProtocol } from '../../src/protocol/session-protocol.ts';
import { V1Protocol } from '../../src/protocol/v1-protocol.ts';
import type { SessionLock } from '../../src/session/lock-record.ts';
import type { Namespace } from '../../src/session/namespace.ts';
import type { Reply } from '../support/line-client.ts';
import { LockModel } from '../support/lock-model.ts';
import type { Random } from '../support/random.ts';
import { type LockView, SimulatedClient } from './client.ts';
import { Fences, Ledger, type SessionView, Told } from './ledger.ts';
import { ReferencePeer, ReferenceServer, type Snapshot } from './reference.ts';
import type {
  EvictRequest,
  ExtendRequest,
  HelloRequest,
  LockRequest,
  Request,
} from './requests.ts';
import type { SimulatedClock } from './simulated-clock.ts';
import { type Backing, type ServerParts, SimulatedServer } from './simulated-server.ts';
import { drawLie, drawResources, drawSome, drawSwarm, type Step, type Swarm } from './swarm.ts';
import { Wire, type WireHost } from './wire.ts';

const DEFAULT_ABANDON_TIMEOUT_MS = 300;
/** The unit of time, so that sums are exact. */
const TICKS_PER_MS = 2 ** 20;
/** Up to this many clients, everything is checked after every step. */
const SMALL = 6;
/** Steps between two checks of a larger world. */
const LOOK_EVERY = 97;

/** What is to be found again after a crash. */
export interface WorldSnapshot {
  readonly reference: Snapshot;
  readonly fences: ReadonlyMap<string, Fences>;
  /** The last lock id. */
  readonly lastId: number;
}

export class World implements WireHost {
  readonly swarm: Swarm;
  readonly ledger = new Ledger();
  readonly #random: Random;
  readonly #parts: ServerParts;
  #server: SimulatedServer;
  /** When the present server started. */
  #startMs = 0;
  #reference: ReferenceServer;
  #lastName = '';
  #lastSessionBeforeDrain = 0;
  readonly #told = new Told();
  #fences = new Map<string, Fences>();
  readonly #clients: SimulatedClient[];
  /** Wires that their clients have left and the server still has. */
  readonly #abandoned = new Set<Wire>();
  readonly #sessions = new Map<string, SessionView>();
  readonly #namespaces = new Set<Namespace>();
  readonly #touched = new Set<ReferencePeer>();
  #observed: string[] = [];
  #wireCount = 0;
  #refCount = 0;
  steps = 0;

  /** @param swarm parameters of the round that are not drawn as usual */
  constructor(random: Random, swarm: Partial<Swarm> = {}) {
    this.#random = random;
    this.swarm = { ...drawSwarm(random), ...swarm };
    this.#parts = {
      limits: this.swarm.limits,
      defaultAbandonTimeoutMs: DEFAULT_ABANDON_TIMEOUT_MS,
      newName: () => {
        this.#lastName = `s${this.#sessions.size}-${random.below(2 ** 30)}`;
        return this.#lastName;
      },
      observer: {
        enqueued: ({ id }) => void this.#observed.push(`enqueued ${id}`),
        acquired: (lock) => this.#acquired(lock),
        released: ({ id }, cause) => {
          this.#observed.push(`${cause} ${id}`);
          if (cause === 'evicted') this.ledger.revoke(id);
        },
      },
    };
    this.#server = new SimulatedServer(this.#parts);
    this.#reference = this.#newReference();
    this.#clients = Array.from({ length: this.swarm.clients }, (_, i) => {
      const kind = random.below(10) < this.swarm.v1Per10 ? 'v1' : 'session';
      return new SimulatedClient(`client ${i}`, kind, this.ledger, () => this.nowMs());
    });
  }

  #newReference(): ReferenceServer {
    const server = this.#server;
    const { lockIds } = server;
    const lastName = (): string => this.#lastName;
    return new ReferenceServer(this.swarm.limits, DEFAULT_ABANDON_TIMEOUT_MS, {
      get lastId() {
        return lockIds.last;
      },
      get lastName() {
        return lastName();
      },
      inputHeldMs: (nowMs) => server.inputHeldMs(nowMs),
    });
  }

  get server(): LineHost {
    return this.#server.host;
  }

  get clock(): SimulatedClock {
    return this.#server.clock;
  }

  nowMs(): number {
    return this.#startMs + this.clock.now();
  }

  told(reply: Reply): void {
    this.#told.add(reply);
  }

  touched(peer: ReferencePeer): void {
    this.#touched.add(peer);
  }

  lost(peer: ReferencePeer): void {
    // Else the reference would have to know which of the timers that are due now have fired.
    assert.equal(
      this.#reference.clock.now(),
      this.clock.now(),
      'no connection is lost inside a timer',
    );
    this.#reference.lost(peer);
  }

  clientDone(peer: ReferencePeer): void {
    this.#reference.clientDone(peer);
  }

  drained(peer: ReferencePeer): void {
    this.#reference.drained(peer);
  }

  yieldsTurn(): boolean {
    return this.#random.below(10) < this.swarm.yieldsPer10;
  }

  follow(wire: Wire, request: Request): void {
    this.#reference.receive(wire.peer, request);
    if (request.action === 'hello') this.#sessionsMoved(wire, request);
    const { said, expected } = wire.peer;
    assert.equal(said.find(isNoEvent), expected.find(isNoEvent), 'the answer comes first');
    this.#compare();
  }

  /** Plays the round, until no client and no lock is left. */
  play(): void {
    while (this.steps < this.swarm.steps) this.step();
    if (this.#random.oneIn(4)) this.shutDown();
    else this.everybodyLeaves();
    this.checkNothingLeft();
  }

  step(): void {
    this.#step();
    this.#compare();
    const { clients } = this.swarm;
    if (clients <= SMALL || this.steps % LOOK_EVERY === 0) this.#lookAtEverything();
    this.steps++;
  }

  snapshot(): WorldSnapshot {
    const fences = new Map([...this.#fences].map(([name, one]) => [name, one.copy()]));
    return { reference: this.#reference.snapshot(), fences, lastId: this.#server.lockIds.last };
  }

  /**
   * The server is gone, and all connections with it. Another one takes its place, with what its
   * store has: that must be what `snapshot` has.
   */
  async restart(backing: Backing, snapshot: WorldSnapshot): Promise<SimulatedServer> {
    const { reference, fences, lastId } = snapshot;
    const alive = heldOf(this.#reference.snapshot());
    this.#told.check(heldOf(reference), lastId, alive);
    const wires = this.#wires();
    for (const client of this.#clients) this.#readSome(client);
    this.#abandoned.clear();
    this.#namespaces.clear();
    this.#touched.clear();
    this.#observed = [];
    this.#fences = new Map([...fences].map(([name, one]) => [name, one.copy()]));
    const server = new SimulatedServer(this.#parts, backing);
    this.#startMs = this.nowMs();
    this.#server = server;
    for (const wire of wires) wire.serverIsGone();
    await server.recover();
    const { lockIds, registry } = server;
    assert.ok(lockIds.last >= this.#told.lastLockId, 'ids of locks rise over restarts');
    assert.ok(registry.lastSessionId >= this.#told.lastSessionId, 'ids of sessions, too');
    this.#reference = this.#newReference();
    this.#reference.restore(reference, {
      clockMs: this.server.clock.now(),
      lastSessionId: registry.lastSessionId,
      endOf: (name, id) => {
        const lock = registry.get(name)?.lockById(id);
        if (lock === undefined) return undefined;
        const { sinceMs, terms } = lock.context;
        const isHeld = lock.state === 'acquired';
        const ms = isHeld ? terms.holdMs : terms.waitMs;
        return { isHeld, endMs: ms === undefined ? undefined : sinceMs + ms };
      },
    });
    this.#compare();
    this.#lookAtEverything();
    return server;
  }

  /** What had left the server may reach its client, or may not. */
  #readSome(client: SimulatedClient): void {
    const { wire } = client;
    if (wire === undefined) return;
    const most = wire.messagesToClient;
    const count = this.#random.oneIn(2) ? most : this.#random.below(most + 1);
    for (let i = 0; i < count; i++) client.read();
    client.wire = undefined;
  }

  /** From here on holders may finish, and all others are disconnected. */
  #drain(): void {
    const wires = this.#wires();
    for (const wire of wires) wire.serverDraining();
    this.#server.registry.drain();
    this.#lastSessionBeforeDrain = this.#server.registry.lastSessionId;
    // What is written now may cut a connection: server and reference do that after the drain.
    this.#reference.drain(wires.map(({ peer }) => peer));
    this.clock.runSoon();
  }

  #step(): void {
    if (this.steps === this.swarm.drainStep) this.#drain();
    const random = this.#random;
    // No two steps at the same time: timers that are due at the same time have no order.
    this.#tick();
    while (this.clock.hasTurns && !random.oneIn(3)) this.#turn();
    const step = random.pick(this.swarm.odds);
    if (step === 'time') {
      this.#timePasses();
      return;
    }
    if (step === 'notice') {
      this.#notice();
      return;
    }
    const client = random.pick(this.#clients);
    const { wire } = client;
    if (!this.clock.hasTurns && !this.#server.isHeldBack) wire?.checkAllIsWritten();
    if (wire === undefined) this.#connect(client);
    else if (step === 'up' && wire.bytesToServer > 0) this.#up(wire);
    else if (client.isStalled) this.#maybeWake(client, wire);
    else if (step === 'down' || step === 'up') this.#down(client);
    else if (step === 'cut') this.#cut(client, wire);
    else if (step === 'stall') this.#stall(client, wire);
    else if (!client.isResuming) this.#speak(client, step);
  }

  #tick(): void {
    this.#advance((1 + this.#random.below(TICKS_PER_MS / 256)) / TICKS_PER_MS);
  }

  /** Gives a turn to what has waited longest. */
  #turn(): void {
    this.clock.runTurn();
    this.#tick();
  }

  #timePasses(): void {
    const { jumpMs } = this.swarm;
    const long = this.#random.oneIn(40) ? 30 : 1;
    this.#advance(this.#random.below(jumpMs * long));
  }

  #advance(ms: number): void {
    this.clock.advance(ms);
    this.#reference.clock.advance(ms);
    this.#compare();
  }

  /** The server receives what clients have left behind: bytes in flight, or the end. */
  #notice(): void {
    const [first] = this.#abandoned;
    if (first === undefined) return;
    const wire = this.#random.oneIn(2) ? first : this.#random.pick([...this.#abandoned]);
    if (wire.bytesToServer > 0 && !wire.isEnded) this.#up(wire);
    else this.#lose(wire);
  }

  #up(wire: Wire): void {
    const { bytesToServer } = wire;
    const random = this.#random;
    if (bytesToServer > 0)
      wire.deliver(random.oneIn(3) ? 1 + random.below(bytesToServer) : bytesToServer);
  }

  #down(client: SimulatedClient): void {
    const { wire } = client;
    if (wire === undefined) return;
    let count = 1 + this.#random.below(wire.messagesToClient + 1);
    while (count-- > 0 && wire.messagesToClient > 0) client.read();
    if (!(wire.hasClosed || wire.isLost) || wire.messagesToClient > 0) return;
    client.wire = undefined;
    this.#lose(wire);
  }

  #lose(wire: Wire): void {
    this.#abandoned.delete(wire);
    wire.lose(this.#random.oneIn(3));
    this.#compare();
  }

  #cut(client: SimulatedClient, wire: Wire): void {
    const random = this.#random;
    client.wire = undefined;
    if (random.oneIn(2)) this.#up(wire);
    if (random.oneIn(2)) {
      for (let count = random.below(wire.messagesToClient + 1); count > 0; count--) {
        client.readFrom(wire);
      }
    }
    const isHalfClosed = random.oneIn(4);
    if (isHalfClosed) wire.deliver(wire.bytesToServer);
    wire.cut();
    if (!isHalfClosed && random.oneIn(5)) {
      client.giveUpAll();
      wire.close();
      this.#compare();
    } else if (isHalfClosed || random.oneIn(2)) this.#lose(wire);
    else this.#abandoned.add(wire);
  }

  #stall(client: SimulatedClient, wire: Wire): void {
    client.isStalled = true;
    wire.stall();
  }

  #maybeWake(client: SimulatedClient, wire: Wire): void {
    if (!this.#random.oneIn(8)) return;
    client.isStalled = false;
    wire.wake();
  }

  #connect(client: SimulatedClient): void {
    const { swarm } = this;
    const random = this.#random;
    if (client.kind === 'v1') {
      // Its handshake would be refused.
      if (this.#server.registry.isDraining) return;
      const session = this.#drawSession();
      const { namespace, abandonTimeoutMs } = session;
      const peer = this.#reference.connectV1(namespace, abandonTimeoutMs);
      const settings = { namespace, abandonTimeoutMs };
      client.connect(this.#wire(peer, (channel) => new V1Protocol(this.server, channel, settings)));
      client.begin(session);
      return;
    }
    client.connect(this.#sessionWire());
    if (random.oneIn(20)) client.say({ action: 'hello', ref: 1, session: this.#guess(client) });
    if (client.sessionName !== undefined && !random.oneIn(10)) {
      client.say(this.#resume(client.sessionName));
    } else if (random.below(10) < swarm.unnamedPer10) {
      client.begin(view('default', DEFAULT_ABANDON_TIMEOUT_MS));
    } else {
      this.#hello(client);
    }
  }

  #sessionWire(): Wire {
    const peer = new ReferencePeer('session');
    return this.#wire(peer, (channel) => new SessionProtocol(this.server, channel));
  }

  #wire(peer: ReferencePeer, converse: ConstructorParameters<typeof Wire>[3]): Wire {
    return new Wire(this, `wire ${++this.#wireCount}`, peer, converse);
  }

  #hello(client: SimulatedClient): void {
    const session = this.#drawSession();
    client.begin(session);
    const { namespace, abandonTimeoutMs } = session;
    const heartbeatMs = drawSome(this.#random, this.swarm.heartbeatsMs);
    client.say({ action: 'hello', ref: 2, namespace, abandonTimeoutMs, heartbeatMs });
  }

  #resume(session: string): HelloRequest {
    const heartbeatMs = drawSome(this.#random, this.swarm.heartbeatsMs);
    return { action: 'hello', ref: 3, session, heartbeatMs };
  }

  #drawSession(): SessionView {
    const { namespaces, abandonsMs } = this.swarm;
    return view(this.#random.pick(namespaces), this.#random.pick(abandonsMs));
  }

  /** The name of a session that never existed, or has ended. */
  #guess(client: SimulatedClient): string {
    return client.endedNames.at(-1) ?? `x${this.#random.below(1000)}`;
  }

  #speak(client: SimulatedClient, step: Step): void {
    const random = this.#random;
    if (client.session === undefined) {
      // It has said goodbye, or its session has ended.
      if (!client.isLeaving) this.#hello(client);
      return;
    }
    const locks = [...client.locks.values()];
    switch (step) {
      case 'lock':
        if (locks.length < this.swarm.locksPerClient) client.say(this.#drawLock(client));
        break;
      case 'release':
      case 'cancel': {
        const state = step === 'release' ? 'acquired' : 'enqueued';
        const fitting = locks.filter((lock) => lock.state === state && !lock.isReleasing);
        if (fitting.length === 0) break;
        const { id } = random.pick(fitting);
        // Without an id it could mean another lock that this client does not know of yet.
        const isOnly = locks.length === 1 && !client.isWaiting;
        const isPlain = client.kind === 'v1' || (isOnly && random.oneIn(2));
        client.say(isPlain ? { action: 'release' } : { action: 'release', ref: 4, id });
        break;
      }
      case 'retry': {
        const asked = [...client.asked.values()];
        if (asked.length > 0) client.say(random.pick(asked).request);
        break;
      }
      case 'takeover':
        this.#takeOver(client);
        break;
      case 'lie':
        this.#lie(client);
        break;
      case 'extend':
      case 'evict':
      case 'look':
      case 'watch':
      case 'bye':
        if (client.kind === 'session') this.#ask(client, step);
    }
  }

  #ask(client: SimulatedClient, step: 'extend' | 'evict' | 'look' | 'watch' | 'bye'): void {
    const random = this.#random;
    const ref = random.below(1000);
    if (step === 'bye') {
      client.say({ action: 'bye', ref });
    } else if (step === 'extend') {
      if (client.locks.size > 0) client.say(this.#drawExtension([...client.locks.values()]));
    } else if (step === 'evict') {
      client.say(this.#drawEviction(ref));
    } else if (step === 'watch') {
      const path = drawResources(random, this.swarm)[0]?.path ?? [];
      client.say({ action: random.oneIn(3) ? 'unwatch' : 'watch', ref, path });
    } else {
      const after = drawSome(random, [undefined, 'a', ...this.swarm.namespaces]);
      client.say(
        random.pick([
          { action: 'ping', ref },
          { action: 'stats', ref },
          { action: 'inspect', ref, max: 20 },
          { action: 'namespaces', ref, after, max: 1 + random.below(3) },
        ] as const),
      );
    }
  }

  #drawLock(client: SimulatedClient): LockRequest {
    const random = this.#random;
    const { swarm } = this;
    const resources = drawResources(random, swarm);
    if (client.kind === 'v1') return { action: 'lock', resources: resources.map(withoutLimit) };
    return {
      action: 'lock',
      ref: random.below(10) < swarm.refsPer10 ? ++this.#refCount : undefined,
      resources,
      waitMs: drawSome(random, swarm.waitsMs),
      holdMs: drawSome(random, swarm.holdsMs),
      owner: drawSome(random, swarm.owners),
    };
  }

  /** Of any lock, held or not; one without an id can't make another lock's hold shorter. */
  #drawExtension(locks: readonly LockView[]): ExtendRequest {
    const random = this.#random;
    const holdMs = random.pick([null, 15, 300, 5000]);
    if (holdMs === null && random.oneIn(2)) return { action: 'extend', ref: 7, holdMs };
    return { action: 'extend', ref: 8, id: random.pick(locks).id, holdMs };
  }

  /** Of any client: also of one in another namespace, or of one that has left. */
  #drawEviction(ref: number): EvictRequest {
    const random = this.#random;
    const sessions = [...this.#reference.namespaces.values()].flatMap((one) => [...one.sessions]);
    if (sessions.length === 0) return { action: 'evict', ref, sessionId: '1' };
    const victim = random.pick(sessions);
    const [lock] = victim.locks;
    if (lock !== undefined && !random.oneIn(3)) return { action: 'evict', ref, id: `${lock.id}` };
    const sessionId = random.oneIn(9) ? 1 + random.below(victim.id) : victim.id;
    return { action: 'evict', ref, sessionId: `${sessionId}` };
  }

  /** The client reconnects while the server still has its old connection. */
  #takeOver(client: SimulatedClient): void {
    const { wire, sessionName } = client;
    if (wire === undefined || sessionName === undefined) return;
    if (this.#random.oneIn(2)) wire.cut();
    this.#abandoned.add(wire);
    client.connect(this.#sessionWire());
    client.say(this.#resume(sessionName));
  }

  #lie(client: SimulatedClient): void {
    const random = this.#random;
    const lie = drawLie(random);
    if (client.kind === 'v1') {
      // A release of v1 has no id, so it cannot have a wrong one.
      if (lie.code !== 'message_too_long' && lie.readAs !== 'release') client.say(lie);
      return;
    }
    const others = random.pick(this.#clients).locks;
    const [id = '1'] = others.keys();
    switch (random.below(4)) {
      case 0:
        client.say(lie);
        break;
      case 1:
        client.say({ action: 'release', ref: 5, id });
        break;
      case 2:
        client.say({ action: 'hello', ref: 6, session: this.#guess(client) });
        break;
      case 3: {
        const [asked] = client.asked.values();
        const resources = [{ type: 'write', path: ['no', 'such', 'request'] }] as const;
        if (asked !== undefined) client.say({ action: 'lock', ref: asked.request.ref, resources });
      }
    }
  }

  #acquired(lock: SessionLock): void {
    this.#observed.push(`acquired ${lock.id}`);
    const { namespace } = lock.context.session;
    this.#namespaces.add(namespace);
    const fences = this.#fences.get(namespace.name) ?? new Fences();
    this.#fences.set(namespace.name, fences);
    fences.acquired(lock.id, lock.resources);
  }

  /** The server has answered a hello: updates which session is on which wire. */
  #sessionsMoved(wire: Wire, request: HelloRequest): void {
    const { session, isEnded } = wire.peer;
    if (session?.name === undefined || isEnded) return;
    if (request.session === undefined) {
      if (wire.session !== undefined && !this.#sessions.has(session.name)) {
        this.#sessions.set(session.name, wire.session);
      }
    } else if (request.session === session.name) {
      const resumed = this.#sessions.get(session.name);
      assert.ok(resumed !== undefined);
      wire.session = resumed;
      resumed.lostAtMs = undefined;
    }
  }

  #compare(): void {
    for (const peer of this.#touched) comparePeer(peer);
    for (const peer of this.#reference.touched) comparePeer(peer);
    this.#touched.clear();
    this.#reference.touched.clear();
    const expected = this.#reference.observed;
    if (expected.length > 0 || this.#observed.length > 0) {
      assert.deepEqual(this.#observed.sort(), expected.sort(), 'what the observer heard');
      this.#observed = [];
      this.#reference.observed = [];
    }
  }

  /** The tables, the reference and the brute-force model must hold the same. */
  #lookAtEverything(): void {
    const namespaces = this.#server.registry;
    assert.equal(namespaces.size, this.#reference.namespaces.size, 'namespaces');
    assert.equal(
      namespaces.resumableCount,
      this.#reference.resumable.size,
      'sessions that can be resumed',
    );
    for (const { name, table, sessions } of namespaces) {
      table.verify();
      const reference = this.#reference.namespaces.get(name);
      assert.ok(reference !== undefined);
      assert.equal(sessions.size, reference.sessions.size, 'sessions');
      const model = new LockModel();
      for (const lock of reference.alive) model.lock(lock);
      const held = model.acquired();
      const states = new Map(reference.alive.map(({ id }) => [id, held.has(id)]));
      assert.equal(table.size.acquired + table.size.enqueued, states.size, 'locks');
      for (const session of sessions) {
        const isOld = session.id <= this.#lastSessionBeforeDrain;
        if (isOld) assert.ok(session.isHolder, 'a session that holds nothing has ended');
        for (const { id, state } of session.locks) {
          assert.equal(state === 'acquired', states.get(id), `lock ${id} is ${state}`);
        }
      }
    }
  }

  everybodyLeaves(): void {
    for (const client of this.#clients) {
      if (client.wire !== undefined) this.#cut(client, client.wire);
    }
    while (this.#abandoned.size > 0) this.#notice();
    while (this.clock.hasTurns) this.#turn();
    this.#advance(Number.MAX_SAFE_INTEGER);
    this.#lookAtEverything();
  }

  /** @param finish lets all turns pass, and whatever else output waits for */
  shutDown(finish = () => this.#allTurns()): void {
    const wires = this.#wires();
    for (const wire of wires) if (!wire.isEnded) wire.shutDown();
    if (this.#server.persistence === undefined) this.#server.registry.endAll();
    finish();
    for (const wire of wires) wire.checkAllIsWritten();
    for (const wire of wires) wire.lose(false);
  }

  #allTurns(): void {
    while (this.clock.hasTurns) this.clock.runTurn();
  }

  /** All wires that the server has not lost yet. */
  #wires(): Wire[] {
    return [
      ...this.#abandoned,
      ...this.#clients.flatMap(({ wire }) => (wire === undefined ? [] : [wire])),
    ];
  }

  checkNothingLeft(): void {
    assert.equal(this.#server.registry.size, 0, 'no namespace is left');
    assert.equal(this.#server.registry.resumableCount, 0, 'no session can be resumed');
    assert.equal(this.clock.pendingTimers, 0, 'no timer runs');
    assert.equal(this.#server.registry.memory.charged, 0, 'no memory is charged');
    for (const { table, sessions, watchers } of this.#namespaces) {
      assert.ok(table.isEmpty);
      assert.equal(table.size.paths, 0);
      assert.equal(sessions.size, 0);
      table.verify();
      // If a client still watched, the wire would report a message after its end.
      const resources = ['a', 'é', 'c', '😀', '', 'f', 'g', 'h'].flatMap((a) =>
        [[], ['a'], ['é'], ['c']].map((rest) => ({ type: 'read', path: [a, ...rest] }) as const),
      );
      const session = { client: '', label: undefined };
      const context = { session, terms: {} } as unknown as SessionLock['context'];
      watchers.tell('acquired', { id: 1, resources, context, state: 'acquired' });
    }
  }
}

function comparePeer(peer: ReferencePeer): void {
  const { said, expected } = peer;
  if (said.length > 1) said.sort();
  if (expected.length > 1) expected.sort();
  if (said.length !== expected.length || said.some((gist, i) => gist !== expected[i])) {
    assert.deepEqual(said, expected, 'what a client was told, and should have been');
  }
  peer.said = [];
  peer.expected = [];
}

/** Whether each lock is held, by id. */
function heldOf({ locks }: Snapshot): ReadonlyMap<number, boolean> {
  return new Map(locks.map(({ id, isHeld }) => [id, isHeld]));
}

/** Events of other sessions may be sent before a watcher's reply, all else after it. */
function isNoEvent(gist: string): boolean {
  return !gist.startsWith('event ') && !gist.startsWith('dropped ');
}

function view(namespace: string, abandonTimeoutMs: number): SessionView {
  return { namespace, abandonTimeoutMs, lostAtMs: undefined };
}

function withoutLimit({ type, path }: LockRequest['resources'][number]) {
  return { type, path };
}
