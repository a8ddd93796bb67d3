/**
 * A server of a cell: the real one but for its sockets, its time and etcd. It does with its parts
 * what `Server` and the program do: when it loses its cell it waits for its next turn with new ones.
 */
import assert from 'node:assert/strict';
import { EtcdCell } from '../../src/cluster/cell.ts';
import { Ownership } from '../../src/cluster/ownership.ts';
import type { OwnershipOptions } from '../../src/cluster/ownership-options.ts';
import { LineConnection, type LineHost } from '../../src/net/lines/line-connection.ts';
import { makeStreamHost } from '../../src/net/stream/stream-host.ts';
import { Auth } from '../../src/protocol/auth.ts';
import { NOT_PROVEN, notOwner, RECOVERING, type RequestError } from '../../src/protocol/errors.ts';
import { ShiftedClock } from '../../src/runtime/clock.ts';
import { IdCounter } from '../../src/runtime/id-counter.ts';
import { DEFAULT_LIMITS } from '../../src/runtime/limits.ts';
import type { JsonObject } from '../../src/runtime/unknown.ts';
import { Counters } from '../../src/session/counters.ts';
import { Namespaces } from '../../src/session/namespace.ts';
import { EtcdGateway } from '../../src/store/etcd-gateway.ts';
import { EtcdStore } from '../../src/store/etcd-store.ts';
import { Persistence } from '../../src/store/persistence.ts';
import type { SimConnection, SimConversation } from '../client/sim-network.ts';
import { FakeSocket } from '../simulation/fake-socket.ts';
import type { SimProcess } from './sim-process.ts';

/** As short as etcd has it. */
export const TTL_MS = 2000;

/** Bugs, for tests that find them. */
export interface Bugs {
  /** By default the real one. */
  readonly makeOwnership?: (options: OwnershipOptions) => Ownership;
  /** Of the time that a new owner waits before timers start. By default 1. */
  readonly graceFactor?: number;
  /** It speaks whether it is proven to be the owner or not, until it knows that it is not. */
  readonly isLoud?: boolean;
  /** Of transactions: what is sent instead. */
  readonly spoil?: (body: object) => object;
}

export interface SimServerHost {
  readonly name: string;
  readonly bugs: Bugs;
  /** Sends a request to etcd, and brings the answer. */
  ask(process: SimProcess, path: string, body: object): Promise<JsonObject>;
  newName(): string;
  /** Of the store. */
  readonly store: { readonly minRewriteBytes: number; readonly sliceLength: number };
  /** It must not come to this. */
  failed(error: unknown): void;
}

/** Speaks to the simulated etcd. */
class SimGateway extends EtcdGateway {
  readonly #process: SimProcess;
  readonly #host: SimServerHost;

  constructor(process: SimProcess, host: SimServerHost) {
    super({ members: [new URL('http://simulated')] });
    this.#process = process;
    this.#host = host;
  }

  override call(path: string, body: object): Promise<JsonObject> {
    const { spoil = (sent: object) => sent } = this.#host.bugs;
    return this.#host.ask(this.#process, path, path === '/v3/kv/txn' ? spoil(body) : body);
  }
}

/** From one wait for the cell to the loss of it. */
class Turn {
  readonly ownership: Ownership;
  readonly #process: SimProcess;
  readonly #bugs: Bugs;
  readonly #persistence: Persistence;
  readonly #registry: Namespaces;
  readonly #host: LineHost;
  readonly #connections = new Set<ServerEnd>();
  #closed: Promise<void> | undefined;

  constructor(process: SimProcess, host: SimServerHost, failed: (error: unknown) => void) {
    this.#process = process;
    this.#bugs = host.bugs;
    const { makeOwnership = (options) => new Ownership(options), graceFactor = 1 } = host.bugs;
    const gateway = new SimGateway(process, host);
    const prefix = '/simulated/';
    const ttlS = TTL_MS / 1000;
    const cell = new EtcdCell({ gateway, prefix, ttlS, address: () => host.name });
    this.ownership = makeOwnership({ cell, clocks: process.clocks, ttlMs: TTL_MS });
    this.ownership.observe({ silenced: () => host.bugs.isLoud === true || this.#cutAll() });
    const options = { gateway, prefix, claim: this.ownership, clock: process, ...host.store };
    const store = new EtcdStore(options);
    const clock = new ShiftedClock(process);
    const lockIds = new IdCounter(0);
    this.#registry = new Namespaces(lockIds.next, DEFAULT_LIMITS.maxLockBytes);
    this.#persistence = new Persistence(store, {
      ...{ clock, lockIds, registry: this.#registry },
      wallNow: () => Math.max(0, process.wallMs()),
      graceMs: this.ownership.graceMs * graceFactor,
      failed: (error) => {
        this.#cutAll();
        void this.close();
        failed(error);
      },
    });
    const { ledger } = this.#persistence;
    this.#host = {
      registry: this.#registry,
      newName: () => host.newName(),
      clock,
      startedMs: 0,
      streams: makeStreamHost(clock, DEFAULT_LIMITS.maxBufferBytes, {
        gate: host.bugs.isLoud === true ? ledger : this.ownership.gate(ledger),
      }),
      counters: new Counters(),
      journal: ledger,
      limits: DEFAULT_LIMITS,
      observer: undefined,
      defaultAbandonTimeoutMs: 1000,
      auth: new Auth({ client: [], admin: [] }),
      adminObserver: undefined,
      authFailed: () => assert.fail('no token is wanted here'),
    };
  }

