/**
 * The v1 protocol, compatible with the Go server and its clients: one lock at a time, the lock's id
 * in every answer, and the first invalid message ends the session. Messages in, text out.
 *
 *     ready --lock--> acquired          or --lock--> enqueued --> acquired
 *     acquired, enqueued --release--> ready
 */

import { toByteString } from '../runtime/byte-string.ts';
import { idText } from '../runtime/id-text.ts';
import type { Message } from '../runtime/message.ts';
import { NO_TERMS, type SessionLock } from '../session/lock-record.ts';
import { Session } from '../session/session.ts';
import type {
  LockChange,
  LockError,
  Peer,
  SessionEnd,
  SessionHost,
} from '../session/session-host.ts';
import type { Resource } from '../table/resource.ts';
import type { Channel, Conversation } from './channel.ts';
import { DRAINING, limitError, RequestError } from './errors.ts';
import { fastDecode } from './fast-decode.ts';
import { COSTLY_LENGTH, parseObject, shorten } from './fields.ts';
import { decodeResources } from './resources.ts';

export interface V1Settings {
  readonly namespace: string;
  readonly abandonTimeoutMs: number;
}

/** The rest of an answer after the lock's id. */
const States = {
  enqueued: '","action":"lock","state":"enqueued"}',
  acquired: '","action":"lock","state":"acquired"}',
  ready: '","action":"release","state":"ready"}',
} as const;

export class V1Protocol implements Conversation, Peer {
  readonly #host: SessionHost;
  readonly #channel: Channel;
  readonly #session: Session;
  #lock: SessionLock | undefined;
  #ended = false;

  constructor(host: SessionHost, channel: Channel, settings: V1Settings) {
    this.#host = host;
    this.#channel = channel;
    this.#session = new Session(host, { ...settings, client: channel.client }, this);
    // The handshake counts as the first message.
    channel.admitted(host.limits.maxMessageBytes);
  }

  get begun(): Session {
    return this.#session;
  }

  receive(message: Message): void {
    if (this.#ended) return;
    if (message.length >= COSTLY_LENGTH) this.#channel.yieldTurn();
    const wrong = this.#handle(message);
    if (wrong !== undefined) this.#fail(wrong);
  }

  inputError(error: RequestError): void {
    if (!this.#ended) this.#fail(error.message);
  }

  lockChanged(lock: SessionLock, change: LockChange): void {
    if (change === 'acquired') {
      this.#channel.notify(messageAbout(lock, States.acquired));
    } else if (change === 'evicted') {
      // v1 has no message for a lost lock, and the client has only this one: its session ends.
      this.sessionEnded('evicted');
      this.#session.end('evicted');
    } else if (change === 'draining') {
      this.#channel.notify(toByteString(DRAINING.message));
      this.shutDown();
    }
    // In v1 no lock can time out or expire.
  }

  sessionEnded(reason: SessionEnd): void {
    // A v1 session has no name, so it can't be resumed and is never taken over.
    if (reason === 'evicted') this.#endWith(EVICTED);
    else this.shutDown();
  }

  inputEnded(): void {
    if (!this.#ended) this.#channel.end('goodbye');
    this.lost();
  }

  /** In v1 a session outlives every end of its connection, as in the Go server. */
  clientDone(): void {}
  /** Nothing is watched in v1. */
  onWritable(): void {}
  /** v1 has no message for this. The session ends when it holds no lock. */
  serverDraining(): void {}

  lost(): void {
    this.#ended = true;
    this.#session.lose(this);
  }

  shutDown(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#channel.end('shutting_down');
  }

  #fail(sentence: string): void {
    this.#endWith(sentence);
    // Not only when the socket closes: until then its waiting lock could be granted.
    this.#session.lose(this);
  }

  #endWith(sentence: string): void {
    this.#channel.notify(toByteString(sentence));
    this.#ended = true;
    this.#channel.end('bad_input');
  }

  /** Carries out the message; returns an error as a sentence if it is invalid. */
  #handle(received: Message): string | undefined {
    const usual = fastDecode(received, this.#host.limits, 'v1');
    if (usual?.action === 'lock') return this.#lockAs(usual.resources);
    if (usual?.action === 'release') return this.#releaseIt();
    const message = parseObject(received.text, this.#host.limits, '{"action":"release"}');
    if (message instanceof RequestError) return message.message;
    const { action } = message;
    if (action === 'lock') {
      const resources = decodeResources(message.resources, this.#host.limits, 'v1');
      // The error of the wrong state takes precedence.
      if (resources instanceof RequestError) return this.#cannotLock() ?? resources.message;
      return this.#lockAs(resources);
    }
    if (action === 'release') return this.#releaseIt();
    if (typeof action !== 'string') return 'action must be "lock" or "release"';
    return `unknown action "${shorten(action)}"; it must be "lock" or "release"`;
  }

  #cannotLock(): string | undefined {
    return this.#lock && `cannot lock: release lock ${this.#lock.id} first`;
  }

  #lockAs(resources: readonly Resource[]): string | undefined {
    const wrong = this.#cannotLock();
    if (wrong !== undefined) return wrong;
    const lock = this.#session.lock(resources, NO_TERMS);
    if ('code' in lock) return this.#limitMessage(lock);
    this.#lock = lock;
    this.#reply(lock, lock.state === 'acquired' ? States.acquired : States.enqueued);
    return undefined;
  }

  #limitMessage(error: LockError): string {
    // Without terms, neither can occur.
    if (error.code === 'timeout' || error.code === 'deadlock') throw new Error(error.code);
    return limitError(error.code, this.#host.limits).message;
  }

  #releaseIt(): string | undefined {
    const lock = this.#lock;
    if (lock === undefined) return 'cannot release: there is no lock';
    this.#lock = undefined;
    this.#reply(lock, States.ready);
    this.#session.release(lock);
    return undefined;
  }

  #reply(lock: SessionLock, state: string): void {
    this.#channel.reply(messageAbout(lock, state), state === States.enqueued);
  }
}

const EVICTED = 'an administrator has ended this session; its lock is released';

function messageAbout(lock: SessionLock, state: string): string {
  return `{"id":"${idText(lock.id)}${state}`;
}
