/**
 * A simulated connection: bytes that the client has written and the server has not read, messages
 * in the other direction, and the end of either. A real `LineConnection` carries it, over a fake
 * socket. The wire sits between that and the protocol and plays the part of each towards the other,
 * so it knows the messages before they are bytes, and checks the bytes against them. All that is in
 * flight is lost with the connection.
 */

import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { LineConnection, type LineHost } from '../../src/net/lines/line-connection.ts';
import type { Channel, Conversation, EndReason } from '../../src/protocol/channel.ts';
import { LINE_CUT_OFF, type RequestError } from '../../src/protocol/errors.ts';
import type { Timer } from '../../src/runtime/clock.ts';
import type { Message } from '../../src/runtime/message.ts';
import type { Reply } from '../support/line-client.ts';
import { FakeSocket } from './fake-socket.ts';
import type { SessionView } from './ledger.ts';
import type { ReferencePeer } from './reference.ts';
import { bytesOf, errorGist, gist, type Request, SENTENCE, stateGist } from './requests.ts';
import type { SimulatedClock } from './simulated-clock.ts';

/** The unread bytes that the server sees when the client does not read at all. */
const MANY_BYTES = 1_000_000;

/** Moves the server and its reference in step. */
export interface WireHost {
  readonly clock: SimulatedClock;
  readonly server: LineHost;
  nowMs(): number;
  /** A message has left the server: its client may read it, whatever happens. */
  told(reply: Reply): void;
  /** The server sent a message on it. */
  touched(peer: ReferencePeer): void;
  /** Called after the server did something with this wire, with what the reference must do. */
  follow(wire: Wire, request: Request): void;
  /** The server has noticed that the connection is lost. */
  lost(peer: ReferencePeer): void;
  /** The server has been told that the client is done with the connection. */
  clientDone(peer: ReferencePeer): void;
  /** The server has noticed that the client has read its output. */
  drained(peer: ReferencePeer): void;
  /** Whether the client has to wait for a turn after this message, costly or not. */
  yieldsTurn(): boolean;
}

const NO_TIMER: Timer = { cancel: () => {} };

export class Wire implements Channel, Conversation {
  readonly client: string;
  readonly begun = undefined;
  readonly locality = 'loopback';
  /** Nothing is costly here, and the reference counts from what was heard. */
  readonly heldAgoMs = Number.POSITIVE_INFINITY;
  readonly peer: ReferencePeer;
  readonly #host: WireHost;
  readonly #socket: FakeSocket;
  readonly #connection: LineConnection;
  readonly #protocol: Conversation;
  /** The bytes on their way to the server, and the requests whose bytes have not all arrived. */
  #toServer: Buffer = Buffer.alloc(0);
  readonly #requests: Request[] = [];
  /** Messages that are not written yet, and what is written of the next one so far. */
  readonly #said: string[] = [];
  #written = '';
  /** Messages on their way to the client; `undefined` is a text that is not JSON. */
  readonly #toClient: (Reply | undefined)[] = [];
  /** The session that it carries, once the server has confirmed it. */
  session: SessionView | undefined;
  /** The server has ended it. */
  isEnded = false;
  /** The server has said goodbye to all clients: its later messages are not compared. */
  #isServerStopping = false;
  /** The server knows that it is lost. */
  isLost = false;
  /** The server knows that the client has ended its side. */
  #isInputEnded = false;

  constructor(
    host: WireHost,
    client: string,
    peer: ReferencePeer,
    converse: (channel: Channel) => Conversation,
  ) {
    this.#host = host;
    this.client = client;
    this.peer = peer;
    this.#socket = new FakeSocket(
      host.clock,
      (bytes) => this.#received(bytes),
      () => assert.deepEqual(this.#said, [], 'nothing that was said is lost at the end'),
    );
    const accepted = { name: client, locality: this.locality, isLoopback: true } as const;
    this.#connection = new LineConnection(
      { ...accepted, socket: this.#socket.asSocket },
      Buffer.alloc(0),
      host.server,
      NO_TIMER,
      () => this,
    );
    this.#protocol = converse(this);
  }

  get bytesToServer(): number {
    return this.#toServer.length;
  }

  get messagesToClient(): number {
    return this.#toClient.length;
  }

  /** The server has ended it, and all that it said has left the server. */
  get hasClosed(): boolean {
    return this.isEnded && this.#socket.isEnding;
  }

  /** The client writes. */
  write(request: Request): void {
    this.#requests.push(request);
    this.#toServer = Buffer.concat([this.#toServer, bytesOf(request), LF]);
  }

  /** Up to `count` bytes arrive at the server. */
  deliver(count: number): void {
    const bytes = this.#toServer.subarray(0, count);
    this.#toServer = this.#toServer.subarray(count);
    this.#socket.deliver(bytes);
  }

  /** The client reads a message; `undefined` is a text that is not JSON. */
  read(): Reply | undefined {
    return this.#toClient.shift();
  }

  /** The client stops reading. */
  stall(): void {
    this.peer.isSlow = true;
    this.#socket.isStalled = true;
  }

  /** The client resumes reading. */
  wake(): void {
    this.peer.isSlow = false;
    this.#socket.drained();
  }

  /** Loses all that is in flight. */
  cut(): void {
    this.#toServer = Buffer.alloc(0);
    this.#toClient.length = 0;
  }

