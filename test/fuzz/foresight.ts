/**
 * What must become of a connection, told from its bytes by the pure layers alone: whether it is
 * still good for a ping after them, and which refusals they earn.
 */
import { Buffer, isUtf8 } from 'node:buffer';
import { LineSplitter } from '../../src/net/lines/line-splitter.ts';
import { firstBytes, withoutBlanks } from '../../src/net/listen/acceptor.ts';
import { Receiver } from '../../src/net/websocket/receiver.ts';
import { decodeRequest, isInvalid } from '../../src/protocol/decode.ts';
import { RequestError } from '../../src/protocol/errors.ts';
import type { Limits } from '../../src/runtime/limits.ts';

/** `unknown`: it may go on or end, but not hang once we have ended our side. */
export type Fate = 'goes on' | 'ends' | 'unknown';

export interface Foresight {
  readonly fate: Fate;
  /** The codes of refusals that the decoder gives, in order; more may come between them. */
  readonly codes: readonly string[];
}

const NOT_A_MESSAGE: ReadonlySet<string> = new Set(['bad_json', 'bad_utf8']);

/** What a conversation in the session protocol makes of its messages. */
class Listener {
  readonly codes: string[] = [];
  /** Once it is not `goes on` any more, nothing after that is looked at. */
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
      // A wrong token makes deaf, whatever else is wrong.
      if (decoded.token === undefined) this.refuse(decoded.error.code);
      else this.fate = 'unknown';
      return;
    }
    this.#hasSpoken = true;
    if (decoded.action === 'bye') this.fate = 'ends';
    if (decoded.action !== 'hello') return;
    // Whoever resumes can be taken over from by the next who does.
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
  // However many blanks come first, they are dropped before there is a line.
  const said = withoutBlanks(bytes);
  const protocol = firstBytes(said);
  if (protocol instanceof RequestError) return { fate: 'ends', codes: [protocol.code] };
  if (protocol !== 'lines') return { fate: 'unknown', codes: [] };
  const listener = new Listener(limits);
  const splitter = new LineSplitter(limits.maxMessageBytes, {
    line: (text) => listener.message(text),
    lineNotUtf8: () => listener.refuse('bad_utf8'),
    lineTooLong: () => listener.refuse('message_too_long'),
  });
  splitter.push(said);
  return listener;
}

/**
 * @param frames all that is sent after the handshake, with a ping at the end
 * @param question the payload of that ping; it may be swallowed by a frame that was cut off
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
    // Whether a message of v1 is a bad one depends on the lock.
    if (kind === 'v1') listener.fate = 'unknown';
    else listener.message(text);
  };
  const receiver = new Receiver(limits, {
    text: message,
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
