/**
 * The channel of a conversation over WebSocket: one message per text frame, both ways. The only
 * file here that knows conversations. Also enforces the first-message timeout, and pings the peer
 * to detect one that is unreachable.
 */
import { type Buffer, isUtf8 } from 'node:buffer';
import type { Auth, Locality } from '../../protocol/auth.ts';
import type { Channel, Conversation, EndReason } from '../../protocol/channel.ts';
import { RequestError, tooSlow } from '../../protocol/errors.ts';
import { type Clock, setSendTimer, type Timer } from '../../runtime/clock.ts';
import type { Limits } from '../../runtime/limits.ts';
import { Message } from '../../runtime/message.ts';
import type { Session } from '../../session/session.ts';
import type { AcceptedConnection } from '../listen/listener.ts';
import type { StreamHost } from '../stream/stream-host.ts';
import { type EndInfo, WebSocketConnection, type WebSocketHandlers } from './connection.ts';
import { CloseCode } from './frame.ts';

/**
 * A peer that has sent no byte counts as lost once both this many pings are unanswered and this
 * many milliseconds have passed: the ping interval may be shorter than the round trip.
 */
const MAX_UNANSWERED_PINGS = 2;
const MAX_SILENCE_MS = 30_000;

export interface WebSocketChannelOptions {
  readonly clock: Clock;
  readonly limits: Limits;
  readonly auth: Pick<Auth, 'needsToken'>;
  readonly streams: StreamHost;
  /**
   * Milliseconds (>= 1) between two pings. They are sent regardless of other traffic, so that pings
   * and pongs keep both directions active: proxies may time out each one by itself.
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
  /** When new input was last noticed. */
  #seenMs: number;
  #pingTimer: Timer;
  /** Undefined once it is cancelled. */
  #firstMessageTimer: Timer | undefined;

  /**
   * @param connection its socket is upgraded, and the handshake response is written
   * @param locality of the client, proxies taken into account
   * @param head the bytes already read after the handshake
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
    // As in the line protocol: without tokens people may type the first message.
    const { firstMessageMs, firstLineMs } = options.limits;
    const firstMs = options.auth.needsToken ? firstMessageMs : firstLineMs;
    this.#firstMessageTimer = setSendTimer(options.clock, firstMs, () => {
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

  get heldAgoMs(): number {
    return this.#connection.heldAgoMs;
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

  /** The message size limit is the same before and after. */
  admitted(): void {
    this.#firstMessageTimer?.cancel();
    this.#firstMessageTimer = undefined;
  }

  end(reason: EndReason): void {
    this.#connection.close(CLOSE_CODES[reason], '');
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
    this.#connection.destroy();
    this.#conversation.lost();
  }

  text(message: Message): void {
    this.#conversation.receive(message);
  }

  /** A binary frame is treated like a text frame if it is valid UTF-8. */
  binary(message: Buffer): void {
    if (isUtf8(message)) {
      this.#conversation.receive(new Message(message));
    } else {
      this.#conversation.inputError(new RequestError('bad_utf8', 'the message is not valid UTF-8'));
    }
  }

  written(): void {
    this.#conversation.onWritable();
  }

  ended({ code, clean }: EndInfo): void {
    this.#pingTimer.cancel();
    this.#firstMessageTimer?.cancel();
    if (clean && code === CloseCode.normal) this.#conversation.clientDone();
    this.#conversation.lost();
  }

  #pingLater(): Timer {
    const { clock, pingIntervalMs } = this.#options;
    return clock.setTimer(pingIntervalMs, () => this.#ping());
  }

  /** Pings the peer, or cuts the connection if it is lost. */
  #ping(): void {
    const { bytesRead } = this.#socket;
    const { clock } = this.#options;
    const now = clock.now();
    // A pong may have arrived and not been read.
    const heldMs = Math.max(clock.inputHeldMs?.() ?? this.#seenMs, now - this.heldAgoMs);
    if (bytesRead !== this.#bytesSeen || heldMs > this.#seenMs) {
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
