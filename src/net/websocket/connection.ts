/**
 * A WebSocket after its handshake: joins a `Receiver` to a socket, and implements control frames
 * and closing (RFC 6455, 5.5 and 7).
 *
 *     open ----- close() ------> closing     our close frame is sent, the peer's is awaited
 *     open ----- peer's close, violation, FIN --> ending
 *     closing -- peer's close, violation, FIN --> ending     we have sent FIN
 *     any ------ reset, timeout, too much unread, destroy() --> closed
 *
 * In `closing` and `ending` nothing more is sent, and input is read but ignored: see
 * graceful-close.ts. Both together last at most `CLOSE_TIMEOUT_MS`.
 *
 * `ended` is called once, when no more messages can follow: on leaving `open` or `closing`. It is
 * called from an event of the socket or the clock, never within a call of the owner. The socket may
 * stay open for a while; its own 'close' event says when it is closed.
 */
import type { Buffer } from 'node:buffer';
import type { Duplex } from 'node:stream';
import type { Message } from '../../runtime/message.ts';
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
  /** Bytes of output that the peer may leave unread; past that the connection is cut. */
  readonly maxUnreadBytes: number;
  readonly streams: StreamHost;
}

export interface EndInfo {
  /** The peer's close code; else the one that this end sent; else `CloseCode.abnormal`. */
  readonly code: number;
  /** The peer's reason, or a sentence that says what happened. */
  readonly reason: string;
  /** Whether the closing handshake was completed. */
  readonly clean: boolean;
}

export interface WebSocketHandlers {
  text(message: Message): void;
  /** `message` must be copied if it is kept: its memory is reused after the call. */
  binary(message: Buffer): void;
  /** Output that waited for the store has been written. */
  written?(): void;
  /** No call follows this one. */
  ended(info: EndInfo): void;
}

type State = 'open' | 'closing' | 'ending' | 'closed';

export class WebSocketConnection {
  readonly #socket: Duplex;
  readonly #options: WebSocketOptions;
  readonly #handlers: WebSocketHandlers;
  readonly #output: OutputBuffer;
  readonly #receiver: Receiver;
  readonly #input: InputPump;
  #state: State = 'open';
  /** What `ended` gets if the socket closes now. */
  #fate: EndInfo = { code: CloseCode.abnormal, reason: 'The connection was lost.', clean: false };
  #reported = false;

  /**
   * @param socket detached from `node:http`, with the handshake response already written; this
   *   object takes it over, its 'error' events included
   * @param head the bytes already read after the handshake
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
    const written = (): void => handlers.written?.();
    this.#output = new OutputBuffer(socket, streams, maxUnreadBytes, overflow, written);
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
    this.#input = new InputPump(socket, streams, this.#output, this.#receiver, ended);
    if (socket.closed || socket.readableEnded) {
      // Those events have passed. Deferred: the owner has no reference before the constructor
      // returns.
      streams.clock.soon(() => (socket.closed ? this.#closed() : ended()));
      return;
    }
    // Put back before there is a reader, so that no handler runs before the constructor returns.
    if (head.length > 0) socket.unshift(head);
    this.#input.start();
    socket.resume();
  }

  /** Delivers no message after the present one until other connections have had their turn. */
  yieldTurn(): void {
    this.#input.yieldTurn();
  }

  /** See `InputPump`. */
  get heldAgoMs(): number {
    return this.#input.heldAgoMs;
  }

  /** Bytes that are not sent yet. */
  get unreadBytes(): number {
    return this.#output.unreadBytes;
  }

  /**
   * Sends a text message (5.6). Ignored unless open.
   *
   * @param mayWait see `OutputBuffer.push`
   */
  sendText(text: string, mayWait?: boolean): void {
    if (this.#state === 'open') this.#output.push(encodeText(text), mayWait);
  }

  /** Like `sendText`, for a byte string of UTF-8. */
  sendBytes(bytes: string, mayWait?: boolean): void {
    if (this.#state === 'open') this.#output.push(encodeFrame(Opcode.text, bytes), mayWait);
  }

  /** Sends a binary message (5.6), whose bytes are copied. Ignored unless open. */
  sendBinary(message: Buffer): void {
    if (this.#state !== 'open') return;
    this.#output.push(encodeFrame(Opcode.binary, message.toString('latin1')));
  }

  /** Sends an empty ping (5.5.2). Ignored unless open. */
  ping(): void {
    if (this.#state === 'open') this.#output.push(encodeFrame(Opcode.ping, ''));
  }

  /**
   * Starts the closing handshake (7.1.2), after all output. No message is delivered or sent
   * afterwards. Ignored unless open.
   *
   * @param code a code that may be sent: see `isValidCloseCode`
   * @param reason for people; what is over 123 bytes of UTF-8 is cut off
   */
  close(code: number, reason: string): void {
    if (!isValidCloseCode(code)) throw new RangeError(`${code} is not a valid close code`);
    if (this.#state !== 'open') return;
    this.#state = 'closing';
    this.#fate = { code, reason, clean: false };
    cutAfterTimeout(this.#socket, this.#options.streams.clock);
    this.#output.push(encodeClose(code, reason));
  }

  /** Cuts the connection at once; output that the peer has not read may be lost. */
  destroy(): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
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

  /** Sends the pending output and FIN, then waits for the peer's FIN. */
  #end(info: EndInfo): void {
    if (this.#state === 'ending' || this.#state === 'closed') return;
    this.#state = 'ending';
    this.#output.finish(() => closeGracefully(this.#socket, this.#options.streams.clock));
    this.#report(info);
  }

  #overflow(): void {
    const { maxUnreadBytes } = this.#options;
    const reason = `The peer left more than ${maxUnreadBytes} bytes unread.`;
    this.#fate = { code: CloseCode.policyViolation, reason, clean: false };
    this.destroy();
  }

  #broke(error: Error): void {
    if (this.#state !== 'open') return;
    const reason = `The connection was lost: ${error.message}.`;
    this.#fate = { code: CloseCode.abnormal, reason, clean: false };
  }

  /** The socket has closed, for whatever reason. */
  #closed(): void {
    this.#state = 'closed';
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