  async recover(): Promise<void> {
    await this.#persistence.recover(this.#host);
  }

  get isServing(): boolean {
    return this.#persistence.recovered !== undefined && this.ownership.state === 'owning';
  }

  /** Sessions that have not ended. */
  get sessions(): number {
    return [...this.#registry].reduce((sum, { sessions }) => sum + sessions.size, 0);
  }

  /** Why new connections are rejected. */
  get notReady(): RequestError | undefined {
    const { ownership } = this;
    if (ownership.state === 'waiting') return notOwner(ownership.ownerAddress);
    if (this.#persistence.recovered === undefined) return RECOVERING;
    return ownership.maySpeak() || this.#bugs.isLoud === true ? undefined : NOT_PROVEN;
  }

  /** It stops: new connections are cut. */
  get isStopped(): boolean {
    return this.#closed !== undefined;
  }

  accept(end: ServerEnd): LineConnection {
    this.#connections.add(end);
    end.socket.on('close', () => this.#connections.delete(end));
    const accepted = { name: end.name, locality: 'loopback', isLoopback: true } as const;
    const socket = end.socket.asSocket;
    const noTimer = { cancel: () => {} };
    return new LineConnection({ ...accepted, socket }, Buffer.alloc(0), this.#host, noTimer);
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.#persistence.freeze();
    for (const { connection } of this.#connections) connection?.shutDown();
    await this.#persistence.close();
    // Those that are cut are lost first: they end nothing.
    await new Promise<void>((resolve) => this.#process.nextTurn(resolve));
    this.#registry.endAll();
  }

  #cutAll(): void {
    this.#registry.leaveQueues();
    for (const { connection, socket } of this.#connections) {
      connection?.cut();
      socket.destroy();
    }
  }
}

/** The server's end of a connection. Whether it is accepted is decided at its first line. */
class ServerEnd {
  readonly name: string;
  readonly socket: FakeSocket;
  readonly #process: SimProcess;
  readonly #link: SimConnection;
  readonly #turn: () => Turn;
  connection: LineConnection | undefined;
  #isRejected = false;
  #text = '';

  constructor(process: SimProcess, link: SimConnection, turn: () => Turn) {
    this.name = link.client;
    this.#process = process;
    this.#link = link;
    this.#turn = turn;
    const said = (bytes: Buffer): void => this.#said(bytes.toString('latin1'));
    this.socket = new FakeSocket(process, said, () => {
      link.end();
      process.nextTurn(() => this.socket.destroy());
    });
    this.socket.on('close', () => link.end());
  }

  receive(text: string): void {
    this.#process.happens('input', () => {
      if (this.#isRejected || this.socket.destroyed) return;
      if (this.connection === undefined && !this.#accept()) return;
      this.socket.deliver(Buffer.from(`${text}\n`));
    });
  }

  lost(): void {
    this.#process.happens('input', () => {
      if (!this.socket.destroyed) this.socket.reset();
    });
  }

  #accept(): boolean {
    const turn = this.#turn();
    if (turn.isStopped) {
      this.socket.destroy();
      return false;
    }
    const error = turn.notReady;
    if (error === undefined) {
      this.connection = turn.accept(this);
      return true;
    }
    this.#isRejected = true;
    const { code, message, details } = error;
    this.#link.notify(JSON.stringify({ error: { code, message, ...details } }));
    this.#link.end();
    return false;
  }

  #said(bytes: string): void {
    const lines = (this.#text + bytes).split('\n');
    this.#text = lines.pop() ?? '';
    for (const line of lines) this.#link.notify(line);
  }
}

export class SimServer {
  readonly process: SimProcess;
  readonly #host: SimServerHost;
  readonly #links = new Set<SimConnection>();
  #turn: Turn;
  #isStopping = false;
  /** How often it has lost its cell. */
  losses = 0;

  constructor(process: SimProcess, host: SimServerHost) {
    this.process = process;
    this.#host = host;
    this.#turn = this.#begin();
  }

  get isServing(): boolean {
    return !this.process.isDead && this.#turn.isServing;
  }

  get sessions(): number {
    return this.#turn.sessions;
  }

  converse(link: SimConnection): SimConversation {
    const end = new ServerEnd(this.process, link, () => this.#turn);
    if (this.process.isDead) link.end();
    else this.#links.add(link);
    const lost = (): void => {
      this.#links.delete(link);
      end.lost();
    };
    return { receive: (message) => end.receive(message.text), lost };
  }

  /** Its process is killed. */
  kill(): void {
    this.process.kill();
    for (const link of this.#links) link.end();
  }

  /** It hands over, and ends. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    await this.#turn.close();
    this.kill();
  }

  #begin(): Turn {
    let isOver = false;
    const lost = (error: unknown): void => {
      if (isOver || this.#isStopping || this.process.isDead) return;
      isOver = true;
      this.losses++;
      if (!/does not own|stopped serving/.test(String(error))) this.#host.failed(error);
      void turn.close().then(() => {
        if (!this.#isStopping) this.#turn = this.#begin();
      });
    };
    const turn: Turn = new Turn(this.process, this.#host, lost);
    turn.recover().catch(lost);
    return turn;
  }
}
