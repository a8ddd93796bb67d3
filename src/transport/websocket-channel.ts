/** A conversation over WebSocket: one message per text frame, both ways. */
import { type Buffer, isUtf8 } from 'node:buffer';
import type { Socket } from 'node:net';
import type { Channel, Conversation, EndReason } from '../protocol/channel.ts';
import { Refusal } from '../protocol/refusal.ts';
import type { Timer } from '../session/clock.ts';
import type { SessionHost } from '../session/session-host.ts';
import { CLOSE_TIMEOUT_MS } from './outbox.ts';
import { WebSocketConnection, type WebSocketHandlers } from './websocket/connection.ts';
import { CloseCode } from './websocket/frame.ts';

/**
 * Milliseconds between two looks at a connection. If nothing has arrived since the last one the peer
 * is pinged, which it must answer; if nothing has arrived by the next, the connection is cut.
 */
const PING_INTERVAL_MS = 30_000;

const CLOSE_CODES: Readonly<Record<EndReason, number>> = {
  goodbye: CloseCode.normal,
  bad_input: CloseCode.badMessage,
  taken_over: CloseCode.takenOver,
  silent: CloseCode.silent,
  evicted: CloseCode.evicted,
  unauthorized: CloseCode.unauthorized,
  shutting_down: CloseCode.goingAway,
};

export class WebSocketChannel implements Channel, WebSocketHandlers {
  readonly client: string;
  readonly isLocal: boolean;
  readonly #socket: Socket;
  readonly #host: SessionHost;
  readonly #connection: WebSocketConnection;
  readonly #conversation: Conversation;
  #bytesSeen = 0;
  #isPinged = false;
  #pingTimer: Timer;

  /**
   * @param socket upgraded, the response to the handshake written
   * @param head what was read after the handshake
   * @param converse makes the conversation that this channel carries
   */
  constructor(
    socket: Socket,
    head: Buffer,
    host: SessionHost,
    client: string,
    isLocal: boolean,
    converse: (channel: Channel) => Conversation,
  ) {
    this.client = client;
    this.isLocal = isLocal;
    this.#socket = socket;
    this.#host = host;
    const { maxMessageBytes, maxFragments, maxUnreadBytes } = host.limits;
    const options = {
      maxMessageBytes,
      maxFragments,
      maxUnreadBytes,
      closeTimeoutMs: CLOSE_TIMEOUT_MS,
      clock: host.clock,
    };
    this.#connection = new WebSocketConnection(socket, head, options, this);
    this.#conversation = converse(this);
    this.#pingTimer = this.#lookLater();
    socket.on('drain', () => this.#conversation.drained());
  }

  get unreadBytes(): number {
    return this.#connection.unreadBytes;
  }

  send(text: string, mayWait?: boolean): void {
    this.#connection.sendText(text, mayWait);
  }

  rest(): void {
    this.#connection.rest();
  }

  sendAscii(text: string, mayWait?: boolean): void {
    this.#connection.sendAscii(text, mayWait);
  }

  sendShared(bytes: string): void {
    this.#connection.sendShared(bytes);
  }

  /** Frames are still taken apart, for those that close; the conversation drops what is in them. */
  stopListening(): void {}

  end(reason: EndReason): void {
    this.#connection.close(CLOSE_CODES[reason], '');
  }

  drain(): void {
    this.#conversation.drain();
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
    this.#pingTimer.cancel();
    this.#conversation.lost();
  }

  #lookLater(): Timer {
    return this.#host.clock.setTimer(PING_INTERVAL_MS, () => this.#look());
  }

  /** Notices a peer that vanished without a word: TCP alone would take hours. */
  #look(): void {
    const { bytesRead } = this.#socket;
    const isSilent = bytesRead === this.#bytesSeen;
    if (isSilent && this.#isPinged) {
      this.#connection.destroy();
      return;
    }
    this.#bytesSeen = bytesRead;
    this.#isPinged = isSilent;
    if (isSilent) this.#connection.ping();
    this.#pingTimer = this.#lookLater();
  }
}
