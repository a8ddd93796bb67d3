/** The session protocol on a raw TCP socket: one message per line, both ways. */
import type { Socket } from 'node:net';
import type { Locality } from '../../protocol/auth.ts';
import type { Channel } from '../../protocol/channel.ts';
import type { ProtocolHost } from '../../protocol/conversation-host.ts';
import { RequestError } from '../../protocol/errors.ts';
import { SessionProtocol } from '../../protocol/session-protocol.ts';
import { toByteString } from '../../runtime/byte-string.ts';
import type { Timer } from '../../runtime/clock.ts';
import type { LineClient } from '../listen/acceptor.ts';
import { InputPump } from '../stream/input-pump.ts';
import { CLOSE_TIMEOUT_MS, OutputBuffer } from '../stream/output-buffer.ts';
import { type LineSink, LineSplitter } from './line-splitter.ts';

export class LineConnection implements Channel, LineSink, LineClient {
  readonly client: string;
  readonly locality: Locality;
  readonly #host: ProtocolHost;
  readonly #socket: Socket;
  readonly #splitter: LineSplitter;
  readonly #output: OutputBuffer;
  readonly #conversation: SessionProtocol;
  #firstMessageTimer: Timer | undefined;
  #closeTimer: Timer | undefined;
  #isListening = true;

  /**
   * @param socket open, half-open allowed, with an `error` listener of the caller's; the rest of it
   *   is ours
   * @param head what was read from it so far
   * @param locality where the peer is
   * @param patience runs until something valid has come; then it is cancelled
   */
  constructor(
    socket: Socket,
    head: Buffer,
    host: ProtocolHost,
    client: string,
    locality: Locality,
    firstMessageTimer: Timer,
  ) {
    const { maxUnreadBytes } = host.limits;
    this.client = client;
    this.locality = locality;
    this.#firstMessageTimer = firstMessageTimer;
    this.#host = host;
    this.#socket = socket;
    this.#output = new OutputBuffer(socket, maxUnreadBytes, () => this.#cut());
    this.#conversation = new SessionProtocol(host, this);
    this.#splitter = new LineSplitter(this.#conversation.maxMessageBytes, this);
    const input = new InputPump(socket, this.#output, this.#splitter, () => this.#inputEnded());
    socket.on('drain', () => this.#conversation.onWritable());
    socket.on('close', () => this.#closed());
    input.take(head);
    input.start();
  }

  yieldTurn(): void {
    this.#splitter.pause();
  }

  get unreadBytes(): number {
    return this.#output.unreadBytes;
  }

  send(text: string, mayWait?: boolean): void {
    this.sendAscii(toByteString(text), mayWait);
  }

  sendAscii(text: string, mayWait?: boolean): void {
    this.#output.push(`${text}\n`, mayWait);
  }

  sendShared(bytes: string): void {
    this.#output.push(`${bytes}\n`, true);
  }

  stopListening(): void {
    this.#isListening = false;
    this.#splitter.stop();
  }

  end(): void {
    this.#splitter.stop();
    this.#output.end();
    this.#closeTimer ??= this.#host.clock.setTimer(CLOSE_TIMEOUT_MS, () => this.#socket.destroy());
  }

  firstMessageIsDue(ms: number): void {
    this.#conversation.firstMessageIsDue(ms, this.#splitter.isInLine);
  }

  serverDraining(): void {
    this.#conversation.serverDraining();
  }

  shutDown(): void {
    this.#conversation.shutDown();
  }

  line(text: string): void {
    this.#conversation.receive(text);
    if (this.#firstMessageTimer === undefined || !this.#conversation.hasSpoken) return;
    this.#firstMessageTimer.cancel();
    this.#firstMessageTimer = undefined;
    // Whoever has said something and is still here was let in by it, or needed no token.
    this.#splitter.allow(this.#conversation.maxMessageBytes);
  }

  lineNotUtf8(): void {
    this.#conversation.receiveGarbage(
      new RequestError('bad_utf8', 'this line is not valid UTF-8; it was not carried out'),
    );
  }

  lineTooLong(): void {
    this.#conversation.tooLong();
  }

  /** The peer does not read: what it asked for behind that is not carried out. */
  #cut(): void {
    this.#splitter.stop();
    this.#socket.destroy();
  }

  /** The end of the input is the end of the session; a line that was cut off is not carried out. */
  #inputEnded(): void {
    if (!this.#isListening) return;
    if (this.#splitter.isInLine) this.#conversation.lineCutOff();
    this.#conversation.lost();
    this.end();
  }

  #closed(): void {
    this.#closeTimer?.cancel();
    this.#output.close();
    this.#conversation.lost();
  }
}
