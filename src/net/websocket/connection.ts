/**
 * A WebSocket after its handshake: joins a `Receiver` to a socket, and keeps the promises about
 * control frames and closing (RFC 6455, 5.5 and 7).
 *
 *     open ----- close() ------> closing     our close frame is sent, the peer's is awaited
 *     open ----- peer's close, offence, FIN --> ending
 *     closing -- peer's close, offence, FIN --> ending     we have sent FIN
 *     any ------ reset, timeout, too much unread, destroy() --> gone
 *
 * In `closing` and `ending` nothing more is sent and what comes is ignored, but it is still read: see
 * graceful-close.ts. Both together last at most `CLOSE_TIMEOUT_MS`.
 *
 * `ended` is called once, when no message can come any more: on leaving `open` or `closing`. It
 * comes from an event of the socket or the clock, never from within a call of the owner's. The
 * socket may stay open for a while after it; listen to its own 'close' to know when it is gone.
 */
import type { Buffer } from 'node:buffer';
import type { Duplex } from 'node:stream';
import { BufferAccount } from '../stream/buffer-budget.ts';
import { closeGracefully, cutAfterTimeout } from '../stream/graceful-close.ts';
import { InputPump } from '../stream/input-pump.ts';
import { OutputBuffer } from '../stream/output-buffer.ts';
import type { StreamHost } from '../stream/stream-host.ts';
import {
  CloseCode,
  encodeClose,
  encodeFrame,
  encodeText,
  isValidCloseCode,
  Opcode,
} from './frame.ts';
import { Receiver, type ReceiverLimits, type ReceiverSink } from './receiver.ts';

export interface WebSocketOptions extends ReceiverLimits {
  /** Bytes of output that may wait for the peer to read; past it the connection is cut. */
  readonly maxUnreadBytes: number;
  readonly streams: StreamHost;
}

export interface EndInfo {
  /** The peer's close code; else the one this end had for it; else `CloseCode.abnormal`. */
  readonly code: number;
  /** The peer's reason, or a sentence on what happened. */
  readonly reason: string;
  /** Whether close frames went both ways. */
  readonly clean: boolean;
}

export interface WebSocketHandlers {
  text(message: string): void;
  /** `message` is to be copied if it is kept: its bytes are others' afterwards. */
  binary(message: Buffer): void;
  /** No call follows this one. */
  ended(info: EndInfo): void;
}

type State = 'open' | 'closing' | 'ending' | 'gone';

export class WebSocketConnection {
  readonly #socket: Duplex;
  readonly #options: WebSocketOptions;
  readonly #handlers: WebSocketHandlers;
  readonly #output: OutputBuffer;
  readonly #receiver: Receiver;
  #state: State = 'open';
  /** What `ended` is told if the socket goes now. */
  #fate: EndInfo = { code: CloseCode.abnormal, reason: 'The connection was lost.', clean: false };
  #reported = false;