  /**
   * The server notices that the connection is lost.
   *
   * @param isHalfClosed the server already knows that the client has closed its side
   */
  lose(isHalfClosed: boolean): void {
    if (isHalfClosed) this.#socket.halfClose();
    this.#socket.reset();
    assert.ok(this.isLost, 'a connection that is gone is noticed');
  }

  /** The client closes as done with it. Here that stands beside the lines, on WebSocket it is a frame. */
  close(): void {
    this.#protocol.clientDone();
    this.#host.clientDone(this.peer);
    this.lose(false);
  }

  /** The server's process has ended. */
  serverIsGone(): void {
    this.isLost = true;
    this.#sessionLost();
  }

  /** Checks that no message waits; to be called when all have had their turn. */
  checkAllIsWritten(): void {
    // What a peer that does not read would not read anyhow is gathered.
    const isBehind = this.#socket.isStalled;
    if (!this.isLost && !this.#socket.destroyed && !isBehind) assert.deepEqual(this.#said, []);
  }

  /** What follows implements the protocol's channel. */

  get unreadBytes(): number {
    return this.peer.isSlow ? MANY_BYTES : 0;
  }

  yieldTurn(): void {
    this.#connection.yieldTurn();
  }

  reply(message: string, mayWait?: boolean): void {
    this.#note(textOf(message));
    this.#connection.reply(message, mayWait);
  }

  notify(message: string): void {
    this.#note(textOf(message));
    this.#connection.notify(message);
  }

  admitted(maxMessageBytes: number): void {
    this.#connection.admitted(maxMessageBytes);
  }

  end(reason: EndReason): void {
    assert.ok(!this.isEnded, 'it ends once');
    this.isEnded = true;
    // The client has ended its side: the server sends it nothing more.
    if (!this.#isInputEnded) this.#tell(`end ${reason}`);
    this.#sessionLost();
    this.#connection.end();
  }

  /** What follows implements the connection's conversation. */

  receive(message: Message): void {
    const request = this.#arrived();
    assert.equal(message.text, bytesOf(request).toString(), 'lines arrive as they were written');
    if (this.#host.yieldsTurn()) this.yieldTurn();
    this.#protocol.receive(message);
    this.#host.follow(this, request);
  }

  inputError(error: RequestError): void {
    const isV1 = this.peer.kind === 'v1';
    if (error === LINE_CUT_OFF) {
      if (isV1) return;
      this.#isInputEnded = true;
      this.peer.expected.push(errorGist(undefined, undefined, error.code));
      this.#protocol.inputError(error);
      return;
    }
    // In v1, frames are too long, not lines.
    if (!isV1 || error.code !== 'message_too_long') this.#protocol.inputError(error);
    this.#host.follow(this, this.#arrived());
  }

  /** Lines have no such end: see `close`. */
  clientDone(): void {}

  inputEnded(): void {
    this.#isInputEnded = true;
    this.#protocol.inputEnded();
    this.#lostByServer();
  }

  onWritable(): void {
    this.#protocol.onWritable();
    if (!this.isEnded && !this.isLost) this.#host.drained(this.peer);
  }

  lost(): void {
    this.#protocol.lost();
    this.#lostByServer();
  }

  serverDraining(): void {
    this.#protocol.serverDraining();
  }

  shutDown(): void {
    this.#protocol.shutDown();
    this.#isServerStopping = true;
  }

  #arrived(): Request {
    const request = this.#requests.shift();
    assert.ok(request !== undefined, 'no more lines arrive than were written');
    return request;
  }

  /** The protocol sends a message. */
  #note(text: string): void {
    if (this.#isServerStopping) return;
    assert.ok(!this.isEnded, `nothing is said after the end: ${text}`);
    assert.ok(!this.isLost, `nothing is said to one who is gone: ${text}`);
    assert.ok(!text.includes('\n'), 'a message is one line');
    this.#said.push(text);
    const reply = replyOf(text);
    if (reply === undefined) this.#tell(SENTENCE);
    else if (this.peer.kind === 'session') this.#tell(gist(reply));
    else this.#tell(stateGist(reply.action, undefined, reply.id, reply.state));
  }

  /** The server has written bytes. */
  #received(bytes: Buffer): void {
    this.#written += bytes.toString('latin1');
    const lines = this.#written.split('\n');
    this.#written = lines.pop() ?? '';
    for (const line of lines) {
      const text = textOf(line);
      assert.equal(text, this.#said.shift(), 'what is written is what was said');
      const reply = replyOf(text);
      if (reply !== undefined) this.#host.told(reply);
      this.#toClient.push(reply);
    }
  }

  #tell(what: string): void {
    this.peer.said.push(what);
    this.#host.touched(this.peer);
  }

  #lostByServer(): void {
    this.isLost = true;
    this.#sessionLost();
    this.#host.lost(this.peer);
  }

  #sessionLost(): void {
    const { session } = this;
    this.session = undefined;
    if (session !== undefined) session.lostAtMs = this.#host.nowMs();
  }
}

function replyOf(text: string): Reply | undefined {
  return text.startsWith('{') ? JSON.parse(text) : undefined;
}

const LF = Buffer.from('\n');

/** The text of a byte string in UTF-8. */
function textOf(bytes: string): string {
  return Buffer.from(bytes, 'latin1').toString('utf8');
}
