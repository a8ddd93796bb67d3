/**
 * Predicts the fate of a connection from its bytes, by the pure layers alone: whether it still
 * answers a ping after them, and which errors they cause.
 */
import { Buffer, isUtf8 } from 'node:buffer';
import { LineSplitter } from '../../src/net/lines/line-splitter.ts';
import { firstBytes, withoutBlanks } from '../../src/net/listen/acceptor.ts';
import { Receiver } from '../../src/net/websocket/receiver.ts';
import { decodeRequest, isInvalid } from '../../src/protocol/decode.ts';
import { RequestError } from '../../src/protocol/errors.ts';
import type { Limits } from '../../src/runtime/limits.ts';

/** `unknown`: it may go on or end, but must not hang once the client has ended its side. */
export type Fate = 'goes on' | 'ends' | 'unknown';

export interface Foresight {
  readonly fate: Fate;
  /** The codes of the decoder's errors, in order; others may come between them. */
  readonly codes: readonly string[];
}

const NOT_A_MESSAGE: ReadonlySet<string> = new Set(['bad_json', 'bad_utf8']);

/** Predicts a conversation in the session protocol from its messages. */
class Listener {
  readonly codes: string[] = [];
  /** Once it is no longer `goes on`, later messages are not read. */
  fate: Fate = 'goes on';
  readonly #limits: Limits;
  #hasSpoken = false;

  constructor(limits: Limits) {
    this.#limits = limits;
  }

  message(text: string): void {
    if (this.fate !== 'goes on') return;
    const decoded = decodeRequest(text, this.#limits);
    if (isInvalid(decoded)) {
      // After a wrong token the server reads nothing more, whatever else is wrong.
      if (decoded.token === undefined) this.refuse(decoded.error.code);
      else this.fate = 'unknown';
      return;
    }
    this.#hasSpoken = true;
    if (decoded.action === 'bye') this.fate = 'ends';
    if (decoded.action !== 'hello') return;
    // A resumed session can be taken over by the next client that resumes it.
    if ((decoded.session ?? decoded.token) !== undefined) this.fate = 'unknown';
  }

  refuse(code: string): void {
    if (this.fate !== 'goes on') return;
    this.codes.push(code);
    if (!NOT_A_MESSAGE.has(code)) this.#hasSpoken = true;
    if (!this.#hasSpoken || code === 'message_too_long') this.fate = 'ends';
  }
}

/** @param bytes all that is sent, with a line feed and a ping at the end */
export function foreseeLines(bytes: Buffer, limits: Limits): Foresight {
  // Any number of blanks before the first line is dropped.
  const said = withoutBlanks(bytes);
  const protocol = firstBytes(said);
  if (protocol instanceof RequestError) return { fate: 'ends', codes: [protocol.code] };
  if (protocol !== 'lines') return { fate: 'unknown', codes: [] };
  const listener = new Listener(limits);
  const splitter = new LineSplitter(limits.maxMessageBytes, {
    line: ({ text }) => listener.message(text),
    lineNotUtf8: () => listener.refuse('bad_utf8'),
    lineTooLong: () => listener.refuse('message_too_long'),
  });
  splitter.push(said);
  return listener;
}

/**
 * @param frames all that is sent after the handshake, with a ping at the end
 * @param question the payload of that ping; a frame that was cut short may swallow it
 */
export function foreseeFrames(
  kind: 'v1' | 'v2',
  frames: Buffer,
  question: string,
  limits: Limits,
): Foresight {
  const listener = new Listener(limits);
  let isAsked = false;
  let isOver = false;
  const message = (text: string): void => {
    // Whether a message of v1 is valid depends on the lock.
    if (kind === 'v1') listener.fate = 'unknown';
    else listener.message(text);
  };
  const receiver = new Receiver(limits, {
    text: ({ text }) => message(text),
    binary: (bytes) => (isUtf8(bytes) ? message(bytes.toString()) : garbage(kind, listener)),
    ping: (payload) => {
      isAsked ||= payload === question;
    },
    pong: () => {},
    close: () => {
      isOver = true;
    },
    fail: () => {
      isOver = true;
    },
  });
  receiver.push(Buffer.from(frames));
  if (isOver) return { fate: 'ends', codes: listener.codes };
  const fate = listener.fate === 'goes on' && !isAsked ? 'unknown' : listener.fate;
  return { fate, codes: listener.codes };
}

function garbage(kind: 'v1' | 'v2', listener: Listener): void {
  if (kind === 'v1') listener.fate = 'ends';
  else listener.refuse('bad_utf8');
}
