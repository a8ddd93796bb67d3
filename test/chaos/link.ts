/**
 * One connection of a chaos client: the line protocol, or WebSocket at a target. Passes replies on
 * as they arrive, and reports once that the connection broke, in whatever way.
 */
import { Buffer } from 'node:buffer';
import { connect, type Socket } from 'node:net';
import type { Reply } from '../support/line-client.ts';
import { handshake } from '../support/websocket-client.ts';
import {
  CLOSE,
  FIN,
  frame,
  PING,
  PONG,
  ServerStream,
  TEXT,
  text,
} from '../support/websocket-frames.ts';

export interface LinkHandlers {
  /** Messages may be sent. */
  opened(): void;
  reply(reply: Reply): void;
  broke(): void;
}

export class Link {
  readonly #socket: Socket;
  readonly #target: string | undefined;
  readonly #handlers: LinkHandlers;
  readonly #stream = new ServerStream();
  /** For the line protocol: the beginning of an incomplete line. */
  #bytes: Buffer = Buffer.alloc(0);
  #isBroken = false;

  /** @param target path and query of a WebSocket; undefined for the line protocol */
  constructor(port: number, target: string | undefined, handlers: LinkHandlers) {
    this.#target = target;
    this.#handlers = handlers;
    this.#socket = connect({ port, host: '127.0.0.1', noDelay: true });
    this.#socket.on('connect', () => {
      if (target === undefined) handlers.opened();
      else this.#socket.write(handshake(target), 'latin1');
    });
    this.#socket.on('data', (chunk) => this.#take(chunk));
    this.#socket.on('error', () => {});
    this.#socket.on('end', () => this.destroy());
    this.#socket.on('close', () => this.#broke());
  }

  send(message: object): void {
    const json = JSON.stringify(message);
    if (this.#target === undefined) this.#socket.write(`${json}\n`);
    else this.#socket.write(text(json));
  }

  /** Ends our side only, and still waits for the other one's end. */
  halfClose(): void {
    this.#socket.end();
  }

  /** Closes the connection without a message. */
  destroy(): void {
    this.#socket.destroy();
    this.#broke();
  }

  #broke(): void {
    if (this.#isBroken) return;
    this.#isBroken = true;
    this.#handlers.broke();
  }

  #take(chunk: Buffer): void {
    if (this.#isBroken) return;
    if (this.#target === undefined) this.#takeLines(chunk);
    else this.#takeFrames(chunk);
  }

  #takeLines(chunk: Buffer): void {
    this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk]);
    const end = this.#bytes.lastIndexOf(0x0a);
    if (end === -1) return;
    const lines = this.#bytes.toString('utf8', 0, end).split('\n');
    this.#bytes = this.#bytes.subarray(end + 1);
    for (const line of lines) if (!this.#isBroken) this.#handlers.reply(JSON.parse(line));
  }

  #takeFrames(chunk: Buffer): void {
    const wasUpgraded = this.#stream.isUpgraded;
    const frames = this.#stream.push(chunk);
    const { head, isUpgraded } = this.#stream;
    // A server that reads its store, or does not own it, is not ready.
    if (head?.startsWith('HTTP/1.1 503 ')) this.destroy();
    else if (head !== undefined && !isUpgraded) {
      throw new Error(`the handshake was refused: ${head}`);
    }
    if (isUpgraded && !wasUpgraded) this.#handlers.opened();
    for (const { opcode, payload } of frames) {
      if (this.#isBroken) return;
      if (opcode === TEXT) this.#handlers.reply(JSON.parse(payload.toString('utf8')));
      else if (opcode === PING) this.#socket.write(frame(FIN | PONG, payload));
      else if (opcode === CLOSE) this.#socket.end();
    }
  }
}
