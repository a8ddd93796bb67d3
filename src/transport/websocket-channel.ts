/** A conversation over WebSocket: one message per text frame, both ways. */
import { type Buffer, isUtf8 } from 'node:buffer';
import type { Socket } from 'node:net';
import type { Channel, Conversation, EndReason } from '../protocol/channel.ts';
import { Refusal } from '../protocol/refusal.ts';
import type { SessionHost } from '../session/session.ts';
import { CLOSE_TIMEOUT_MS } from './outbox.ts';
import { WebSocketConnection, type WebSocketHandlers } from './websocket/connection.ts';
import { CloseCode } from './websocket/frame.ts';

const CLOSE_CODES: Readonly<Record<EndReason, number>> = {
  goodbye: CloseCode.normal,
  bad_input: CloseCode.badMessage,
  taken_over: CloseCode.takenOver,
  silent: CloseCode.silent,
  shutting_down: CloseCode.goingAway,
};

export class WebSocketChannel implements Channel, WebSocketHandlers {
  readonly client: string;
  readonly #connection: WebSocketConnection;
  readonly #conversation: Conversation;

  /**
   * @param socket upgraded, the response to the handshake written
   * @param head what was read after the handshake
   * @param converse makes the conversation that this channel carries
   */
  constructor(
    socket: Socket,
    head: Buffer,
    { limits, clock }: SessionHost,
    client: string,
    converse: (channel: Channel) => Conversation,
  ) {
    this.client = client;
    const { maxMessageBytes, maxFragments, maxUnreadBytes } = limits;
    const options = {
      maxMessageBytes,
      maxFragments,
      maxUnreadBytes,
      closeTimeoutMs: CLOSE_TIMEOUT_MS,
      clock,
    };
    this.#connection = new WebSocketConnection(socket, head, options, this);
    this.#conversation = converse(this);
    socket.on('drain', () => this.#conversation.drained());
  }

  get unreadBytes(): number {
    return this.#connection.unreadBytes;
  }

  send(text: string): void {
    this.#connection.sendText(text);
  }

  end(reason: EndReason): void {
    this.#connection.close(CLOSE_CODES[reason], '');
  }

  shutDown(): void {
    this.#conversation.shutDown();
  }

  text(message: string): void {
    this.#conversation.receive(message);
  }

  /** JSON in a binary frame is as good as in a text frame, as long as it is text. */
  binary(message: Buffer): void {
    if (isUtf8(message)) {
      this.#conversation.receive(message.toString('utf8'));
    } else {
      this.#conversation.receiveGarbage(new Refusal('bad_utf8', 'the message is not valid UTF-8'));
    }
  }

  ended(): void {
    this.#conversation.lost();
  }
}
