/** A conversation over WebSocket: one message per text frame, both ways. */
import { type Buffer, isUtf8 } from 'node:buffer';
import type { Auth, Locality } from '../../protocol/auth.ts';
import type { Channel, Conversation, EndReason } from '../../protocol/channel.ts';
import { RequestError, tooSlow } from '../../protocol/errors.ts';
import type { Clock, Timer } from '../../runtime/clock.ts';
import type { Limits } from '../../runtime/limits.ts';
import type { AcceptedConnection } from '../listen/listener.ts';
import type { StreamHost } from '../stream/stream-host.ts';
import { WebSocketConnection, type WebSocketHandlers } from './connection.ts';
import { CloseCode } from './frame.ts';

/**
 * A peer that has sent nothing at all counts as gone after so many pings in a row and so many
 * milliseconds: pings may be sent faster than their answers come back.
 */
const MAX_UNANSWERED_PINGS = 2;
const MAX_SILENCE_MS = 30_000;

export interface WebSocketChannelOptions {
  readonly clock: Clock;
  readonly limits: Limits;
  readonly auth: Pick<Auth, 'needsToken'>;
  readonly streams: StreamHost;
  /**
   * Milliseconds (>= 1) between two pings. They are sent whatever else is, so that with the answers
   * to them neither direction is silent for longer: proxies watch each one for itself.
   */
  readonly pingIntervalMs: number;
}

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
  readonly locality: Locality;
  readonly #socket: AcceptedConnection['socket'];
  readonly #options: WebSocketChannelOptions;
  readonly #connection: WebSocketConnection;
  readonly #conversation: Conversation;
  #bytesSeen = 0;
  #unansweredPings = 0;
  /** When it was seen last that bytes had come. */
  #seenMs: number;
  #pingTimer: Timer;
  readonly #firstMessageTimer: Timer;

  /**
   * @param connection whose socket is upgraded, the response to the handshake written
   * @param locality where the client is, which may be behind a proxy
   * @param head what was read after the handshake
   * @param converse makes the conversation that this channel carries
   */
  constructor(
    connection: AcceptedConnection,
    head: Buffer,
    options: WebSocketChannelOptions,
    locality: Locality,
    converse: (channel: Channel) => Conversation,
  ) {
    const { socket, name } = connection;
    this.client = name;
    this.locality = locality;
    this.#socket = socket;
    this.#options = options;
    const { streams } = options;
    const { maxMessageBytes, maxFragments, maxUnreadBytes } = options.limits;
    const settings = { maxMessageBytes, maxFragments, maxUnreadBytes, streams };
    this.#connection = new WebSocketConnection(socket, head, settings, this);
    // As on lines: people may type where no token is required.
    const { firstMessageMs, firstLineMs } = options.limits;
    const firstMs = options.auth.needsToken ? firstMessageMs : firstLineMs;
    this.#firstMessageTimer = options.clock.setTimer(firstMs, () => {
      this.#conversation.inputError(tooSlow(firstMs));
    });
    this.#conversation = converse(this);
    this.#seenMs = options.clock.now();
    this.#pingTimer = this.#pingLater();
    socket.on('drain', () => this.#conversation.onWritable());
  }

  get unreadBytes(): number {
    return this.#connection.unreadBytes;
  }

  reply(message: string, mayWait?: boolean): void {
    this.#connection.sendBytes(message, mayWait);
  }

  notify(message: string): void {
    this.#connection.sendBytes(message);
  }

  yieldTurn(): void {
    this.#connection.yieldTurn();
  }

  /** How much a message may have is the same before and after. */
  admitted(): void {
    this.#firstMessageTimer.cancel();
  }

  end(reason: EndReason): void {
    this.#connection.close(CLOSE_CODES[reason], '');
  }

  serverDraining(): void {
    this.#conversation.serverDraining();
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
      this.#conversation.inputError(new RequestError('bad_utf8', 'the message is not valid UTF-8'));
    }
  }

  ended(): void {
    this.#pingTimer.cancel();
    this.#firstMessageTimer.cancel();
    this.#conversation.lost();
  }

  #pingLater(): Timer {
    const { clock, pingIntervalMs } = this.#options;
    return clock.setTimer(pingIntervalMs, () => this.#ping());
  }

  /** Also notices a peer that vanished without notice: TCP alone would take hours. */
  #ping(): void {
    const { bytesRead } = this.#socket;
    const now = this.#options.clock.now();
    if (bytesRead !== this.#bytesSeen) {
      this.#unansweredPings = 0;
      this.#seenMs = now;
    }
    const isSilent = now - this.#seenMs >= MAX_SILENCE_MS;
    if (isSilent && this.#unansweredPings >= MAX_UNANSWERED_PINGS) {
      this.#connection.destroy();
      return;
    }
    this.#bytesSeen = bytesRead;
    this.#unansweredPings++;
    this.#connection.ping();
    this.#pingTimer = this.#pingLater();
  }
}