  /**
   * @param socket given up by `node:http`, with the head that accepts the handshake already written;
   *   it is this object's from here on, its 'error' events included
   * @param head what came after the handshake: the first bytes of the first frames
   */
  constructor(
    socket: Duplex,
    head: Buffer,
    options: WebSocketOptions,
    handlers: WebSocketHandlers,
  ) {
    this.#socket = socket;
    this.#options = options;
    this.#handlers = handlers;
    const { streams, maxUnreadBytes } = options;
    const overflow = (): void => this.#overflow();
    this.#output = new OutputBuffer(socket, streams, maxUnreadBytes, overflow);
    const account = new BufferAccount(streams.budget);
    const mayKeep = (bytes: number): boolean => {
      const isKept = account.keep(bytes);
      if (!isKept) this.destroy();
      return isKept;
    };
    this.#receiver = new Receiver({ ...options, mayKeep }, this.#sink());
    socket.on('error', (error) => this.#broke(error));
    socket.on('close', () => this.#closed());
    const ended = (): void => this.#end(this.#fate);
    const input = new InputPump(socket, streams, this.#output, this.#receiver, ended);
    if (socket.closed || socket.readableEnded) {
      // Those events are over; the owner has this object only after its constructor has returned.
      streams.clock.soon(() => (socket.closed ? this.#closed() : ended()));
      return;
    }
    // Put back, and before anybody listens: so no handler runs until the constructor has returned.
    if (head.length > 0) socket.unshift(head);
    input.start();
    socket.resume();
  }

  /** No message after this one before all other connections have had their turn. */
  yieldTurn(): void {
    this.#receiver.pause();
  }

  /** Bytes that wait for the peer to read them. */
  get unreadBytes(): number {
    return this.#output.unreadBytes;
  }

  /**
   * Sends a text message (5.6). Nothing happens unless the connection is open.
   *
   * @param mayWait as `OutputBuffer.push` has it
   */
  sendText(text: string, mayWait?: boolean): void {
    if (this.#state === 'open') this.#output.push(encodeText(text), mayWait);
  }

  /** The same for text in UTF-8, as a byte string. */
  sendBytes(bytes: string, mayWait?: boolean): void {
    if (this.#state === 'open') this.#output.push(encodeFrame(Opcode.text, bytes), mayWait);
  }

  /** Sends a binary message (5.6), whose bytes are copied. Nothing happens unless open. */
  sendBinary(message: Buffer): void {
    if (this.#state !== 'open') return;
    this.#output.push(encodeFrame(Opcode.binary, message.toString('latin1')));
  }

  /** Sends an empty ping (5.5.2), so that a peer that is no more gets noticed. */
  ping(): void {
    if (this.#state === 'open') this.#output.push(encodeFrame(Opcode.ping, ''));
  }

  /**
   * Starts the closing handshake (7.1.2), after everything sent before. No message is delivered or
   * sent after it. Nothing happens unless the connection is open.
   *
   * @param code a code that may be sent: see `isValidCloseCode`
   * @param reason for people; what is over 123 bytes of UTF-8 is cut off
   */
  close(code: number, reason: string): void {
    if (!isValidCloseCode(code)) throw new RangeError(`${code} is not a close code to send`);
    if (this.#state !== 'open') return;
    this.#state = 'closing';
    this.#fate = { code, reason, clean: false };
    cutAfterTimeout(this.#socket, this.#options.streams.clock);
    this.#output.push(encodeClose(code, reason));
  }

  /** Cuts the connection at once; what the peer has not read may be lost. */
  destroy(): void {
    if (this.#state === 'gone') return;
    this.#state = 'gone';
    this.#output.close();
    this.#socket.destroy();
  }

  #sink(): ReceiverSink {
    return {
      text: (message) => {
        if (this.#state === 'open') this.#handlers.text(message);
      },
      binary: (message) => {
        if (this.#state === 'open') this.#handlers.binary(message);
      },
      ping: (payload) => {
        if (this.#state === 'open') this.#output.push(encodeFrame(Opcode.pong, payload));
      },
      pong: () => {},
      close: (code, reason) => {
        if (this.#state === 'open') this.#output.push(encodeClose(code, ''));
        this.#end({ code: code ?? CloseCode.noStatus, reason, clean: true });
      },
      fail: (code, reason) => {
        if (this.#state === 'open') this.#output.push(encodeClose(code, reason));
        this.#end({ code, reason, clean: false });
      },
    };
  }

  /** The conversation is over: sends what is left and FIN, then waits for the peer's. */
  #end(info: EndInfo): void {
    if (this.#state === 'ending' || this.#state === 'gone') return;
    this.#state = 'ending';
    this.#output.finish();
    closeGracefully(this.#socket, this.#options.streams.clock);
    this.#report(info);
  }

  #overflow(): void {
    const { maxUnreadBytes } = this.#options;
    const reason = `More than ${maxUnreadBytes} bytes waited for the peer to read them.`;
    this.#fate = { code: CloseCode.policyViolation, reason, clean: false };
    this.destroy();
  }

  #broke(error: Error): void {
    if (this.#state !== 'open') return;
    const reason = `The connection was lost: ${error.message}.`;
    this.#fate = { code: CloseCode.abnormal, reason, clean: false };
  }

  /** The socket is no more, for whatever reason. */
  #closed(): void {
    this.#state = 'gone';
    this.#output.close();
    this.#receiver.stop();
    this.#report(this.#fate);
  }

  #report(info: EndInfo): void {
    if (this.#reported) return;
    this.#reported = true;
    this.#handlers.ended(info);
  }
}
