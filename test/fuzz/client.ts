/**
 * One connection that sends its script, cut anywhere, and checks all that it receives: replies must
 * be JSON with codes of the list, frames must be valid, and so must HTTP.
 */
import assert from 'node:assert/strict';
import { Buffer, isUtf8 } from 'node:buffer';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { ERROR_CODES } from '../../src/protocol/errors.ts';
import type { Reply } from '../support/line-client.ts';
import { CLOSE, PONG, type ServerFrame, serverFrames, TEXT } from '../support/websocket-frames.ts';
import type { Foresight } from './foresight.ts';

export type Kind = 'lines' | 'http' | 'v1' | 'v2';

export interface Script {
  readonly kind: Kind;
  /** In the order of their writes. */
  readonly pieces: readonly Buffer[];
  readonly foresight: Foresight;
  /** What it does when all is written; `ask` waits for the answer, then ends its side. */
  readonly ending: 'ask' | 'half-close' | 'reset' | 'stay';
  /** Whether it reads. */
  readonly reads: boolean;
}

/** The last message; if it is answered, the connection still works. */
export const QUESTION = 'still there?';
const HEAD_END = '\r\n\r\n';

export class FuzzClient {
  readonly script: Script;
  readonly socket: Socket;
  /** The server has ended the connection, or has announced it. */
  isOver = false;
  isClosed = false;
  isAnswered = false;
  /** Codes of errors, and `action state` of other replies, in order. */
  readonly heard: string[] = [];
  /** The names of sessions that it has received. */
  readonly sessions: string[] = [];
  /** What was wrong with the server's output. */
  #fault: unknown;
  #received = Buffer.alloc(0);
  #hasHead = false;

  private constructor(script: Script, socket: Socket) {
    this.script = script;
    this.socket = socket;
    if (script.reads) socket.on('data', (chunk) => this.#hear(chunk));
    socket.on('end', () => {
      this.isOver = true;
    });
    socket.on('close', () => {
      this.isOver = true;
      this.isClosed = true;
    });
    socket.on('error', () => {}); // 'close' follows
  }

  /** Connects and sends everything; checks the server's output as it arrives. */
  static async play(port: number, script: Script): Promise<FuzzClient> {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
    const client = new FuzzClient(script, socket);
    await once(socket, 'connect');
    for (const piece of script.pieces) {
      if (!socket.writable) break;
      socket.write(piece);
      await new Promise((resolve) => setImmediate(resolve));
    }
    if (script.ending === 'reset') socket.resetAndDestroy();
    if (script.ending === 'half-close') socket.end();
    return client;
  }

  /** Whether it has received all that it waits for. */
  get isSatisfied(): boolean {
    const { fate } = this.script.foresight;
    if (fate === 'goes on') return this.isAnswered;
    return fate === 'unknown' ? this.isAnswered || this.isOver : this.isOver;
  }

  /** Throws if the server's output was invalid. */
  check(): void {
    if (this.#fault !== undefined) throw this.#fault;
  }

  /** Compares the server's output with the prediction; to be called once `isSatisfied`. */
  judge(): void {
    const { foresight } = this.script;
    let at = 0;
    for (const code of foresight.codes) {
      at = this.heard.indexOf(code, at) + 1;
      assert.ok(at > 0, `${code} was to be answered, in order: ${this.heard.join(' ')}`);
    }
  }

  #hear(chunk: Buffer): void {
    try {
      this.#take(chunk);
    } catch (error) {
      this.#fault ??= error;
    }
  }

  #take(chunk: Buffer): void {
    this.#received = Buffer.concat([this.#received, chunk]);
    if (this.script.kind === 'lines' && !this.#isHttp()) this.#takeLines();
    else this.#takeHttp();
  }

  /** Damage may have turned a line into a request. */
  #isHttp(): boolean {
    return this.#received.toString('latin1', 0, 5) === 'HTTP/';
  }

  #takeLines(): void {
    for (let end = this.#received.indexOf('\n'); end !== -1; end = this.#received.indexOf('\n')) {
      this.#reply(this.#received.subarray(0, end));
      this.#received = this.#received.subarray(end + 1);
    }
  }

  #takeHttp(): void {
    if (!this.#hasHead) {
      const end = this.#received.indexOf(HEAD_END);
      if (end === -1) return;
      const head = this.#received.toString('latin1', 0, end);
      assert.match(head, /^HTTP\/1\.1 [1-5]\d\d [A-Z][A-Za-z -]*(\r\n|$)/);
      // An ordinary response has a text as its body: that there is one is enough.
      if (!head.startsWith('HTTP/1.1 101 ')) return;
      this.#hasHead = true;
      this.#received = this.#received.subarray(end + HEAD_END.length);
    }
    let taken = 0;
    for (const frame of serverFrames(this.#received)) {
      taken = frame.payload.byteOffset + frame.payload.length - this.#received.byteOffset;
      this.#frame(frame);
    }
    this.#received = this.#received.subarray(taken);
  }

  #frame({ opcode, payload }: ServerFrame): void {
    assert.ok(!this.isOver, 'nothing comes after a close frame');
    if (opcode === PONG) this.isAnswered ||= payload.toString() === QUESTION;
    if (opcode === CLOSE) this.isOver = true;
    if (opcode !== TEXT) return;
    // A v1 conversation ends with a sentence.
    const isSentence = this.script.kind !== 'v2' && payload[0] !== '{'.charCodeAt(0);
    if (isSentence) assert.ok(isUtf8(payload) && payload.length > 0);
    else this.#reply(payload);
  }

  #reply(bytes: Buffer): void {
    assert.ok(isUtf8(bytes), 'replies are UTF-8');
    const reply: Reply = JSON.parse(bytes.toString());
    assert.ok(typeof reply === 'object' && reply !== null && !Array.isArray(reply));
    if (reply.ref === QUESTION) this.isAnswered = true;
    if (reply.action === 'hello' && typeof reply.session === 'string') {
      this.sessions.push(reply.session);
    }
    if (reply.error === undefined) {
      this.heard.push(`${reply.action} ${reply.state ?? ''}`.trim());
      return;
    }
    const { code, message } = reply.error as Record<string, unknown>;
    assert.ok(
      typeof code === 'string' && Object.hasOwn(ERROR_CODES, code),
      `${code} is a code of the list`,
    );
    assert.ok(typeof message === 'string' && message.length > 0);
    this.heard.push(code);
  }
}
