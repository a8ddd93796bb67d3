/**
 * The session protocol on a raw TCP socket: one message per line, both ways. Joins the stream layer
 * and the `LineSplitter` to a conversation; the acceptor has already recognized the protocol.
 *
 * Invariant: after the socket closes, or too much output is unread, no more lines reach the
 * conversation.
 */
import type { Duplex } from 'node:stream';
import { maxFirstMessageBytes } from '../../protocol/admission.ts';
import type { Locality } from '../../protocol/auth.ts';
import type { Channel, Conversation, ProtocolHost } from '../../protocol/channel.ts';
import { LINE_CUT_OFF, messageTooLong, RequestError, tooSlow } from '../../protocol/errors.ts';
import { SessionProtocol } from '../../protocol/session-protocol.ts';
import type { Timer } from '../../runtime/clock.ts';
import type { Message } from '../../runtime/message.ts';
import type { Session } from '../../session/session.ts';
import type { LineClient } from '../listen/acceptor.ts';
import type { AcceptedConnection } from '../listen/listener.ts';
import { BufferAccount } from '../stream/buffer-budget.ts';
import { closeGracefully } from '../stream/graceful-close.ts';
import { InputPump } from '../stream/input-pump.ts';
import { OutputBuffer } from '../stream/output-buffer.ts';
import type { StreamHost } from '../stream/stream-host.ts';
import { type LineSink, LineSplitter } from './line-splitter.ts';

/** What a line connection needs of a server. */
export interface LineHost extends ProtocolHost {
  readonly streams: StreamHost;
}

export class LineConnection implements Channel, LineSink, LineClient {
  readonly client: string;
  readonly locality: Locality;
  readonly #host: LineHost;
  readonly #socket: Duplex;
  readonly #splitter: LineSplitter;
  readonly #input: InputPump;
  readonly #output: OutputBuffer;
  readonly #conversation: Conversation;
  /** Undefined once it is cancelled: it would keep alive what began the connection. */
  #firstMessageTimer: Timer | undefined;
  #maxLineBytes: number;
  /** A token is required and has not been sent; until then lines are limited to fewer bytes. */
  #isTokenDue: boolean;

  /**
   * @param connection this object takes over its socket
   * @param head the bytes already read from it
   * @param firstMessageTimer this object cancels it, at the first valid message or at the end
   * @param converse makes the conversation that this connection carries
   */
  constructor(
    connection: Omit<AcceptedConnection, 'socket'> & { readonly socket: Duplex },
    head: Buffer,
    host: LineHost,
    firstMessageTimer: Timer,
    converse: (channel: Channel) => Conversation = (channel) => new SessionProtocol(host, channel),
  ) {
    const { socket } = connection;
    const { streams } = host;
    const { maxUnreadBytes } = host.limits;
    this.client = connection.name;
    this.locality = connection.locality;
    this.#firstMessageTimer = firstMessageTimer;
    this.#host = host;
    this.#socket = socket;
    const writable = (): void => this.#conversation.onWritable();
    const overflow = (): void => this.#overflow();
    this.#output = new OutputBuffer(socket, streams, maxUnreadBytes, overflow, writable);
    this.#conversation = converse(this);
    this.#isTokenDue = host.auth.needsToken;
    this.#maxLineBytes = maxFirstMessageBytes(host.auth, host.limits);
    const account = new BufferAccount(streams.budget);
    this.#splitter = new LineSplitter(this.#maxLineBytes, this, (bytes) => {
      const mayKeep = account.keep(bytes);
      if (!mayKeep) this.#socket.destroy();
      return mayKeep;
    });
    const ended = (): void => this.#inputEnded();
    this.#input = new InputPump(socket, streams, this.#output, this.#splitter, ended);
    socket.on('drain', writable);
    socket.on('close', () => this.#closed());
    this.#input.take(head);
    this.#input.start();
  }

  yieldTurn(): void {
    this.#input.yieldTurn();
  }

  get unreadBytes(): number {
    return this.#output.unreadBytes;
  }

  get heldAgoMs(): number {
    return this.#input.heldAgoMs;
  }

  reply(message: string, mayWait?: boolean): void {
    this.#output.push(`${message}\n`, mayWait);
  }

  notify(message: string): void {
    this.#output.push(`${message}\n`);
  }

  admitted(maxMessageBytes: number): void {
    this.#cancelTimer();
    this.#isTokenDue = false;
    this.#maxLineBytes = maxMessageBytes;
    this.#splitter.allow(maxMessageBytes);
  }

  end(): void {
    this.#splitter.stop();
    this.#output.finish(() => closeGracefully(this.#socket, this.#host.clock));
  }

  firstMessageIsDue(ms: number): void {
    this.#conversation.inputError(tooSlow(ms, this.#splitter.isInLine));
  }

  get begun(): Session | undefined {
    return this.#conversation.begun;
  }

  serverDraining(): void {
    this.#conversation.serverDraining();
  }

  shutDown(): void {
    this.#conversation.shutDown();
  }

  cut(): void {
    this.#socket.destroy();
    this.#closed();
  }

  line(message: Message): void {
    this.#conversation.receive(message);
  }

  lineNotUtf8(): void {
    this.#conversation.inputError(
      new RequestError('bad_utf8', 'this line is not valid UTF-8 and was ignored'),
    );
  }

  lineTooLong(): void {
    this.#conversation.inputError(messageTooLong(this.#maxLineBytes, this.#isTokenDue));
  }

  #cancelTimer(): void {
    this.#firstMessageTimer?.cancel();
    this.#firstMessageTimer = undefined;
  }

  /** Too much output is unread: cuts the connection and drops the requests that wait. */
  #overflow(): void {
    this.#splitter.stop();
    this.#socket.destroy();
  }

  /** The end of the input loses the session; an unfinished line is not processed. */
  #inputEnded(): void {
    if (this.#splitter.isInLine) this.#conversation.inputError(LINE_CUT_OFF);
    this.#conversation.inputEnded();
  }

  /** The socket has closed, or is about to. */
  #closed(): void {
    this.#cancelTimer();
    this.#splitter.stop();
    this.#output.close();
    this.#conversation.lost();
  }
}
