/**
 * A fake connection: bytes that the client has written and the server has not read, messages the
 * other way, and the end of either. It is the server's `Channel`; the real splitter makes lines of
 * the bytes, however they are cut. Everything in flight is lost when it is.
 */
import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { type LineSink, LineSplitter } from '../../src/net/lines/line-splitter.ts';
import type { Channel, Conversation, EndReason } from '../../src/protocol/channel.ts';
import { RequestError } from '../../src/protocol/errors.ts';
import type { Reply } from '../support/line-client.ts';
import type { SessionView } from './ledger.ts';
import type { ReferencePeer } from './reference.ts';
import { bytesOf, gist, type Request, SENTENCE, stateGist } from './requests.ts';

/** Unread bytes that the server is told of when the client does not read at all. */
const MANY_BYTES = 1_000_000;

/** Who moves the server and its reference in step. */
export interface WireHost {
  readonly maxMessageBytes: number;
  /** Something was said to it. */
  touched(peer: ReferencePeer): void;
  /** Called after the server did something with this wire, with what the reference must do. */
  follow(wire: Wire, request: Request): void;
  nowMs(): number;
}

export class Wire implements Channel, LineSink {
  readonly client: string;
  readonly locality = 'loopback';
  readonly peer: ReferencePeer;
  readonly #host: WireHost;
  readonly #splitter: LineSplitter;
  readonly #conversation: Conversation & { tooLong?(): void };
  /** The bytes on their way to the server, and the requests whose bytes have not all arrived. */
  #toServer: Buffer = Buffer.alloc(0);
  readonly #requests: Request[] = [];
  /** On their way to the client. `undefined` is a text that is no JSON. */
  readonly #toClient: (Reply | undefined)[] = [];
  /** The session that it carries, once the server has said so. */
  session: SessionView | undefined;
  /** The server has ended it. */
  isEnded = false;
  /** The server has said goodbye to all: what it says while it clears up is of no interest. */
  #isServerStopping = false;
  /** The server knows that it is gone. */
  isLost = false;

  constructor(
    host: WireHost,
    client: string,
    peer: ReferencePeer,
    converse: (channel: Channel) => Conversation,
  ) {
    this.#host = host;
    this.client = client;
    this.peer = peer;
    this.#splitter = new LineSplitter(host.maxMessageBytes, this);
    this.#conversation = converse(this);
  }

  get unreadBytes(): number {
    return this.peer.isSlow ? MANY_BYTES : 0;
  }

  get bytesToServer(): number {
    return this.#toServer.length;
  }

  get messagesToClient(): number {
    return this.#toClient.length;
  }

  yieldTurn(): void {}

  sendAscii(text: string): void {
    this.send(text);
  }

  sendShared(bytes: string): void {
    this.send(Buffer.from(bytes, 'latin1').toString('utf8'));
  }

  send(text: string): void {
    if (this.#isServerStopping) return;
    assert.ok(!this.isEnded, `nothing is said after the end: ${text}`);
    assert.ok(!this.isLost, `nothing is said to one who is gone: ${text}`);
    assert.ok(!text.includes('\n'), 'a message is one line');
    const reply: Reply | undefined = text.startsWith('{') ? JSON.parse(text) : undefined;
    this.#toClient.push(reply);
    if (reply === undefined) this.#note(SENTENCE);
    else if (this.peer.kind === 'session') this.#note(gist(reply));
    else this.#note(stateGist(reply.action, undefined, reply.id, reply.state));
  }

  stopListening(): void {
    assert.fail('nobody has a token to be wrong');
  }

  end(reason: EndReason): void {
    assert.ok(!this.isEnded, 'it ends once');
    this.isEnded = true;
    this.#splitter.stop();
    this.#note(`end ${reason}`);
    this.#sessionLost();
  }

  /** The client writes. */
  write(request: Request): void {
    this.#requests.push(request);
    this.#toServer = Buffer.concat([this.#toServer, bytesOf(request), LF]);
  }

  /** The server reads up to `count` bytes. */
  deliver(count: number): void {
    const bytes = this.#toServer.subarray(0, count);
    this.#toServer = this.#toServer.subarray(count);
    if (!this.isLost) this.#splitter.push(bytes);
  }

  /** The client reads a message; `undefined` is a text that is no JSON. */
  read(): Reply | undefined {
    return this.#toClient.shift();
  }

  /** Whatever is still in flight is lost. */
  cut(): void {
    this.#toServer = Buffer.alloc(0);
    this.#toClient.length = 0;
  }

  /** The server notices that the connection is gone. A socket can say that twice. */
  lose(): void {
    this.#conversation.lost();
    this.isLost = true;
    this.#splitter.stop();
    this.#sessionLost();
  }

  onWritable(): void {
    this.#conversation.onWritable();
  }

  drain(): void {
    this.#conversation.serverDraining();
  }

  shutDown(): void {
    this.#conversation.shutDown();
    this.#isServerStopping = true;
  }

  line(text: string): void {
    const request = this.#arrived();
    assert.equal(text, bytesOf(request).toString(), 'lines arrive as they were written');
    this.#conversation.receive(text);
    this.#host.follow(this, request);
  }

  lineNotUtf8(): void {
    this.#conversation.receiveGarbage(new RequestError('bad_utf8', 'not UTF-8'));
    this.#host.follow(this, this.#arrived());
  }

  lineTooLong(): void {
    this.#conversation.tooLong?.();
    this.#host.follow(this, this.#arrived());
  }

  #arrived(): Request {
    const request = this.#requests.shift();
    assert.ok(request !== undefined, 'no more lines arrive than were written');
    return request;
  }

  #note(what: string): void {
    this.peer.said.push(what);
    this.#host.touched(this.peer);
  }

  #sessionLost(): void {
    const { session } = this;
    this.session = undefined;
    if (session !== undefined) session.lostAtMs = this.#host.nowMs();
  }
}

const LF = Buffer.from('\n');
