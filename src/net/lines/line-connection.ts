/** The session protocol on a raw TCP socket: one message per line, both ways. */
import type { Duplex } from 'node:stream';
import type { Locality } from '../../protocol/auth.ts';
import type { Channel, Conversation } from '../../protocol/channel.ts';
import type { ProtocolHost } from '../../protocol/conversation-host.ts';
import { RequestError } from '../../protocol/errors.ts';
import { SessionProtocol } from '../../protocol/session-protocol.ts';
import { toByteString } from '../../runtime/byte-string.ts';
import type { Timer } from '../../runtime/clock.ts';
import type { LineClient } from '../listen/acceptor.ts';
import type { AcceptedConnection } from '../listen/listener.ts';
import { closeGracefully } from '../stream/graceful-close.ts';
import { InputPump } from '../stream/input-pump.ts';
import { OutputBuffer } from '../stream/output-buffer.ts';
import type { StreamHost } from '../stream/stream-host.ts';
import { type LineSink, LineSplitter } from './line-splitter.ts';

/** What a line connection needs of a server. */
export interface LineHost extends ProtocolHost {
  readonly streams: StreamHost;
}

/** What lines need of a conversation beyond what every transport does. */
export interface LineConversation extends Conversation {
  /** Bytes that the next line may have. */
  readonly maxMessageBytes: number;
  /** Whether the client has sent something valid. */
  readonly hasSpoken: boolean;
  tooLong(): void;
  /** The client has ended its side in the midst of a line; `lost` follows. */
  lineCutOff(): void;
  firstMessageIsDue(ms: number, isInLine: boolean): void;
}

export class LineConnection implements Channel, LineSink, LineClient {
  readonly client: string;
  readonly locality: Locality;
  readonly #host: LineHost;
  readonly #socket: Duplex;
  readonly #splitter: LineSplitter;
  readonly #output: OutputBuffer;
  readonly #conversation: LineConversation;
  #firstMessageTimer: Timer | undefined;
  #isListening = true;

  /**
   * @param connection whose socket is this object's from here on
   * @param head what was read from it so far
   * @param firstMessageTimer runs until something valid has come; then it is cancelled
   * @param converse makes the conversation that this connection carries
   */
  constructor(
    connection: Omit<AcceptedConnection, 'socket'> & { readonly socket: Duplex },
    head: Buffer,
    host: LineHost,
    firstMessageTimer: Timer,
    converse: (channel: Channel) => LineConversation = (channel) =>
      new SessionProtocol(host, channel),
  ) {
    const { socket } = connection;
    const { streams } = host;
    const { maxUnreadBytes } = host.limits;
    this.client = connection.name;
    this.locality = connection.locality;
    this.#firstMessageTimer = firstMessageTimer;
    this.#host = host;
    this.#socket = socket;
    this.#output = new OutputBuffer(socket, streams.flushQueue, maxUnreadBytes, () => this.#cut());
    this.#conversation = converse(this);
    this.#splitter = new LineSplitter(this.#conversation.maxMessageBytes, this);
    const ended = (): void => this.#inputEnded();
    const input = new InputPump(socket, streams, this.#output, this.#splitter, ended);
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
    this.#output.finish();
    closeGracefully(this.#socket, this.#host.clock);
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
    // A client that has said something and is still connected is admitted.
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
    this.#splitter.stop();
    this.#output.close();
    this.#conversation.lost();
  }
}
