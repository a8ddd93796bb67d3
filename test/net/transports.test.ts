/** The session protocol on lines and on WebSocket: the same messages get the same answers. */
import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import type { Socket } from 'node:net';
import { test } from 'node:test';
import { LineConnection } from '../../src/net/lines/line-connection.ts';
import type { AcceptedConnection } from '../../src/net/listen/listener.ts';
import { WebSocketChannel } from '../../src/net/websocket/channel.ts';
import { SessionProtocol } from '../../src/protocol/session-protocol.ts';
import { DEFAULT_LIMITS } from '../../src/runtime/limits.ts';
import { sessionMessage, type Vocabulary } from '../fuzz/messages.ts';
import { FakeSocket } from '../simulation/fake-socket.ts';
import { SimulatedServer } from '../simulation/simulated-server.ts';
import { randomPieces } from '../support/cut-anywhere.ts';
import { type Random, withSeeds } from '../support/random.ts';
import { CLOSE, serverFrames, TEXT, text as textFrame } from '../support/websocket-frames.ts';

const WORDS: Vocabulary = {
  namespaces: ['default', 'shop'],
  segments: ['a', 'é', '🐙'],
  ids: ['1000001', '1000002', '1000003'],
  sessions: ['name 1', 'name 2'],
  tokens: ['a token of letters'],
  isGuarded: false,
};

const END = 'the server ends the connection';

/** What the server has sent, as messages. */
type Reader = (bytes: Buffer) => string[];

const linesIn: Reader = (bytes) => bytes.toString().split('\n').slice(0, -1);

const messagesIn: Reader = (bytes) =>
  serverFrames(bytes).flatMap(({ opcode, payload }) => {
    if (opcode === CLOSE) return [END];
    return opcode === TEXT ? [payload.toString()] : [];
  });

/** A server, and clients that all speak to it in the same way. */
class Side {
  readonly #isWebSocket: boolean;
  readonly #server: SimulatedServer;
  readonly #clients = new Map<number, { socket: FakeSocket; sent: Buffer[] }>();

  constructor(isWebSocket: boolean) {
    this.#isWebSocket = isWebSocket;
    let names = 0;
    this.#server = new SimulatedServer({
      limits: { ...DEFAULT_LIMITS, maxLocksPerSession: 3, maxResourcesPerLock: 4 },
      defaultAbandonTimeoutMs: 50,
      newName: () => `name ${++names}`,
      observer: { enqueued: () => {}, acquired: () => {}, released: () => {} },
    });
  }

  /** @param cut into pieces, as a network does */
  send(at: number, message: string, cut: (bytes: Buffer) => Buffer[]): void {
    const { socket } = this.#clients.get(at) ?? this.#connect(at);
    const bytes = this.#isWebSocket ? textFrame(message) : Buffer.from(`${message}\n`);
    for (const piece of cut(bytes)) socket.deliver(piece);
  }

  lose(at: number): void {
    this.#clients.get(at)?.socket.reset();
  }

  /** Lets time pass; returns what each client was sent, in order. */
  settle(ms: number): [number, string][] {
    const { clock } = this.#server;
    clock.advance(ms);
    while (clock.hasTurns) clock.runTurn();
    const said: [number, string][] = [];
    for (const [at, { socket, sent }] of [...this.#clients].sort(([a], [b]) => a - b)) {
      const read = this.#isWebSocket ? messagesIn : linesIn;
      for (const message of read(Buffer.concat(sent.splice(0)))) said.push([at, gistOf(message)]);
      if (socket.isEnding && !this.#isWebSocket) said.push([at, END]);
      if (!socket.isEnding && !socket.destroyed && said.at(-1)?.[1] !== END) continue;
      socket.reset();
      this.#clients.delete(at);
    }
    return said;
  }

  #connect(at: number) {
    const { host, clock } = this.#server;
    const sent: Buffer[] = [];
    const socket = new FakeSocket(
      clock,
      (bytes) => sent.push(bytes),
      () => {},
    );
    const accepted: AcceptedConnection = {
      ...{ socket: socket.asSocket as Socket, name: `client ${at}` },
      ...{ locality: 'loopback', isLoopback: true },
    };
    if (this.#isWebSocket) {
      const options = { ...host, pingIntervalMs: 1e9 };
      new WebSocketChannel(accepted, Buffer.alloc(0), options, 'loopback', (channel) => {
        return new SessionProtocol(host, channel);
      });
    } else {
      new LineConnection(accepted, Buffer.alloc(0), host, { cancel: () => {} });
    }
    const client = { socket, sent };
    this.#clients.set(at, client);
    return client;
  }
}

/** Without the sentences for people: they may name the place in the line. */
function gistOf(message: string): string {
  if (message === END) return END;
  const { error, ...fields } = JSON.parse(message);
  return JSON.stringify({ ...fields, code: error?.code });
}

/** One line that is not blank. */
function oneLine(random: Random): string {
  const message = sessionMessage(random, WORDS, random.pick([0, 0, 0, 1]));
  return /^\s*$|\n/.test(message) ? '{"action":"ping"}' : message;
}

test('clients on lines and on WebSocket are told the same', () => {
  let acquired = 0;
  withSeeds(25, (random) => {
    const [lines, webSockets] = [new Side(false), new Side(true)];
    for (let step = 0; step < 50; step++) {
      const at = random.below(3);
      if (random.oneIn(20)) for (const side of [lines, webSockets]) side.lose(at);
      else {
        const message = oneLine(random);
        const size = random.pick([1, 7, 1000]);
        const cut = (bytes: Buffer) => randomPieces(bytes, size, random);
        lines.send(at, message, cut);
        webSockets.send(at, message, cut);
      }
      const ms = random.pick([0, 0, 1, 45]);
      const said = lines.settle(ms);
      assert.deepEqual(webSockets.settle(ms), said);
      for (const [, message] of said) if (message.includes('"state":"acquired"')) acquired++;
    }
  });
  assert.ok(acquired > 0);
});
